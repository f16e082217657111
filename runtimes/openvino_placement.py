"""Where OpenVINO puts each node: what a device says before it gets a model, and what the CPU really executes."""

from __future__ import annotations

from typing import Any

from edgekit.runtimes.protocol import NodePlacement, Placement

# Ends and constants, which no device computes.
_NO_WORK = frozenset({"Parameter", "Result", "Constant", "Const", "Input", "Output"})


def asked(core: Any, model: Any, target: str) -> tuple[Placement, tuple[str, ...]]:
    """Ask a device which nodes it would take.

    Args:
        core: an `openvino.Core`.
        model: an `openvino.Model`.
        target: OpenVINO's name of the device, or ``HETERO:…``.

    Returns:
        The nodes that would be taken, and those that would not, as ``operator name``.
    """
    answer = {str(name): str(device).lower() for name, device in core.query_model(model, target).items()}
    work = [op for op in model.get_ordered_ops() if op.get_type_name() not in _NO_WORK]
    taken = [op for op in work if op.get_friendly_name() in answer]
    nodes = (NodePlacement(op.get_friendly_name(), op.get_type_name(), answer[op.get_friendly_name()]) for op in taken)
    left = tuple(f"{op.get_type_name()} {op.get_friendly_name()}" for op in work if op not in taken)
    return Placement(tuple(nodes)), left


def executed(compiled: Any, device: str) -> Placement:
    """Return the nodes of the graph as the CPU executes it, with the kind of each kernel.

    Args:
        compiled: an `openvino.CompiledModel` of the CPU.
        device: its name for the placement.

    Returns:
        The nodes in their order of execution; the operator is OpenVINO's own after fusing, such as ``FullyConnected``.
    """
    ops = compiled.get_runtime_model().get_ordered_ops()
    kinds = [(op.get_friendly_name(), str(op.get_rt_info()["layerType"].value)) for op in ops]
    return Placement(tuple(NodePlacement(name, kind, device) for name, kind in kinds if kind not in _NO_WORK))
