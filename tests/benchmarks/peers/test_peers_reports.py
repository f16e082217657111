"""The comparison with peers: its table, its contenders, and the material they share."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import bench_extras
import tiny_bundle as tiny
from edgekit.benchmarks.peers import cold_start, decoders, material, overhead, photo_to_embedding
from edgekit.benchmarks.peers.material import SIZES, Material
from edgekit.benchmarks.results.records import Estimate
from edgekit.benchmarks.versus.records import Agreement, Comparison, Opened, Side, Versus
from edgekit.bundle.schema import to_plain
from edgekit.errors import MissingDependencyError
from edgekit.ratios import Ratio

TWICE = asdict(Ratio(2.0, 1.9, 2.125, 25))
ONCE = asdict(Ratio(1.0, 1.0, 1.0, 25))


def _side(name: str, ms: float, running: int | None) -> Side:
    opened = Opened("m", "", "", "", "", "e 1", "cpu", 0, 1.0)
    return Side(name, "edgekit", opened, running, 9.0, Estimate(ms, ms, ms, 25), (ms,) * 25, 100.0)


def _found(*reasons: str) -> Versus:
    comparisons = (
        Comparison("open_clip", Estimate(2.0, 1.9, 2.125, 25), Agreement(0.9999, 0.99995, 8, "")),
        Comparison("other", Estimate(0.5, 0.4, 0.6, 25), Agreement(None, None, 8, "another embedding space")),
    )
    return replace(
        bench_extras.versus(reasons=reasons),
        data="640x480",
        queries=3,
        rounds=25,
        subject=_side("edgekit", 10.4, 3),
        others=(_side("open_clip", 20.61, 4), _side("other", 5.0, None)),
        comparisons=comparisons,
    )


COLD = {"edgekit": {"seconds": 0.512, "peak_MiB": 431.6, "time_ratio": TWICE, "peak_ratio": ONCE}}
RESULT: dict[str, Any] = {
    "photo to embedding": {"640x480": _found()},
    "SDK over a bare session.run": asdict(Ratio(1.01, 1.0, 1.02, 25)),
    "cold start": COLD,
}


def test_the_report_is_markdown_with_every_figure() -> None:
    lines = photo_to_embedding.report(RESULT).splitlines()
    assert lines == [
        "640x480: 25 rounds of 3, VALID",
        "",
        "| photo to embedding | time over the first's | ms | threads | cosine to the first |",
        "|---|---|---|---|---|",
        "| edgekit | 1.00 (1.00-1.00) | 10 | 3 | 1 |",
        "| open_clip | 2.00 (1.90-2.12) | 21 | 4 | 0.999900 |",
        "| other | 0.50 (0.40-0.60) | 5 | ? | another embedding space |",
        "",
        "SDK over a bare session.run: 1.01 (1.00-1.02)",
        "",
        "| cold start | time over a bare session's | s | peak memory over it | MiB |",
        "|---|---|---|---|---|",
        "| edgekit | 2.00 (1.90-2.12) | 0.51 | 1.00 (1.00-1.00) | 432 |",
    ]


def test_reasons_follow_the_table_and_the_rest_may_be_left_out() -> None:
    report = photo_to_embedding.report({"photo to embedding": {"12 MP": _found("other load: much", "and more")}})
    assert report.startswith("12 MP: 25 rounds of 3, INVALID\n")
    assert report.endswith("| another embedding space |\n\n- other load: much\n- and more")


def _paths(folder: Path) -> Material:
    photos = {name: folder / name for name in SIZES}
    return Material(folder / "a.edge", folder / "peer", folder / "a.pt", photos)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("only_photos", [False, True], ids=["all", "photos"])
def test_the_command_prints_one_result(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,
    only_photos: bool,
) -> None:
    seen: dict[str, Any] = {}

    def compare(given: Material, small: Path | None, seconds: float, goal: float) -> dict[str, Any]:
        seen.update(small=small, seconds=seconds, goal=goal)
        return RESULT["photo to embedding"]  # type: ignore[no-any-return]

    monkeypatch.setattr(photo_to_embedding, "prepare", _paths)
    monkeypatch.setattr(photo_to_embedding, "quantized", lambda given: given.bundle.with_name("small.edge"))
    monkeypatch.setattr(photo_to_embedding, "compare", compare)
    monkeypatch.setattr(photo_to_embedding, "sdk_overhead", lambda given, rounds: Ratio(1.01, 1.0, 1.02, 25))
    monkeypatch.setattr(photo_to_embedding, "cold_starts", lambda given: COLD)
    options = ["--cache", str(tmp_path), "--seconds", "3", *(["--json"] if as_json else ["--quantized"])]
    monkeypatch.setattr(sys, "argv", ["peers", *options, *(["--only-photos"] if only_photos else [])])
    photo_to_embedding.main()
    printed = capsys.readouterr().out
    expected = {"photo to embedding": RESULT["photo to embedding"]} if only_photos else RESULT
    if as_json:
        plain = {**expected, "photo to embedding": {"640x480": to_plain(_found())}}
        assert json.loads(printed) == plain
    else:
        assert printed == photo_to_embedding.report(expected) + "\n"
    assert (seen["seconds"], seen["goal"]) == (3.0, 0.04)
    assert seen["small"] == (None if as_json else tmp_path / "small.edge")


def test_preparing_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(photo_to_embedding, "prepare", _paths)
    monkeypatch.setattr(photo_to_embedding, "compare", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(sys, "argv", ["peers", "--cache", str(tmp_path), "--prepare"])
    photo_to_embedding.main()
    assert capsys.readouterr().out == ""


def test_a_peer_that_refuses_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(*_: Any) -> Any:
        raise MissingDependencyError("the peer open_clip is not installed; pip install it")

    monkeypatch.setattr(photo_to_embedding, "prepare", _paths)
    monkeypatch.setattr(photo_to_embedding, "compare", refuses)
    monkeypatch.setattr(sys, "argv", ["peers", "--cache", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        photo_to_embedding.main()
    printed = capsys.readouterr()
    assert (caught.value.code, printed.out) == (1, "")
    assert printed.err == "the peer open_clip is not installed; pip install it\n"


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--seconds", "many"], ["--fast"], ["extra"], ["--seconds", "0"], ["--seconds", "nan"]),
        *(["--goal", "-1"], ["--goal", "inf"]),
    ],
    ids=" ".join,
)
def test_wrong_use_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, wrong: list[str]) -> None:
    monkeypatch.setattr(photo_to_embedding, "prepare", lambda cache: pytest.fail("it made the material"))
    monkeypatch.setattr(sys, "argv", ["peers", *wrong])
    with pytest.raises(SystemExit) as caught:
        photo_to_embedding.main()
    assert caught.value.code == 2


def test_the_quantized_variant_takes_the_front(tmp_path: Path) -> None:
    given = _paths(tmp_path)
    plain = photo_to_embedding.contenders(given, None)
    assert [(one.kind, one.decoding) for one in plain] == [
        ("edgekit", "fast"),
        ("edgekit", "exact"),
        ("modern-onnx-clip", "fast"),
        ("open-clip", "fast"),
    ]
    assert plain[3].model == f"ViT-B-32:{given.weights}"
    small = tiny.build(tmp_path / "small.edge", variants=("wrong", "fp32"), change=_quantized, extra={"q.json": b"{}"})
    first, *rest = photo_to_embedding.contenders(given, small)
    assert (first.name, first.variant, first.model) == ("edgekit, quantized", "fp32", str(small))
    assert [one.name for one in rest] == ["edgekit", "modern-onnx-clip", "open_clip"]


def _quantized(manifest: Any) -> Any:
    from dataclasses import replace

    first, second = manifest.variants
    return replace(manifest, variants=(first, replace(second, quantization="q.json")))


def test_each_size_is_one_run_over_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(photo_to_embedding, "run", lambda request, on_event: seen.append(request) or _found())
    found = photo_to_embedding.compare(_paths(tmp_path), None, 5.0, 0.1)
    assert list(found) == list(SIZES)
    assert [Path(request.data).name for request in seen] == ["640x480", "12 MP"]
    assert {(request.seconds, request.goal, request.pipeline) for request in seen} == {(5.0, 0.1, "photo")}


# cold start, overhead, decoders


def test_peak_memory_is_that_of_the_fresh_process(tmp_path: Path) -> None:
    seconds, small = cold_start._run("import os\nassert os.getcwd() == " + repr(str(tmp_path)), str(tmp_path))
    _, large = cold_start._run("x = bytearray(80 << 20)\nprint('chatter')", str(tmp_path))
    assert seconds > 0
    assert 70 < large - small < 100
    with pytest.raises(subprocess.CalledProcessError):
        cold_start._run("raise SystemExit(1)", str(tmp_path))


def test_cold_starts_leave_the_first_round_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def run(program: str, folder: str) -> tuple[float, float]:
        compile(program, "program", "exec")
        assert folder == str(tmp_path)
        runs.append(program)
        first = len(runs) <= 3
        return (9.0, 999.0) if first else (2.0 if "import edgekit" in program else 1.0, 50.0)

    monkeypatch.setattr(cold_start, "_run", run)
    (tmp_path / "640x480").mkdir()
    (tmp_path / "640x480" / "a.jpg").write_bytes(b"")
    found: Any = cold_start.cold_starts(_paths(tmp_path))
    assert list(found) == ["bare onnxruntime", "edgekit", "modern-onnx-clip"]
    assert len(runs) == 3 * (cold_start._ROUNDS + 1)
    assert runs[:3] == runs[3:6]
    assert found["edgekit"] == {
        "seconds": 2.0,
        "peak_MiB": 50.0,
        "time_ratio": asdict(Ratio(2.0, 2.0, 2.0, cold_start._ROUNDS)),
        "peak_ratio": asdict(Ratio(1.0, 1.0, 1.0, cold_start._ROUNDS)),
    }


def test_the_overhead_is_taken_on_the_bundles_own_graph(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tiny.edge"
    copy.write_bytes(tiny_bundle.read_bytes())
    found = overhead.sdk_overhead(SimpleNamespace(bundle=copy), 3)  # type: ignore[arg-type]
    assert found.n == 3
    assert found.low > 0
    assert {path.name for path in (tmp_path / "bare").iterdir()} == {"image.onnx", "image.onnx.data"}


def test_both_decoders_give_the_same_pixels_and_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "SIZES", {"small": (80, 60)})
    turns: list[str] = []
    pillow = decoders._pillow
    monkeypatch.setattr(decoders, "_pillow", _noting(turns, "pillow", pillow))
    monkeypatch.setattr(decoders, "_opencv", _noting(turns, "opencv", pillow))
    found = decoders.compare(3)
    assert turns == ["pillow", "opencv"] * 4
    assert (list(found), found["small"].n) == (["small"], 3)
    monkeypatch.setattr(decoders, "_opencv", lambda data: Image.new("RGB", decoders._TARGET))
    with pytest.raises(RuntimeError, match="small: the two decoders give different pixels"):
        decoders.compare(1)


def _noting(turns: list[str], name: str, real: Any) -> Any:
    def run(data: bytes) -> Image.Image:
        turns.append(name)
        found: Image.Image = real(data)
        return found

    return run


def test_material_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def export(folder: Path, weights: Path) -> None:
        made.append("peer")
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    def convert(source: str, out: Path, options: object, on_stage: object) -> None:
        made.append(source)
        out.write_bytes(b"")

    monkeypatch.setattr(material, "SIZES", {"1 MP": (40, 30)})
    monkeypatch.setattr(material, "_save_weights", lambda path: (made.append("weights"), path.write_bytes(b""))[0])
    monkeypatch.setattr(material, "convert", convert)
    monkeypatch.setattr(material, "_export_peer", export)
    first = material.prepare(tmp_path / "cache")
    assert made == ["weights", f"open_clip:ViT-B-32:{first.weights}", "peer"]
    assert material.prepare(tmp_path / "cache") == first
    assert len(made) == 3
    assert first.photos["1 MP"].name == "1MP"
    assert len(list(first.photos["1 MP"].glob("*.jpg"))) == len(material._SOURCE_PHOTOS)


def test_a_bundle_is_quantized_once_under_a_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        commands.append(command)
        Path(command[command.index("-o") + 1]).write_bytes(b"")

    monkeypatch.setattr(material.subprocess, "run", run)
    given = _paths(tmp_path)
    assert material.quantized(given) == material.quantized(given) == tmp_path / "ViT-B-32-int8.edge"
    (command,) = commands
    assert command[1:5] == ["-m", "edgekit.cli.main", "quantize", str(given.bundle)]
    assert command[command.index("--min-agreement") + 1] == "0.9"
    from edgekit.converters.quantize.cli import quantize

    known = {name for option in quantize.params for name in option.opts}
    assert {word for word in material.PROMISE if word.startswith("--")} <= known
