"""The comparison with peers: its tables, its children, and what happens when one of them ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.benchmarks.peers import cold_start, contenders, decoders, material, overhead, photo_to_embedding
from edgekit.benchmarks.peers.material import SIZES, Material, jpeg
from edgekit.ratios import Ratio

TWICE = asdict(Ratio(2.0, 1.9, 2.125, 25))
ONCE = asdict(Ratio(1.0, 1.0, 1.0, 25))
RESULT: dict[str, Any] = {
    "photo to embedding": {
        "640x480": {
            "edgekit_fast": {"ms": 10.4, "times_edgekit": ONCE, "cosine": 0.9999},
            "open_clip": {"ms": 20.61, "times_edgekit": TWICE, "cosine": 1.0},
        }
    },
    "SDK over a bare session.run": asdict(Ratio(1.01, 1.0, 1.02, 25)),
    "cold start": {
        "edgekit": {"seconds": 0.512, "peak_MiB": 431.6, "time_ratio": TWICE, "peak_ratio": ONCE},
    },
}


def test_the_report_is_markdown_with_every_figure() -> None:
    lines = photo_to_embedding.report(RESULT).splitlines()
    assert lines == [
        "| photo to embedding | time over edgekit's | ms | cosine to open_clip |",
        "|---|---|---|---|",
        "| 640x480: edgekit_fast | 1.00 (1.00-1.00) | 10 | 0.9999 |",
        "| 640x480: open_clip | 2.00 (1.90-2.12) | 21 | 1.0 |",
        "",
        "SDK over a bare session.run: 1.01 (1.00-1.02)",
        "",
        "| cold start | time over a bare session's | s | peak memory over it | MiB |",
        "|---|---|---|---|---|",
        "| edgekit | 2.00 (1.90-2.12) | 0.51 | 1.00 (1.00-1.00) | 432 |",
    ]
    assert len({line.count("|") for line in lines[:4]}) == len({line.count("|") for line in lines[7:]}) == 1


def _paths(folder: Path) -> Material:
    photos = {name: folder / f"{name}.jpg" for name in SIZES}
    return Material(folder / "a.edge", folder / "peer", folder / "a.pt", photos)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_the_command_prints_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    seen: dict[str, Any] = {}

    def compare(given: Material, description: Path, rounds: int) -> dict[str, Any]:
        seen.update(rounds=rounds, paths=json.loads(description.read_text()))
        return RESULT["photo to embedding"]

    monkeypatch.setattr(photo_to_embedding, "prepare", _paths)
    monkeypatch.setattr(photo_to_embedding, "compare", compare)
    monkeypatch.setattr(photo_to_embedding, "sdk_overhead", lambda given, rounds: Ratio(1.01, 1.0, 1.02, 25))
    monkeypatch.setattr(photo_to_embedding, "cold_starts", lambda given: RESULT["cold start"])
    options = ["--cache", str(tmp_path), "--rounds", "3", *(["--json"] if as_json else [])]
    monkeypatch.setattr(sys, "argv", ["peers", *options])
    photo_to_embedding.main()
    printed = capsys.readouterr().out
    if as_json:
        assert json.loads(printed) == RESULT
    else:
        assert printed == photo_to_embedding.report(RESULT) + "\n"
    assert seen["rounds"] == 3
    assert seen["paths"] == {name: str(getattr(_paths(tmp_path), name)) for name in ("bundle", "folder", "weights")}


@pytest.mark.parametrize("wrong", [["--rounds", "many"], ["--fast"], ["extra"]], ids=["number", "option", "argument"])
def test_wrong_use_is_told(monkeypatch: pytest.MonkeyPatch, wrong: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", *wrong])
    with pytest.raises(SystemExit) as caught:
        photo_to_embedding.main()
    assert caught.value.code == 2


# a contender's own process


def test_a_contender_answers_each_photo_with_time_and_embedding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "material.json").write_text('{"bundle": "a.edge"}')

    def load(paths: dict[str, str]) -> Any:
        assert paths == {"bundle": "a.edge"}
        return lambda photo: np.array([len(photo), 0.5], np.float32)

    monkeypatch.setitem(contenders.CONTENDERS, "mine", load)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.jpg\nlonger name.jpg\n"))
    contenders.serve("mine", tmp_path / "material.json")
    ready, *answers = capsys.readouterr().out.splitlines()
    assert ready == "ready"
    parsed = [json.loads(answer) for answer in answers]
    assert [answer["embedding"] for answer in parsed] == [[5.0, 0.5], [15.0, 0.5]]
    assert all(isinstance(answer["ns"], int) and answer["ns"] >= 0 for answer in parsed)


def test_the_names_are_those_of_the_functions() -> None:
    assert list(contenders.CONTENDERS) == ["edgekit_fast", "edgekit_exact", "modern_onnx_clip", "open_clip"]
    assert photo_to_embedding.BASE in contenders.CONTENDERS


@pytest.fixture(name="children")
def _children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Contenders are small programs in the place of models; each is kept, to see that it ends."""
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen
    programs = {
        "good": (
            "print('chatter'); print('ready', flush=True)\nimport json, sys\nfor line in sys.stdin:\n"
            "    print(json.dumps({'ns': 2_000_000, 'embedding': [0.6, 0.8]}), flush=True)"
        ),
        "dead": "raise SystemExit(3)",
        "late": "print('ready', flush=True); input(); raise SystemExit(4)",
    }

    def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
        child: subprocess.Popen[str] = real([sys.executable, "-c", programs[command[3].split("-")[0]]], **options)
        started.append(child)
        return child

    monkeypatch.setattr(photo_to_embedding.subprocess, "Popen", start)
    monkeypatch.setattr(photo_to_embedding, "PAUSE", 0)
    return started


