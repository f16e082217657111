"""The commands through click: help, JSON of the documented shape, exit codes, what each wrong argument says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import edgekit
import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit import processor
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.schema import to_plain
from edgekit.cli import doctor as doctor_module
from spy_runtime import SpyRuntime, install

COMMANDS = ("classify", "convert", "doctor", "embed", "eval", "inspect", "quantize", "tune", "verify")


def test_all_commands_are_listed() -> None:
    text = run("--help").output
    assert set(COMMANDS) <= {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    assert run("--version").output == f"edgekit, version {edgekit.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_and_json(command: str, flag: str) -> None:
    text = run(command, flag).output
    assert f"edgekit {command}" in text.replace("main", "edgekit")
    assert "--json" in text


def test_an_unknown_command_is_wrong_use() -> None:
    assert "No such command 'bake'" in fails("bake")


@pytest.mark.parametrize("command", ["classify", "embed", "inspect", "verify"])
def test_a_bundle_that_is_missing_or_damaged_is_wrong_input(command: str, tmp_path: Path) -> None:
    more = {"classify": ["x.jpg", "--label", "a"], "embed": ["--text", "a", "-o", tmp_path / "o.npz"]}.get(command, [])
    assert fails(command, "missing.edge", *more).startswith("Error: missing.edge: no such bundle")
    (tmp_path / "b.edge").write_bytes(b"PK\3\4 cut")
    assert "b.edge: " in fails(command, tmp_path / "b.edge", *more)
    assert fails(command, tmp_path, *more).startswith(f"Error: {tmp_path}: has no manifest.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "b.edge"]


# classify


def test_classify_prints_labels_best_first(tiny_bundle: Path, photos: list[Path]) -> None:
    lines = run("classify", tiny_bundle, photos[0], "--label", "cat", "--label", "dog").output.splitlines()
    assert lines[0] == str(photos[0])
    scores = [float(line.split("%")[0]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)


def test_classify_json_is_what_the_sdk_says(tiny_bundle: Path, photos: list[Path]) -> None:
    labels = [option for label in ("cat", "dog", "cup") for option in ("--label", label)]
    found = json.loads(run("classify", tiny_bundle, *photos[:2], *labels, "--top", 2, "--json").stdout)
    with edgekit.load(tiny_bundle) as clip:
        wanted = clip.classify_many(photos[:2], ["cat", "dog", "cup"], top=2)
    assert found == [
        {"image": str(result.image), "labels": [{"label": x.label, "score": pytest.approx(x.score)} for x in result]}
        for result in wanted
    ]


def test_classify_takes_labels_from_a_file_and_templates(tiny_bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_bytes("\ufeff cat \r\n\r\nsmall dog\n猫\n".encode())
    options = ["--labels-file", labels, "--label", "cup", "--template", "{}", "--template", "a {}", "--json"]
    (found,) = json.loads(run("classify", tiny_bundle, photos[0], *options).stdout)
    assert {label["label"] for label in found["labels"]} == {"cat", "small dog", "猫", "cup"}
    with edgekit.load(tiny_bundle) as clip:
        wanted = clip.classify(photos[0], ["cup", "cat", "small dog", "猫"], templates=["{}", "a {}"])
    assert [label["label"] for label in found["labels"]] == [label.label for label in wanted]


def test_classify_shows_five_unless_told_otherwise(tiny_bundle: Path, photos: list[Path]) -> None:
    labels = [option for label in tiny.WORDS[:9] for option in ("--label", label)]
    assert len(run("classify", tiny_bundle, photos[0], *labels).output.splitlines()) == 6
    assert len(run("classify", tiny_bundle, photos[0], *labels, "--top", 8).output.splitlines()) == 9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing argument 'BUNDLE'"),
        (["{bundle}"], "Missing argument 'IMAGE...'"),
        (["{bundle}", "{photo}"], "no labels; give --label TEXT"),
        (["{bundle}", "missing.jpg", "--label", "a"], "missing.jpg: no such file"),
        (["{bundle}", "{bundle}", "--label", "a"], "tiny.edge: "),
        (["{bundle}", "{photo}", "--label", "a", "--top", "0"], "--top"),
        (["{bundle}", "{photo}", "--label", "a", "--threads", "-1"], "--threads"),
        (["{bundle}", "{photo}", "--label", "a", "--template", "x"], "exactly one"),
        (["{bundle}", "{photo}", "--labels-file", "no.txt"], "no.txt: cannot be read: No such file"),
        (["{bundle}", "{photo}", "--labels-file", "{photo}"], "is not UTF-8 text (byte 0)"),
        (["{bundle}", "{photo}", "--labels-file", os.devnull], "holds no label; write one on each line"),
        (["{bundle}", "{photo}", "--label", "a", "--variant", "int8"], "has no variant 'int8'; it has fp32"),
        (["{bundle}", "{photo}", "--label", "a", "--nothing"], "No such option"),
    ],
)
def test_classify_tells_wrong_use(tiny_bundle: Path, photos: list[Path], arguments: list[str], told: str) -> None:
    filled = [argument.format(bundle=tiny_bundle, photo=photos[0]) for argument in arguments]
    assert told in fails("classify", *filled)


@pytest.mark.parametrize("option", [["--runtime", "abacus"], ["--device", "cuda"]])
def test_what_this_machine_lacks_is_a_failure_and_not_wrong_use(
    tiny_bundle: Path, photos: list[Path], option: list[str]
) -> None:
    assert option[1] in fails("classify", tiny_bundle, photos[0], "--label", "a", *option, code=1)


# inspect


def test_inspect_json_is_the_manifest(tiny_bundle: Path, tiny_folder: Path) -> None:
    found = run("inspect", tiny_bundle, "--json").stdout
    manifest = open_bundle(tiny_bundle).manifest
    assert json.loads(found) == to_plain(manifest)
    assert found.encode() == tiny.contents(tiny_bundle)["manifest.json"]
    assert run("inspect", tiny_folder, "--json").stdout == found


def test_inspect_shows_the_facts(tiny_bundle: Path) -> None:
    text = run("inspect", tiny_bundle).output
    for fact in (
        "tiny 1",
        "Apache-2.0",
        "16 dimensions, softmax",
        "32x32, shortest, bicubic",
        "8 tokens",
        "a photo of {}",
    ):
        assert fact in text
    assert "  fp32  onnx  for any" in text
    assert "made by    convert" in text


# verify


def test_verify_proves_a_good_bundle(tiny_bundle: Path) -> None:
    text = run("verify", tiny_bundle).output
    assert text.splitlines()[-1] == "PASSED"
    assert "token ids  equal on 4 texts" in text
    found = json.loads(run("verify", tiny_bundle, "--json", "--threads", 1).stdout)
    assert found["passed"] is True
    assert (found["members"], found["pixels_max"], found["texts"]) == (len(tiny.contents(tiny_bundle)) - 1, 0, 4)
    (candidate,) = found["candidates"]
    assert candidate["accepted"]
    assert candidate["milliseconds"] > 0
    assert [check["tower"] for check in candidate["checks"]] == ["image", "text"]


@pytest.mark.parametrize("kind", ["wrong", "nan", "malformed", "escaping"])
def test_verify_fails_on_wrong_numbers(tmp_path: Path, kind: str) -> None:
    bundle = tiny.build(tmp_path / "b.edge", variants=("fp32", kind))
    text = run("verify", bundle, code=1).output
    assert text.splitlines()[-1] == "FAILED"
    assert f"{kind} on onnxruntime" in text
    found = json.loads(run("verify", bundle, "--json", code=1).stdout)
    assert found["passed"] is False
    assert [c["accepted"] for c in found["candidates"]] == [True, False]
    assert found["candidates"][1]["reason"]


def test_verify_refuses_a_damaged_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    data = bytearray(tiny_bundle.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "b.edge").write_bytes(data)
    assert "b.edge" in fails("verify", tmp_path / "b.edge")


def test_verify_without_a_runtime_fails(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime(absent="not here; pip install it"))
    assert "not here; pip install it" in fails("verify", tiny_bundle, code=1)


# doctor


def test_doctor_says_what_works() -> None:
    text = run("doctor").output
    assert f"edgekit {edgekit.__version__}, Python" in text
    assert "ok   onnxruntime" in text
    assert "ok   numpy" in text
    found = json.loads(run("doctor", "--json").stdout)
    assert found["ok"] is True
    assert [r["name"] for r in found["runtimes"] if r["ok"]]
    assert found["cache_writable"]
    assert set(found["extras"]) == {"bench", "convert", "convert-litert", "data", "distill", "quantize", "starter"}


def test_doctor_without_a_runtime_says_what_installs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.runtimes import registry

    monkeypatch.setattr(registry, "names", lambda: ("onnxruntime",))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run("doctor", code=1)
    assert "no   onnxruntime: onnxruntime cannot be imported" in result.output
    assert 'pip install "edgekit[onnx]"' in result.output
    assert json.loads(run("doctor", "--json", code=1).stdout)["ok"] is False


def test_doctor_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_module, "find_spec", lambda name: None if name in ("torch", "onnx") else object())
    monkeypatch.setattr(doctor_module, "_PACKAGES", ("numpy", "no-such-package"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file" / "cache"))
    text = run("doctor").output
    assert 'no   [convert] needs torch, onnx; pip install "edgekit[convert]"' in text
    assert "ok   [starter]" in text
    assert "no   no-such-package: pip install no-such-package" in text
    assert "cannot be written to" in text


def test_doctor_survives_a_broken_runtime_and_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.runtimes import registry

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    install(monkeypatch, SpyRuntime("good"))
    monkeypatch.setattr(registry, "names", lambda: ("broken", "good"))
    monkeypatch.delenv("EDGEKIT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    text = run("doctor").output
    assert "no   broken: there is no runtime 'broken'" in text
    assert "ok   good 9.9: cpu" in text
    assert "set EDGEKIT_CACHE" in text


@pytest.mark.parametrize(
    ("machine", "line", "told"),
    [
        ("x86_64", "flags : avx2 fma", "(VPMADDUBSW); u8s8 int8 models may saturate, the golden check will tell\n"),
        ("aarch64", "Features : asimd asimddp", "int8 kernels: arm-dotprod, dot products of four bytes (asimddp: SDOT"),
        ("riscv64", "isa : rv64imafdc", "int8 kernels: not known for this processor"),
    ],
)
def test_doctor_says_how_int8_is_multiplied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, line: str, told: str
) -> None:
    (tmp_path / "cpuinfo").write_text(line)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    assert told in run("doctor").output
    assert json.loads(run("doctor", "--json").stdout)["saturates"] is (machine == "x86_64")
