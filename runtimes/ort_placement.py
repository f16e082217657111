"""Where ONNX Runtime really put each node: from the session's own record, or from a profile of one inference."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.runtimes.protocol import NodePlacement, Placement, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SUFFIX = "ExecutionProvider"


def device_of(provider: str) -> str:
    """Return edgekit's name of a provider: ``CUDAExecutionProvider`` is ``cuda``."""
    return provider.removesuffix(_SUFFIX).lower()


def recorded(raw: Any) -> Placement | None:
    """Return the placement that the session recorded, or None where onnxruntime is too old to record it (< 1.24)."""
    if not hasattr(raw, "get_provider_graph_assignment_info"):
        return None
    nodes = [
        NodePlacement(node.name, node.op_type, device_of(subgraph.ep_name))
        for subgraph in raw.get_provider_graph_assignment_info()
        for node in subgraph.get_nodes()
    ]
    return Placement(tuple(nodes))


def elsewhere(placement: Placement | None, device: str) -> list[NodePlacement]:
    """Return the nodes that did not go to a device.

    Args:
        placement: of a session; None where it is not known.
        device: of the runtime, such as ``qnn:QCS6490``.

    Returns:
        Those nodes, in the graph's order; none where the placement is not known.
    """
    return [node for node in placement.nodes if node.device != device.partition(":")[0]] if placement else []


def profiled(reopen: Callable[[Path], Any], inputs: Sequence[TensorInfo]) -> Placement:
    """Run one inference on zeros under the profiler and return where each node ran.

    Args:
        reopen: opens the same session again, writing its profile under the prefix given.
        inputs: the inputs; free dimensions are taken as 1.

    Returns:
        The nodes of the optimised graph in the order they ran.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-profile-") as folder:
        raw = reopen(Path(folder) / "profile")
        raw.run(None, {i.name: np.zeros([size or 1 for size in i.shape], i.dtype) for i in inputs})
        events = json.loads(Path(raw.end_profiling()).read_text())
    nodes = {
        event["name"].removesuffix("_kernel_time"): NodePlacement(
            event["name"].removesuffix("_kernel_time"), event["args"]["op_name"], device_of(event["args"]["provider"])
        )
        for event in events
        if event.get("cat") == "Node" and "provider" in event.get("args", {})
    }
    return Placement(tuple(nodes.values()))