def test_chatter_before_ready_is_passed_over(children: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    with photo_to_embedding.Contender("good", tmp_path / "m.json") as contender:
        assert contender.embed(tmp_path / "1.jpg") == (0.002, [0.6, 0.8])
    assert children[0].poll() is not None


@pytest.mark.parametrize(("name", "code"), [("dead", 3), ("late", 4)])
def test_a_contender_that_ends_is_told_with_its_code(
    children: list[subprocess.Popen[str]], tmp_path: Path, name: str, code: int
) -> None:
    with pytest.raises(RuntimeError, match=f"a contender ended: exit code {code}"):
        photo_to_embedding.Contender(name, tmp_path / "m.json").embed(tmp_path / "1.jpg")


def test_every_contender_takes_part_in_every_round(
    children: list[subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        photo_to_embedding, "CONTENDERS", dict.fromkeys(("good-1", "open_clip", photo_to_embedding.BASE))
    )
    seen: list[str] = []

    class Quick:
        def __init__(self, name: str, description: Path) -> None:
            self.name = name

        def embed(self, photo: Path) -> tuple[float, list[float]]:
            seen.append(self.name)
            return (0.03 if self.name == "good-1" else 0.01), [1.0, 0.0] if self.name == "open_clip" else [0.6, 0.8]

        def __exit__(self, *_: object) -> None:
            seen.append(f"end {self.name}")

    monkeypatch.setattr(photo_to_embedding, "Contender", Quick)
    found = photo_to_embedding.compare(_paths(tmp_path), tmp_path / "m.json", 4)
    assert list(found) == list(SIZES)
    row: Any = found["12 MP"]["good-1"]
    assert (row["ms"], row["cosine"], row["times_edgekit"]["median"]) == (30.0, 0.6, pytest.approx(3.0))
    base: Any = found["12 MP"][photo_to_embedding.BASE]
    assert base["times_edgekit"] == asdict(Ratio(1.0, 1.0, 1.0, 4))
    rounds = [seen[i : i + 3] for i in range(0, 2 * 6 * 3, 3)]
    assert all(sorted(names) == sorted(photo_to_embedding.CONTENDERS) for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1  # not always in one order
    assert seen[-3:] == ["end good-1", "end open_clip", f"end {photo_to_embedding.BASE}"]


def test_where_one_does_not_start_the_others_are_ended(
    children: list[subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_to_embedding, "CONTENDERS", dict.fromkeys(("good-1", "good-2", "dead")))
    with pytest.raises(RuntimeError, match="exit code 3"):
        photo_to_embedding.compare(_paths(tmp_path), tmp_path / "m.json", 1)
    assert [child.poll() is not None for child in children] == [True, True, True]


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


@pytest.mark.parametrize("size", [(64, 48), (30, 90)], ids=["wide", "tall"])
def test_a_photo_of_any_size_is_the_same_each_time(size: tuple[int, int]) -> None:
    data = jpeg(size)
    assert data == jpeg(size)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", size, "RGB")


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
    assert first.photos["1 MP"].name == "1MP.jpg"
