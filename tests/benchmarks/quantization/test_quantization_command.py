"""The table of quantizers: its text, its JSON, its command line, and rows that fail."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.quantization import contenders, harness, material, table
from edgekit.benchmarks.quantization.contenders import Contender
from edgekit.benchmarks.quantization.material import Inputs, Material
from edgekit.benchmarks.quantization.table import Row
from edgekit.ratios import Ratio

MEGABYTES = {"image": 5.04, "text": 22.96}
TIMES = {"image": Ratio(2.0, 1.9, 2.1, 20), "text": Ratio(0.5, 0.4, 0.6, 20)}
GOOD = Row("ours", "", MEGABYTES, TIMES, {"image": 0.99914, "text": 1.0}, (0.95, 0.0123, 316), (0.275, 0.025, 316))
BAD = Row("peer", "ValueError: no such type", {}, {}, {}, (0, 0, 0), (0, 0, 0))
EMPTY = Inputs((), (), ())


def test_a_row_shows_every_figure() -> None:
    head, rule, good, bad = table.report([GOOD, BAD]).splitlines()
    assert good == (
        "| ours | 5.0/23.0 | 2.00 (1.90-2.10) | 0.50 (0.40-0.60) | 0.9991/1.0000 | 95.0 ± 1.2 | 27.5 ± 2.5 |"
    )
    assert bad == "| peer | failed: ValueError: no such type | | | | | |"
    assert {line.count("|") for line in (head, rule, good, bad)} == {8}


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 999))
def test_a_share_is_in_percent_with_its_error(value: float, error: float, n: int) -> None:
    shown = table._share((value, error, n))
    found = re.fullmatch(r"(\d+\.\d) ± (\d+\.\d)", shown)
    assert found
    assert abs(float(found[1]) - 100 * value) <= 0.0501
    assert abs(float(found[2]) - 100 * error) <= 0.0501


def test_json_of_a_row_has_the_names_of_the_record() -> None:
    plain = json.loads(json.dumps(asdict(GOOD)))
    assert list(plain) == ["name", "failed", "megabytes", "time", "centred", "agreement", "recall"]
    assert plain["time"]["image"] == {"median": 2.0, "low": 1.9, "high": 2.1, "n": 20}
    assert plain["recall"] == [0.275, 0.025, 316]


# the field


def test_peers_come_before_edgekits_methods() -> None:
    peers = list(contenders.onnx_peers())
    found = table.field(["int8_weights", "float16"], {}, peers=True)
    assert [one.name for one in found] == [*peers, "edgekit int8_weights", "edgekit float16"]
    assert {(one.runtime, one.format) for one in found} == {("onnxruntime", "onnx")}
    assert [one.name for one in table.field([], {}, peers=False)] == []


@pytest.fixture(name="command")
def _command(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keeps what the command asked for; nothing is prepared or built."""
    seen: dict[str, Any] = {}

    def prepare(bundle: Path, data: Path, folder: Path, *, calibrate: int, limit: int) -> str:
        seen.update(bundle=bundle, data=data, calibrate=calibrate, limit=limit)
        return "material"

    def compare(given: str, wanted: list[Contender], folder: Path, *, rounds: int, threads: int) -> list[Row]:
        seen.update(names=[one.name for one in wanted], rounds=rounds, threads=threads, folder=folder)
        assert given == "material"
        assert folder.is_dir()
        return [GOOD, BAD]

    monkeypatch.setattr(material, "prepare", prepare)
    monkeypatch.setattr(table, "compare", compare)
    return seen


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["table", *arguments])
    table.main()


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_the_command_prints_the_table(
    command: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    options = ["--methods", "float16,,int8_weights", "--no-peers", "--rounds", "3", "--limit", "9"]
    _run(monkeypatch, "a.edge", "--data", "set", *options, *(["--json"] if as_json else []))
    printed = capsys.readouterr().out
    if as_json:
        assert [row["name"] for row in json.loads(printed)] == ["ours", "peer"]
        assert json.loads(printed)[1]["failed"] == "ValueError: no such type"
    else:
        assert printed == table.report([GOOD, BAD]) + "\n"
    assert command.pop("folder").exists() is False
    assert command == {
        "bundle": Path("a.edge"),
        "data": Path("set"),
        "calibrate": 64,
        "limit": 9,
        "names": ["edgekit float16", "edgekit int8_weights"],
        "rounds": 3,
        "threads": 1,
    }


def test_peers_take_part_unless_they_are_left_out(command: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _run(monkeypatch, "a.edge", "--data", "set")
    assert command["names"] == list(contenders.onnx_peers())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["a.edge"], "--data"),
        (["--data", "set"], "bundle"),
        (["a.edge", "--data", "set", "--rounds", "x"], "--rounds"),
        (["a.edge", "--data", "set", "--made", "ours.edge"], "--made ours.edge: give it as NAME=OUT.edge"),
        (["a.edge", "--data", "set", "--made", "=ours.edge"], "--made =ours.edge: give it as NAME=OUT.edge"),
        (["a.edge", "--data", "set", "--made", "ours="], "--made ours=: give it as NAME=OUT.edge"),
        (["a.edge", "--data", "set", "--made", "a=x.edge", "--made", "a=y.edge"], "--made a: two contenders have this"),
        (["a.edge", "--data", "set", "--made", "float32=x.edge"], "--made float32: two contenders have this name"),
        (["a.edge", "--data", "set", "--methods", "int8_weights,int3"], "--methods int3: give one of float16"),
        (["a.edge", "--data", "set", "--rounds", "0"], "--rounds 0: give a number above 0"),
        (["a.edge", "--data", "set", "--calibrate", "-1"], "--calibrate -1: give a number above 0"),
        (["a.edge", "--data", "set", "--limit", "0"], "--limit 0: give a number above 0"),
        (["a.edge", "--data", "set", "--threads", "-1"], "--threads -1: give 0 (the engine's choice) or more"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_wrong_use_is_told_before_anything_runs(
    command: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as caught:
        _run(monkeypatch, *wrong)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert command == {}


@pytest.mark.parametrize("made", [False, True])
def test_a_bundle_that_is_none_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: bool
) -> None:
    path = tmp_path / "a.edge"
    path.write_bytes(b"no bundle")
    options = ["--no-peers", *(["--made", f"ours={path}"] if made else [])]
    with pytest.raises(SystemExit) as caught:
        _run(monkeypatch, str(path), "--data", str(tmp_path), *options)
    printed = capsys.readouterr()
    assert (caught.value.code, printed.out) == (1, "")
    assert printed.err.startswith(f"{path}: ")
    assert len(printed.err.splitlines()) == 1


# building and measuring, with towers that are arrays


class Session:
    """A tower that looks its rows up by the first value of its input."""

    def __init__(self, rows: np.ndarray, free: bool = True) -> None:
        self.rows = rows
        self.inputs = (type("Given", (), {"name": "given", "shape": (1, None if free else 8)})(),)
        self.outputs = (type("Made", (), {"name": "made"})(),)
        self.calls: list[int] = []

    def run(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        number = int(given["given"].reshape(-1)[0])
        self.calls.append(number)
        return {"made": self.rows[number : number + 1]}


def _inputs(n: int) -> Inputs:
    numbers = [np.full((1, 4), number, np.int32) for number in range(n)]
    padded = [np.full((1, 8), number, np.int32) for number in range(n)]
    return Inputs(tuple(numbers), tuple(numbers), tuple(padded))


def _unit(seed: int, n: int = 12) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(name="given")
def _given(tmp_path: Path) -> Material:
    for tower in table.TOWERS:
        (tmp_path / "m" / tower).mkdir(parents=True)
        (tmp_path / "m" / tower / f"{tower}.onnx").write_bytes(b"float")
    masters = {tower: tmp_path / "m" / tower / f"{tower}.onnx" for tower in table.TOWERS}
    return Material("tiny", masters, EMPTY, _inputs(12), tuple((n,) for n in range(12)), ("set", "0" * 64))


def test_recall_and_agreement_are_their_definitions(
    given: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {b"float": (_unit(0), _unit(1)), b"small": (_unit(2), _unit(3))}

    def open_file(path: Path, runtime: str, kind: str, threads: int) -> Session:
        assert (runtime, kind, threads) == ("onnxruntime", "onnx", 2)
        return Session(rows[path.read_bytes()][path.stem == "text"])

    monkeypatch.setattr(harness, "open_file", open_file)
    monkeypatch.setattr(harness, "PAUSE", 0)
    field = [Contender("small/one two", "onnxruntime", "onnx", lambda m, out, t, i: out.write_bytes(b"small"))]
    (tmp_path / "work").mkdir()
    first, small = table.compare(given, field, tmp_path / "work", rounds=2, threads=2)
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"float32", "small_one_two"}
    tops = {name: (image @ text.T).argmax(1) for name, (image, text) in rows.items()}
    agreed = float((tops[b"float"] == tops[b"small"]).mean())
    assert small.agreement[0] == pytest.approx(agreed)
    assert first.agreement == (1.0, 0.0, 12)
    for row, name in ((first, b"float"), (small, b"small")):
        recall = float((tops[name] == np.arange(12)).mean())
        assert row.recall == (pytest.approx(recall), pytest.approx((recall * (1 - recall) / 12) ** 0.5), 12)
    assert small.megabytes == {"image": 5e-6, "text": 5e-6}
    assert (small.time["text"].n, first.time["image"].median) == (2, 1.0)
    assert small.centred["image"] < 0.9 < first.centred["image"]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("build", "KeyError: 'gone'"),
        ("open", "RuntimeError: cannot be opened"),
        ("run", "IndexError: "),
        ("empty", "OSError: "),
    ],
)
def test_whatever_a_contender_does_the_others_are_measured(
    given: Material,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    message: str,
) -> None:
    def open_file(path: Path, runtime: str, kind: str, threads: int) -> Session:
        if path.parent.name == "bad" and stage == "open":
            raise RuntimeError("cannot be opened\nat all")
        bad = path.parent.name == "bad" and stage == "run"
        session = Session(_unit(0, 12))
        if bad:
            session.outputs = ()
        return session

    def build(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
        if stage == "build":
            raise KeyError("gone")
        if stage == "empty":
            raise OSError
        out.write_bytes(b"x")

    monkeypatch.setattr(harness, "open_file", open_file)
    monkeypatch.setattr(harness, "PAUSE", 0)
    good = Contender("good", "onnxruntime", "onnx", lambda m, out, t, i: out.write_bytes(b"small"))
    (tmp_path / "work").mkdir()
    field = [Contender("bad", "onnxruntime", "onnx", build), good]
    rows = table.compare(given, field, tmp_path / "work", rounds=1, threads=1)
    assert [(row.name, bool(row.failed)) for row in rows] == [("float32", False), ("bad", True), ("good", False)]
    assert rows[1].failed.startswith(message)
    assert "\n" not in rows[1].failed
    assert "Traceback" in capsys.readouterr().err
    assert table.report(rows).count("\n") == 4


def test_without_the_float_graph_there_is_nothing_to_compare_with(
    given: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_file(path: Path, runtime: str, kind: str, threads: int) -> Session:
        raise RuntimeError("cannot be opened")

    monkeypatch.setattr(harness, "open_file", open_file)
    with pytest.raises(RuntimeError, match="cannot be opened"):
        table.compare(given, [], tmp_path, rounds=1, threads=1)


@pytest.mark.parametrize(("tower", "free", "width"), [("image", True, 4), ("text", True, 4), ("text", False, 8)])
def test_a_text_tower_of_fixed_length_gets_padded_texts(tower: str, free: bool, width: int) -> None:
    batches = table._batches(Session(_unit(0), free), tower, _inputs(3))  # type: ignore[arg-type]
    assert {batch.shape for batch in batches} == {(1, width)}


# the harness


def test_every_round_takes_its_input_from_every_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(harness.time, "sleep", pauses.append)
    sessions = {name: Session(_unit(0)) for name in "abc"}
    numbers = _inputs(3).pixels
    times = harness.interleaved({name: (one, numbers) for name, one in sessions.items()}, 5)  # type: ignore[misc]
    assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys("abc", 5)
    assert all(one.calls == [2, 0, 1, 2, 0, 1] for one in sessions.values())
    assert pauses == [harness.PAUSE] * 18


def test_rows_come_in_the_order_of_the_batches_as_float32() -> None:
    rows = _unit(4).astype(np.float64)
    session = Session(rows)
    found = harness.embed(session, _inputs(12).pixels[::-1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, rows[::-1].astype(np.float32))
    assert found.dtype == np.float32


def test_a_file_of_another_tower_beside_it_does_not_count(tmp_path: Path) -> None:
    for name, size in (("text.onnx", 3), ("text.onnx.data", 40), ("image.onnx", 500), ("text.tflite", 6000)):
        (tmp_path / name).write_bytes(bytes(size))
    assert harness.size(tmp_path / "text.onnx") == 43
    assert harness.size(tmp_path / "text.tflite") == 6000
