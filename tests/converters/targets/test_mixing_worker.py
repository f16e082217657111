"""The child that measures a prepared graph: both towers, in the child's own process, and what it says."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import tiny_masters
from edgekit.adapting import unit_rows
from edgekit.converters.quantize.data import CALIBRATION, SEARCH
from edgekit.converters.targets import fused, prepare_worker, static, steps
from edgekit.converters.targets.records import Chip, TowerJob
from edgekit.errors import ConversionError

CHIP = Chip("rk3588", "rk3588", ("hybrid",), "vendor simulator", "")
GOAL = 0.9995


def job(folder, tower: str):
    master = tiny_masters.save(folder / "master.onnx", tower)
    rows = tiny_masters.samples(tower, 10)
    parts = {CALIBRATION: folder / "calibration.npy", SEARCH: folder / "search.npy"}
    np.save(parts[CALIBRATION], rows[:5])
    np.save(parts[SEARCH], rows[5:])
    session = onnxruntime.InferenceSession(master, providers=["CPUExecutionProvider"])
    np.save(folder / "reference.npy", session.run(None, {session.get_inputs()[0].name: rows[5:]})[0])
    shape = (1, *rows.shape[1:])
    work = folder / "work"
    work.mkdir()
    return TowerJob(tower, CHIP, "hybrid", master, shape, parts, folder / "reference.npy", GOAL, work)


@pytest.fixture(name="measured", scope="module", params=["image", "text"])
def _measured(request, tmp_path_factory):
    made = job(tmp_path_factory.mktemp(request.param), request.param)
    stages = []
    asked = prepare_worker.Request(str(made.master), made.shape, made.tower, "rknn")
    facts = steps.prepare(made, asked, stages.append)
    return made, facts, steps.mixes(made, facts, stages.append, symmetric=False), stages


def test_every_step_of_the_graph_has_a_figure(measured) -> None:
    made, _, found, _ = measured
    in_graph = fused.steps(onnx.load(made.folder / prepare_worker.GRAPH))
    assert [one.nodes for one in found.steps] == [step.nodes for step in in_graph]
    assert [one.size for one in found.steps] == [step.size for step in in_graph]
    assert all(0 <= one.loss <= 2 for one in found.steps)
    assert any(one.loss > 0 for one in found.steps)


def test_mixes_reach_their_goals_in_order(measured) -> None:
    _, _, found, _ = measured
    assert found.mixes
    assert found.plain < found.mixes[-1].reached
    assert [mix.goal for mix in found.mixes] == sorted(mix.goal for mix in found.mixes)
    names = {one.name for one in found.steps}
    for mix in found.mixes:
        assert mix.reached >= mix.goal >= GOAL
        assert set(mix.steps) <= names


def test_stages_are_told_with_the_towers_name(measured) -> None:
    made, _, found, stages = measured
    assert f"{made.tower} tower: measuring what each of {len(found.steps)} steps loses in 8 bits" in stages
    assert stages[-1] == f"{made.tower} tower: choosing what stays in 16 bits"


def test_the_same_question_has_the_same_answer(measured) -> None:
    made, facts, found, _ = measured
    assert steps.mixes(made, facts, lambda stage: None, symmetric=False) == found


def test_inputs_are_scaled_as_the_compilers_own_input_does(measured) -> None:
    made, facts, _, _ = measured
    rows = static.scaled(np.load(made.inputs[SEARCH]), facts.mean, facts.std)
    session = onnxruntime.InferenceSession(made.folder / prepare_worker.GRAPH, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    found = unit_rows(np.concatenate([session.run(None, {given: row[None]})[0] for row in rows]))
    np.testing.assert_allclose(found, np.load(made.reference), atol=2e-5)


def test_a_graph_that_is_no_graph_ends_with_its_reason(tmp_path) -> None:
    made = job(tmp_path, "text")
    (made.folder / prepare_worker.GRAPH).write_bytes(b"none")
    with pytest.raises(ConversionError, match=r"chip\.onnx"):
        steps.mixes(made, prepare_worker.Facts("x", 1, (), (), 0, 0, ()), lambda stage: None, symmetric=True)
