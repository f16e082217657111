"""A foreign graph at the contract's opset computes what it computed before, or the operator in the way is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import foreign_graphs as foreign
from edgekit.converters.sources.onnx_folder_opset import to_contract
from edgekit.errors import UnsupportedModelError
from foreign_graphs import info

X = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
HERE = Path("in.onnx")
SAVED = {"inputs": [info("x", 1, ["N", 4])], "outputs": [info("y", 1, None)]}


def run(model: onnx.ModelProto) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]


def opset_of(model: onnx.ModelProto) -> int:
    (entry,) = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return int(entry.version)


def made(path: Path, *nodes: onnx.NodeProto, opset: int = 17, values: dict[str, Any] | None = None) -> onnx.ModelProto:
    return onnx.load(foreign.save(path, nodes, **SAVED, values=values, opset=opset))


def test_at_the_contracts_opset_nothing_changes(tmp_path: Path) -> None:
    model = made(tmp_path / "in.onnx", helper.make_node("Neg", ["x"], ["y"]))
    before = model.SerializeToString()
    assert to_contract(model, HERE) is model
    assert model.SerializeToString() == before


@pytest.mark.parametrize("opset", [9, 13, 16, 18, 20, 21])
def test_operators_that_mean_the_same_only_change_the_number(tmp_path: Path, opset: int) -> None:
    model = made(tmp_path / "in.onnx", helper.make_node("Sigmoid", ["x"], ["y"]), opset=opset)
    changed = to_contract(model, HERE)
    assert opset_of(changed) == 17
    np.testing.assert_allclose(run(changed), 1 / (1 + np.exp(-X)), atol=1e-6)


def test_axes_move_from_an_attribute_to_an_input(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["x"], ["wide"], axes=[1]),
        helper.make_node("ReduceSum", ["wide"], ["y"], axes=[2], keepdims=0),
    ]
    changed = to_contract(made(tmp_path / "in.onnx", *nodes, opset=11), HERE)
    assert opset_of(changed) == 17
    np.testing.assert_allclose(run(changed), X.sum(axis=1, keepdims=True), atol=1e-6)


def test_and_back_from_an_input_to_an_attribute(tmp_path: Path) -> None:
    """ReduceMean takes its axes as an input from opset 18 on."""
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    changed = to_contract(made(tmp_path / "in.onnx", node, opset=18, values={"axes": np.array([1])}), HERE)
    assert opset_of(changed) == 17
    np.testing.assert_allclose(run(changed), X.mean(axis=1), atol=1e-6)


def test_local_functions_are_written_out(tmp_path: Path) -> None:
    """PyTorch's newer exporter packs a module into a function of the model's own domain."""
    model = made(tmp_path / "in.onnx", helper.make_node("Twice", ["x"], ["y"], domain="own"))
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(twice)
    model.opset_import.append(helper.make_opsetid("own", 1))
    changed = to_contract(model, HERE)
    assert [node.op_type for node in changed.graph.node] == ["Add"]
    np.testing.assert_allclose(run(changed), 2 * X)


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_the_standard_set_has_two_names(tmp_path: Path, domain: str) -> None:
    model = made(tmp_path / "in.onnx", helper.make_node("Neg", ["x"], ["y"]), opset=13)
    model.opset_import[0].domain = domain
    assert opset_of(to_contract(model, HERE)) == 17


def test_a_graph_without_the_standard_set_is_refused(tmp_path: Path) -> None:
    model = made(tmp_path / "in.onnx", helper.make_node("Neg", ["x"], ["y"]))
    model.opset_import[0].domain = "com.vendor"
    with pytest.raises(UnsupportedModelError, match=r"in\.onnx: the graph imports no standard operator set"):
        to_contract(model, HERE)


@pytest.mark.parametrize(
    ("name", "opset", "told"),
    [
        ("Frobnicate", 13, r"node 'odd' uses Frobnicate, unknown to the installed onnx at opset 13"),
        ("Gelu", 20, r"node 'odd' \(Gelu\) of opset 20 has no form at opset 17 .*export it at opset 17"),
        ("Sigmoid", 5, None),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path: Path, name: str, opset: int, told: str | None) -> None:
    model = made(tmp_path / "in.onnx", helper.make_node(name, ["x"], ["y"], name="odd"), opset=opset)
    if told is None:
        assert opset_of(to_contract(model, HERE)) == 17
        return
    with pytest.raises(UnsupportedModelError, match=rf"in\.onnx: {told}"):
        to_contract(model, HERE)


def test_operators_of_vendors_are_not_asked(tmp_path: Path) -> None:
    """What they mean does not follow from the standard set; another check refuses those that no device has."""
    nodes = [helper.make_node("Odd", ["x"], ["z"], domain="com.vendor"), helper.make_node("Neg", ["z"], ["y"])]
    model = made(tmp_path / "in.onnx", *nodes, opset=13)
    model.opset_import.append(helper.make_opsetid("com.vendor", 4))
    changed = to_contract(model, HERE)
    assert {entry.domain: entry.version for entry in changed.opset_import} == {"": 17, "com.vendor": 4}


def test_bodies_of_control_flow_count(tmp_path: Path) -> None:
    """The only operator that changed stands inside an If."""

    def body(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph(list(nodes), name, [], [info(name, 1, None)])

    newer = helper.make_node("Gelu", ["x"], ["then"], name="inside")
    node = helper.make_node(
        "If",
        ["yes"],
        ["y"],
        then_branch=body("then", newer),
        else_branch=body("else", helper.make_node("Neg", ["x"], ["else"])),
    )
    model = made(tmp_path / "in.onnx", node, opset=20)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    with pytest.raises(UnsupportedModelError, match=r"in\.onnx: node '(inside|)' \((Gelu|If)\) of opset 20"):
        to_contract(model, HERE)
