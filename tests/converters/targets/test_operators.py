"""What a compiler cannot do is named before it is tried."""

from __future__ import annotations

from importlib.resources import files

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.converters.targets import operators
from edgekit.converters.targets.operators import Refusal, Table
from edgekit.errors import UnsupportedModelError

TABLE = Table("tool 1", 17, ("Relu",), {"NonZero": Refusal("its length is not fixed", "Use a mask.")})


def _model(op: str, domain: str = "", opset: int = 17):
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xy"]
    node = helper.make_node(op, ["x"], ["y"], "blocks.3", domain=domain)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(helper.make_graph([node], "g", infos[:1], infos[1:]), opset_imports=imports)


def test_known_and_unknown_operators_pass() -> None:
    assert operators.check(_model("Relu"), TABLE, "image") == ()
    assert operators.check(_model("Elu"), TABLE, "image") == ("Elu (1)",)


def test_a_refused_one_is_named_with_reason_and_offer() -> None:
    told = (
        r"text tower's node 'blocks\.3' \(NonZero\) cannot be compiled by tool 1: its length is not fixed\. Use a mask"
    )
    with pytest.raises(UnsupportedModelError, match=told):
        operators.check(_model("NonZero"), TABLE, "text")


def test_foreign_operators_and_newer_sets_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"\(Gelu\).*com\.microsoft is not a standard operator set"):
        operators.check(_model("Gelu", "com.microsoft"), TABLE, "text")
    with pytest.raises(UnsupportedModelError, match="uses operator set 18, tool 1 reads 17"):
        operators.check(_model("Relu", opset=18), TABLE, "text")


def test_the_real_table_is_whole() -> None:
    table = operators.read("rknn")
    assert table.opset == 19
    assert {"Conv", "MatMul", "Softmax", "LayerNormalization", "Gather"} <= set(table.proven)
    assert not set(table.proven) & set(table.refused)
    assert all(refusal.reason and refusal.offer.endswith(".") for refusal in table.refused.values())


@pytest.mark.parametrize(("name", "operator"), [("ethos_u", "Conv"), ("qnn", "LayerNormalization")])
def test_a_table_knows_what_its_tests_ran_and_names_its_tool(name, operator) -> None:
    table = operators.read(name)
    assert operator in table.proven
    assert operators.check(_model("Relu"), table, "image") == ()
    assert table.tool.split(" ")[-1][0].isdigit()
    assert not set(table.proven) & set(table.refused)


def _branching(op: str, domain: str = ""):
    """A graph whose one node is an If, with an operator in each of its bodies."""
    kept = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 2))
    bodies = {
        "then_branch": helper.make_graph([helper.make_node("Relu", ["x"], ["z"], "inner.0")], "then", [], [kept]),
        "else_branch": helper.make_graph(
            [helper.make_node(op, ["x"], ["z"], "inner.1", domain=domain)], "e", [], [kept]
        ),
    }
    node = helper.make_node("If", ["flag"], ["y"], "branch", **bodies)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xy"]
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, ())
    graph = helper.make_graph([node], "g", [flag, infos[0]], infos[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_bodies_of_control_flow_are_looked_into() -> None:
    assert operators.check(_branching("Elu"), TABLE, "text") == ("Elu (1)", "If (1)")
    with pytest.raises(UnsupportedModelError, match=r"node 'inner\.1' \(NonZero\) cannot be compiled by tool 1"):
        operators.check(_branching("NonZero"), TABLE, "text")
    with pytest.raises(UnsupportedModelError, match=r"'inner\.1' \(Gelu\).*com\.microsoft is not a standard"):
        operators.check(_branching("Gelu", "com.microsoft"), TABLE, "text")


def test_a_node_without_a_name_is_told_by_what_it_makes() -> None:
    model = _model("NonZero")
    model.graph.node[0].name = ""
    with pytest.raises(UnsupportedModelError, match=r"tower's node 'y' \(NonZero\)"):
        operators.check(model, TABLE, "image")


def test_the_standard_set_has_two_names() -> None:
    assert operators.check(_model("Relu", "ai.onnx"), TABLE, "image") == ()


def _tables():
    return sorted(
        path.name.removesuffix(".json") for path in (files("edgekit.converters.targets") / "operators").iterdir()
    )


@pytest.mark.parametrize("name", _tables())
def test_every_table_says_what_it_can_and_what_to_do_about_the_rest(name) -> None:
    table = operators.read(name)
    # NVIDIA's lists have three of ONNX's first, experimental operators, which it dropped since.
    dropped = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"} if name.startswith("tensorrt") else set()
    known = {item.name for item in onnx.defs.get_all_schemas()} | dropped
    # Lists are kept in order: an operator that stands twice, or in both, is a slip of the hand.
    assert list(table.proven) == sorted(set(table.proven))
    assert not set(table.proven) & set(table.refused)
    assert {*table.proven, *table.refused} <= known
    # A message is "…: reason. Offer."
    assert all(one.offer[:1].isupper() and one.offer.endswith(".") for one in table.refused.values())
    assert all(one.reason for one in table.refused.values())
    assert not any(one.reason.endswith(".") for one in table.refused.values())
    # A master's operator set: a table below it would refuse every tower. Jetson's is declared anew first.
    assert table.opset >= 17 or name == "tensorrt-8.2"
    assert "  " not in table.tool and table.tool.strip() == table.tool
