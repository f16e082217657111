"""What a compiler cannot do is named before it is tried."""

from __future__ import annotations

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
