"""One node of an ONNX graph, ready to be computed with torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


@dataclass(frozen=True)
class Call:
    """A node.

    Attributes:
        name: key of the node, unique in its graph.
        op: operator of ONNX's own set at opset 17, or one that `patterns` made of several.
        inputs: names of the values read; empty where an optional input is absent.
        outputs: names of the values written.
        attributes: by name; tensors as NumPy arrays, texts as str.
        constants: the inputs known without running the graph, by position.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[int, npt.NDArray[Any]] = field(default_factory=dict)

    def has(self, position: int) -> bool:
        """Say whether an optional input is given."""
        return position < len(self.inputs) and bool(self.inputs[position])

    def known(self, position: int) -> npt.NDArray[Any]:
        """Return the value of an input that a static graph must know.

        Args:
            position: of the input.

        Returns:
            Its value.

        Raises:
            UnsupportedModelError: it depends on the graph's input.
        """
        if position not in self.constants:
            raise self.unsupported(f"its input {position} ('{self.inputs[position]}') depends on the graph's input")
        return self.constants[position]

    def integers(self, position: int) -> list[int]:
        """Return a known input as a list of integers; a scalar gives one."""
        return [int(value) for value in np.atleast_1d(self.known(position)).ravel()]

    def axes(self, position: int = 1) -> list[int] | None:
        """Return the axes of an operator that took them as an attribute once and as an input later; None for all."""
        if "axes" in self.attributes:
            return [int(axis) for axis in self.attributes["axes"]]
        return self.integers(position) if self.has(position) else None

    def unsupported(self, why: str) -> UnsupportedModelError:
        """Return an error that names this node and operator."""
        return UnsupportedModelError(
            f"node '{self.name}' ({self.op}): {why}; LiteRT files cannot be made of this model"
        )


def read_call(node: onnx.NodeProto, name: str) -> Call:
    """Read a node.

    Args:
        node: of a graph without control flow.
        name: what to call it; unique in its graph, as nodes' own names need not be.

    Returns:
        The call, no constant known yet.

    Raises:
        UnsupportedModelError: the node holds a graph of its own, or is no standard operator.
    """
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.GraphProto) or attribute.type == onnx.AttributeProto.GRAPHS:
            raise UnsupportedModelError(
                f"node '{name}' ({node.op_type}): control flow; no LiteRT file can be made of this model"
            )
        if isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    call = Call(name, node.op_type, tuple(node.input), tuple(node.output), attributes)
    if node.domain not in ("", "ai.onnx"):
        raise call.unsupported(f"'{node.domain}' is not ONNX's own operator set")
    return call
