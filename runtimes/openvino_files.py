"""OpenVINO's own files (IR): an ``.xml`` file with the graph, and a ``.bin`` file with the weights it points into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError
from edgekit.runtimes.openvino_session import told

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.runtimes.protocol import Artifact

_WEIGHTS = ".bin"


def read(ov: Any, artifact: Artifact, folder: Path) -> Any:
    """Read a model; OpenVINO checks that each of its weights lies inside the file of weights.

    Args:
        ov: the module `openvino`.
        artifact: of the format ``openvino``.
        folder: an empty one, which may be gone once the model is compiled.

    Returns:
        An `openvino.Model`.

    Raises:
        ExecutionError: the file of weights is missing, or OpenVINO cannot read the model.
    """
    weights = [blob for name, blob in artifact.sidecars.items() if name.endswith(_WEIGHTS)]
    if len(weights) != 1 or len(artifact.sidecars) != 1:
        raise ExecutionError(
            f"{artifact.name}: OpenVINO's model has one file beside it, *{_WEIGHTS} with its weights; here are "
            f"{sorted(artifact.sidecars) or 'none'}. Compile it again"
        )
    # Laid out under names of our own: the reader looks for weights beside the graph.
    path = folder / "model.xml"
    path.write_bytes(artifact.model.view)
    path.with_suffix(_WEIGHTS).write_bytes(weights[0].view)
    with told(ExecutionError, f"{artifact.name}: OpenVINO cannot read the model"):
        # This frontend alone: the others would try the same bytes as models of their own kinds.
        frontend = ov.frontend.FrontEndManager().load_by_framework("ir")
        model = frontend.convert(frontend.load(str(path)))
    return whole(model, artifact.name)


def whole(model: Any, name: str) -> Any:
    """Return a model that has inputs and outputs; of anything else OpenVINO makes an empty one without an error.

    Args:
        model: an `openvino.Model`.
        name: of the artifact, for messages.

    Returns:
        `model`.

    Raises:
        ExecutionError: it has none.
    """
    if not model.inputs or not model.outputs:
        raise ExecutionError(f"{name}: the model has no inputs or no outputs; convert it again")
    return model
