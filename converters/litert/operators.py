"""The table of all operators that LiteRT files can be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.litert import ops_arithmetic, ops_matrix, ops_reduction, ops_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgekit.converters.litert.call import Call
    from edgekit.converters.litert.ops_arithmetic import Operator

OPERATORS: Mapping[str, Operator] = {
    **ops_arithmetic.OPERATORS,
    **ops_matrix.OPERATORS,
    **ops_reduction.OPERATORS,
    **ops_shape.OPERATORS,
}
"""Every operator by ONNX name: a function of the call and its inputs, in torch."""


def check_supported(calls: Iterable[Call]) -> None:
    """Refuse a graph before any long work, naming the first node whose operator is not in the table.

    Args:
        calls: the graph's nodes.

    Raises:
        UnsupportedModelError: an operator is not in the table.
    """
    for call in calls:
        if call.op not in OPERATORS:
            raise call.unsupported("there is no LiteRT form of this operator")
