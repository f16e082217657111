"""The installed command as a process of its own: exit codes, names of any bytes, memory, signals, a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny_bundle as tiny
import tiny_source

COMMAND = (sys.executable, "-m", "edgekit.cli.main")
# Lets a process write no file longer than its first argument.
LIMITED = (
    "import resource, sys; n = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)); "
    "sys.dont_write_bytecode = True; from edgekit.cli.main import main; main()"
)


def run(*arguments: object, cwd: Path, code: int = 0, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *(os.fsencode(str(argument)) for argument in arguments)]
    found = subprocess.run(command, cwd=cwd, capture_output=True, timeout=300, check=False, **options)
    assert found.returncode == code, found.stderr.decode(errors="replace")
    assert b"Traceback" not in found.stderr
    return found


def test_exit_codes(tiny_bundle: Path, tmp_path: Path, photos: list[Path]) -> None:
    label = ("--label", "cat", "--label", "dog")
    assert json.loads(run("classify", tiny_bundle, photos[0], *label, "--json", cwd=tmp_path).stdout)[0]["labels"]
    wrong = tiny.build(tmp_path / "wrong.edge", variants=("wrong",))
    assert b"FAILED" in run("verify", wrong, cwd=tmp_path, code=1).stdout
    assert b"wrong numbers" in run("classify", wrong, photos[0], *label, cwd=tmp_path, code=1).stderr
    assert b"no such bundle" in run("inspect", "none.edge", cwd=tmp_path, code=2).stderr
    assert run("inspect", tiny_bundle, cwd=tmp_path).stderr == b""


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_names_that_are_not_utf8_go_through_byte_for_byte(
    tiny_bundle: Path, tmp_path: Path, photos: list[Path], locale: str
) -> None:
    name = b"caf\xe9 \xe7\x8c\xab.jpg"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(photos[0].read_bytes())
    environment = {**os.environ, "LC_ALL": locale}
    arguments = ("classify", tiny_bundle, os.fsdecode(name), "--label", "cat")
    assert run(*arguments, cwd=tmp_path, env=environment).stdout.startswith(name + b"\n")
    (found,) = json.loads(run(*arguments, "--json", cwd=tmp_path, env=environment).stdout)
    assert os.fsencode(found["image"]) == name
    missing = run("inspect", os.fsdecode(b"n\xe9.edge"), cwd=tmp_path, code=2, env=environment).stderr
    assert missing.startswith(b"Error: n\xe9.edge: no such bundle")


def test_a_reader_that_goes_away_is_no_error_to_shout_about(tiny_bundle: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run(
        [*COMMAND, "inspect", tiny_bundle, "--json"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writing)
    assert found.returncode == 1
    assert b"Traceback" not in found.stderr


def test_doctor_without_engines_tells_the_command_that_installs_one(tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    for engine in ("onnxruntime", "ai_edge_litert", "tflite_runtime"):
        (tmp_path / "block" / f"{engine}.py").write_text(f"raise ImportError('No module named {engine}')")
    found = run("doctor", cwd=tmp_path, code=1, env={**os.environ, "PYTHONPATH": str(tmp_path / "block")})
    assert b'pip install "edgekit[onnx]"' in found.stdout
    bundle = tiny.build(tmp_path / "b.edge")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "block")}
    stderr = run("verify", bundle, cwd=tmp_path, code=1, env=environment).stderr
    assert b'pip install "edgekit[onnx]"' in stderr


WATCHED = """
import resource, sys
from edgekit.cli.main import main
sys.argv[0] = "edgekit"
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_number_of_photos(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    first = folder / "00000.png"
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    Image.fromarray(pixels).save(first, compress_level=0)

    def peak(count: int) -> int:
        for i in range(len(list(folder.iterdir())), count):
            os.link(first, folder / f"{i:05}.png")
        out = tmp_path / f"{count}.npz"
        command = [sys.executable, "-c", WATCHED, "embed", tiny_bundle, folder, "-o", out, "--threads", "1"]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=True)
        with np.load(out) as archive:
            assert archive["embeddings"].shape == (count, 16)
        return int(found.stderr.split()[-1])

    few, many = peak(64), peak(2000)
    # Together the decoded photos are 154 MB, in KiB as ru_maxrss is.
    assert many - few < 25_000


