"""Which nodes are one step, and what is held between steps."""

from __future__ import annotations

import onnx.parser
import pytest

from edgekit.converters.targets import fused


def graph(body: str, given: str = "float[1,4] x", taken: str = "float[1,4] y", stored: str = ""):
    """Read a graph in ONNX's own short form."""
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g ({given}) => ({taken}) <{stored}> {{ {body} }}'
    )


WEIGHT = "float[4,4] w = {1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1}, float[4] b = {1,1,1,1}, float one = {1}, float half = {0.5}"
GELU = """
    p = MatMul(x, w)
    h = Add(p, b)
    scaled = Div(h, one)
    e = Erf(scaled)
    more = Add(e, one)
    both = Mul(h, more)
    g = Mul(both, half)
"""


def test_a_product_with_its_bias_and_its_gelu_is_one_step() -> None:
    (first, second) = fused.steps(graph(GELU + "y = MatMul(g, w)", stored=WEIGHT))
    assert first.nodes == ("p", "h", "scaled", "e", "more", "both", "g")
    assert first.held == ("g",), "nothing inside of the step is held"
    assert first.name == "MatMul p"
    assert (second.nodes, second.held) == (("y",), ("y",))


def test_what_is_read_before_the_activation_function_as_well_is_held_too() -> None:
    first, second, last = fused.steps(graph(GELU + "q = MatMul(h, w) y = Add(q, g)", stored=WEIGHT))
    assert first.held == ("h", "g")
    assert second.held == ("q",)
    assert last.nodes == ("y",), "a sum of two steps is a step"


def test_a_gate_of_two_tensors_is_a_step_and_of_one_is_none() -> None:
    own = fused.steps(graph("p = MatMul(x, w) s = Sigmoid(p) y = Mul(p, s)", stored=WEIGHT))
    assert [step.nodes for step in own] == [("p", "s", "y")]
    other = fused.steps(graph("p = MatMul(x, w) q = MatMul(x, w) s = Sigmoid(q) y = Mul(p, s)", stored=WEIGHT))
    assert [step.nodes for step in other] == [("p",), ("q", "s"), ("y",)]


def test_moves_belong_to_what_they_move() -> None:
    body = "p = MatMul(x, w) r = Reshape(p, shape) t = Transpose(r) y = Softmax(t)"
    steps = fused.steps(graph(body, taken="float[2,2] y", stored=WEIGHT + ", int64[2] shape = {2,2}"))
    assert [(step.nodes, step.held) for step in steps] == [(("p", "r", "t"), ("t",)), (("y",), ("y",))]


def test_a_function_of_the_graphs_own_input_begins_a_step() -> None:
    steps = fused.steps(graph("a = Mul(x, half) p = MatMul(a, w) y = Add(p, x)", stored=WEIGHT))
    assert [step.nodes for step in steps] == [("a",), ("p",), ("y",)]


def test_nodes_that_compute_no_float_are_in_no_step() -> None:
    body = "m = Greater(x, half) n = Not(m) f = Cast<to: int = 1>(n) y = Mul(f, x)"
    steps = fused.steps(graph(body, stored="float half = {0.5}"))
    assert [step.nodes for step in steps] == [("f",), ("y",)]


def test_a_step_that_nothing_reads_holds_nothing_and_is_none() -> None:
    steps = fused.steps(graph("unused = MatMul(x, w) y = MatMul(x, w)", stored=WEIGHT))
    assert [step.nodes for step in steps] == [("y",)]


def test_the_size_is_of_weights_and_of_what_is_held() -> None:
    (step,) = fused.steps(graph("p = MatMul(x, w) y = Relu(p)", stored=WEIGHT))
    assert step.size == 16 + 4
    table = "float[5,4] t = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}"
    (step,) = fused.steps(graph("y = Gather(t, x)", given="int64[3] x", taken="float[3,4] y", stored=table))
    assert step.size == 20 + 12


def test_the_last_nodes_are_held_because_they_are_returned() -> None:
    (step,) = fused.steps(graph("p = MatMul(x, w) y = Relu(p)", stored=WEIGHT))
    assert step.held == ("y",)


@pytest.mark.parametrize(
    ("body", "position"),
    [
        ("y = MatMul(x, w)", 1),
        ("y = MatMul(w, x)", None),
        ("y = MatMul(x, x)", None),
        ("y = Gather(w, x)", 0),
        ("y = Gather(x, w)", None),
        ("y = MatMul(x, b)", None),
        ("y = Add(x, w)", None),
    ],
)
def test_weights_are_stored_floats_of_two_axes(body: str, position: int | None) -> None:
    model = graph(body, stored=WEIGHT)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    assert fused.weight(model.graph.node[0], stored) == position
