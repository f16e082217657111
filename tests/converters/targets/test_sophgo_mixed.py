"""Which choice of 16-bit layers is taken, by what the vendor's interpreter and the simulator say of each.

No version of the tool can be asked for a fault on purpose, so its programs are a stand-in here; `tests/compilers` runs
the real ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.converters.targets import sophgo_mixed, sophgo_worker
from edgekit.converters.toolchains import launch

_RANDOM = np.random.default_rng(5)
_REFERENCE = _RANDOM.normal(size=(6, 16)).astype(np.float32)
_REFERENCE /= np.linalg.norm(_REFERENCE, axis=1, keepdims=True)
_TEXT = """#loc = loc(unknown)
    %1 = "top.MatMul"(%0) : (none) -> none loc(#loc1)
    %2 = "top.Add"(%1) : (none) -> none loc(#loc2)
#loc1 = loc("a_MatMul")
#loc2 = loc("y_Add")
"""


@dataclass
class Tool:
    """Noise by the number of lines of the table; `broken` tables compile to something else."""

    folder: Path
    noise: dict[int, float]
    broken: frozenset[int] = frozenset()
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def _lines(self) -> int:
        return len((self.folder / "tower.table").read_text().splitlines())

    def run(self, program: str, *arguments: object) -> None:
        self.ran.append((program, *map(str, arguments)))
        assert ("--quantize_table" in arguments) == (self._lines() > 0)

    def simulate(self, model: str, given: Path, out: Path) -> None:
        rows = _REFERENCE[: len(np.load(given))]
        shift = np.random.default_rng(1).normal(size=_REFERENCE.shape)[: len(rows)] * self.noise[self._lines()]
        if model == "text.bmodel" and self._lines() in self.broken:
            shift = shift + np.roll(rows, 1, axis=0)
        np.save(out, (rows + shift).astype(np.float32))

    def compiled(self) -> int:
        return sum("--not_gen_bmodel" not in one for one in self.ran)


@pytest.fixture
def job(tmp_path: Path):
    """A job whose graph is a product and a sum, in a work folder."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="a"),
        helper.make_node("Add", ["a", "b"], ["y"], name="y"),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:])), tmp_path / "chip.onnx")
    (tmp_path / "tower.mlir").write_text(_TEXT)
    np.save(tmp_path / "search.npy", np.zeros((6, 4), np.int32))
    np.save(tmp_path / "reference.npy", _REFERENCE)
    request = {
        "model": "chip.onnx",
        "chip": "bm1684x",
        "wide": "F16",
        "out": "text.bmodel",
        "mean": [],
        "goal": 0.99,
        "search": str(tmp_path / "search.npy"),
        "reference": str(tmp_path / "reference.npy"),
        "choices": [[], ["a"], ["a", "y"]],
    }
    (tmp_path / launch.REQUEST).write_text(json.dumps(request))
    # Files beside the worker's are what it finds.
    return launch.Job(tmp_path, Path(sophgo_worker.__file__))


def _build(job: launch.Job, tool: Tool) -> dict[str, object]:
    return sophgo_mixed.build(job, tool, "tower.mlir", ["--quantize", "INT8"])


def test_the_first_that_keeps_the_goal_is_compiled(job) -> None:
    tool = Tool(job.folder, {0: 0.2, 1: 0.01, 2: 0.0})
    found = _build(job, tool)
    assert found["chosen"] == 1
    first, second = found["attempts"]
    assert first["reached"] < 0.99 < second["reached"] < 1
    assert first["same"] is None
    assert second["same"] == pytest.approx(1)
    assert (second["layers"], second["of"], second["own"], second["merged"], second["none"]) == (1, 2, 1, 0, 0)
    assert tool.compiled() == 1
    assert (job.folder / "tower.table").read_text() == "a_MatMul F16\n"
    stages = (job.folder / launch.STAGES).read_text()
    assert "trying 1 of 2 layers in F16 (2 of 3)" in stages
    assert "simulating 2 inputs" in stages


def test_nothing_in_16_bits_needs_no_table(job) -> None:
    tool = Tool(job.folder, {0: 0.01})
    assert _build(job, tool)["chosen"] == 0
    assert all("--quantize_table" not in one for one in tool.ran)


def test_what_the_compiler_computes_otherwise_than_the_interpreter_is_left(job) -> None:
    tool = Tool(job.folder, {0: 0.2, 1: 0.01, 2: 0.005}, frozenset({1}))
    found = _build(job, tool)
    assert found["chosen"] == 2
    same = [one["same"] for one in found["attempts"]]
    assert same[1] < 0.9
    assert same[2] == pytest.approx(1)
    assert tool.compiled() == 2


def test_where_none_keeps_the_goal_the_best_is_compiled(job) -> None:
    tool = Tool(job.folder, {0: 0.3, 1: 0.1, 2: 0.2})
    found = _build(job, tool)
    assert found["chosen"] == 1
    assert [one["same"] for one in found["attempts"]] == [None, None, None]
    assert tool.compiled() == 1
    assert (job.folder / "tower.table").read_text() == "a_MatMul F16\n"


def test_what_misses_the_goal_is_better_than_what_is_compiled_wrongly(job) -> None:
    tool = Tool(job.folder, {0: 0.2, 1: 0.01, 2: 0.01}, frozenset({1, 2}))
    found = _build(job, tool)
    assert found["chosen"] == 0
    assert (job.folder / "tower.table").read_text() == ""


def test_rows_that_are_not_numbers_agree_with_nothing(job) -> None:
    tool = Tool(job.folder, {0: float("nan"), 1: 0.01, 2: 0.01})
    found = _build(job, tool)
    assert found["attempts"][0]["reached"] == -1
    assert found["chosen"] == 1