def test_a_disk_that_fills_while_embedding(tiny_bundle: Path, tmp_path: Path, photos: list[Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{word} {other}\n" for word in tiny.WORDS for other in tiny.WORDS))
    command = [sys.executable, "-c", LIMITED, "20000", "embed", tiny_bundle, "--texts-file", texts, "-o", out / "o.npz"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert found.returncode == 1
    assert b"File too large" in found.stderr
    assert b"Traceback" not in found.stderr
    assert not list(out.iterdir())


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_source.install(tmp_path / "site", monkeypatch)
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "tiny.edge"


# Small enough to stop each stage in turn: the request, the graphs, the arrays, the bundle.
@pytest.mark.parametrize("limit", [0, 3000, 9000, 20_000, 60_000])
def test_a_disk_that_fills_while_converting(out: Path, tmp_path: Path, limit: int) -> None:
    command = [sys.executable, "-c", LIMITED, str(limit), "convert", "tiny:good", "-o", out]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert found.returncode == 1
    assert b"File too large" in found.stderr or b"the disk is most likely full" in found.stderr, found.stderr
    assert b"Traceback" not in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert not list(out.parent.iterdir())


def _ended(pid: int) -> bool:
    for _ in range(3000):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)], ids=lambda x: str(x)
)
def test_a_conversion_that_is_stopped_leaves_nothing(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    marker = tmp_path / "pid"
    monkeypatch.setenv(tiny_source.MARKER, str(marker))
    out.write_bytes(b"old")
    parent = subprocess.Popen(
        [*COMMAND, "convert", "tiny:hang", "-o", out],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A test run in the background has them ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    for _ in range(6000):
        if marker.exists() and marker.read_text():
            break
        time.sleep(0.05)
    child = int(marker.read_text())
    assert len(list(out.parent.iterdir())) == 2  # the old bundle and the work folder
    parent.send_signal(number)
    _, stderr = parent.communicate(timeout=300)
    assert parent.returncode == code
    assert b"Traceback" not in stderr
    assert _ended(child)
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == b"old"


def test_convert_prints_a_table_or_json(out: Path, tmp_path: Path) -> None:
    text = run("convert", "tiny:good", "-o", out, cwd=tmp_path)
    assert text.stderr == b""  # stages are for a terminal
    lines = text.stdout.decode().splitlines()
    assert lines[0].startswith(f"{out}  0.3 MB  variant fp32  ")
    assert lines[2].split() == ["tower", "MB", "max", "error", "cosine", "centred"]
    assert [line.split()[0] for line in lines[3:5]] == ["image", "text"]
    assert lines[-1] == "token ids: equal on all 18 texts; short texts cost less"
    found = json.loads(run("convert", "tiny:good", "-o", out, "--json", cwd=tmp_path).stdout)
    assert (found["bundle"], found["variant"], found["trim_padding"]) == (str(out), "fp32", True)
    assert found["image"]["fidelity"]["cosine_min"] > 0.9999
    assert found["size"] == out.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["tiny:good"], 2, "Missing option '-o'"),
        (["-o", "x.edge"], 2, "Missing argument 'SOURCE'"),
        (["tiny:good", "-o", "x.zip"], 2, "ends in .edge"),
        (["tiny:good", "-o", "x.edge", "--weights", "int3"], 2, "'int3' is not one of"),
        (["tiny:good", "-o", "x.edge", "--pixel-limit", "256"], 2, "--pixel-limit"),
        (["tiny:good", "-o", "x.edge", "--template", "x"], 2, "exactly one"),
        (["nonsense", "-o", "x.edge"], 2, "there is no source 'nonsense'"),
        (["tiny:refused", "-o", "x.edge"], 1, "Error: tiny: the layer Frobnicate is not supported"),
        (["tiny:disagree", "-o", "x.edge"], 1, "the image tower stored as float32 disagrees"),
        (["tiny:segfault", "-o", "x.edge"], 1, "was ended by SIGSEGV"),
    ],
)
def test_convert_tells_what_is_wrong(out: Path, arguments: list[str], code: int, told: str) -> None:
    assert told in run("convert", *arguments, cwd=out.parent, code=code).stderr.decode()
    assert not list(out.parent.iterdir())
