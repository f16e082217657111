"""One tower on this device: a runtime's session behind 'contract input in, unit rows out'."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit.adapting import PROJECTION, input_adapter, unit_rows
from edgekit.errors import ExecutionError
from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec, TowerRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.runtimes.protocol import Placement, Runtime, Session, SessionSettings

# Larger batches gain nothing on edge devices and let activations grow without bound.
MAX_BATCH = 16


class DeviceTower:
    """An opened tower. `embed` may be called from several threads at once."""

    def __init__(self, session: Session, record: TowerRecord, name: str, image: ImageSpec | None = None) -> None:
        """Check that the session's tensors are the manifest's; `name` is for messages, `image` for an image tower."""
        self._session = session
        self._name = name
        self._dimension = int(record.output.shape[1])
        self._input, self._output = record.input.name, record.output.name
        self._normalize = record.output.name == PROJECTION
        problem = _problem(session, record)
        if problem:
            session.close()
            raise ExecutionError(f"{name}: {problem}; convert it again")
        self._adapt = input_adapter(record.input, image)
        self._static_batch = session.inputs[0].shape[0]
        self._static_length = session.inputs[0].shape[1] if len(session.inputs[0].shape) == 2 else None

    @property
    def static_length(self) -> int | None:
        """The one number of token ids that a text tower takes; None where it may vary, and for an image tower."""
        return self._static_length

    def embed(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return unit rows for a batch of any size.

        Args:
            batch: uint8 (N, H, W, 3) RGB pixels for an image tower, int32 (N, L) token ids for a text tower.

        Returns:
            (N, D) float32, owned by the caller.

        Raises:
            ExecutionError: the engine failed, or returned a NaN or an infinity.
        """
        size = self._static_batch or MAX_BATCH
        if len(batch) == size or (self._static_batch is None and 0 < len(batch) <= size):
            return self._run(batch)
        parts = [self._run_padded(batch[start : start + size]) for start in range(0, len(batch), size)]
        return np.concatenate(parts) if parts else np.empty((0, self._dimension), np.float32)

    def placement(self) -> Placement:
        """Return which node runs where."""
        return self._session.placement()

    def close(self) -> None:
        """Free the engine's memory."""
        self._session.close()

    def _run_padded(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        missing = (self._static_batch or len(batch)) - len(batch)
        if not missing:
            return self._run(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        return self._run(padded)[: len(batch)]

    def _run(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        given = self._adapt(batch) if self._adapt else batch
        rows = self._session.run({self._input: given})[self._output]
        if rows.shape != (len(batch), self._dimension):
            wanted = (len(batch), self._dimension)
            raise ExecutionError(f"{self._name}: the embedding has shape {rows.shape}, the manifest says {wanted}")
        if not np.isfinite(rows).all():
            raise ExecutionError(f"{self._name}: the embedding holds NaN or infinity; run 'edgekit verify'")
        found = cast("npt.NDArray[np.float32]", rows)
        return unit_rows(found) if self._normalize else found


def _problem(session: Session, record: TowerRecord) -> str:
    """Say what differs between a session's tensors and the manifest's; empty when nothing does."""
    for what, infos, spec in (("input", session.inputs, record.input), ("output", session.outputs, record.output)):
        info = next((info for info in infos if info.name == spec.name), None)
        if info is None or (what == "input" and len(infos) != 1):
            found = ", ".join(info.name for info in infos)
            return f"the graph's {what}s are {found}, the manifest says {spec.name}"
        if info.dtype != spec.dtype:
            return f"{spec.name} is {info.dtype}, the manifest says {spec.dtype}"
    if record.output.dtype != "float32" or len(session.inputs[0].shape) != len(record.input.shape):
        return f"{record.output.name} is not float32, or {record.input.name} has another number of dimensions"
    return ""


def open_tower(
    bundle: Bundle, record: TowerRecord, kind: str, runtime: Runtime, device: str, settings: SessionSettings
) -> DeviceTower:
    """Open one tower of a bundle.

    Args:
        bundle: opened; the tower's files are checked against their digests first.
        record: the tower.
        kind: artifact format, such as ``onnx``.
        runtime: opens that format.
        device: one of the runtime's devices.
        settings: of the session.

    Returns:
        The tower, ready to run.

    Raises:
        BundleError: a file is damaged.
        ExecutionError: the runtime refused the model.
    """
    artifact = artifact_of(bundle, record, kind)
    image = bundle.manifest.image if len(record.input.shape) == 4 else None
    return DeviceTower(runtime.open(artifact, device, settings), record, artifact.name, image)


def artifact_of(bundle: Bundle, record: TowerRecord, kind: str) -> Artifact:
    """Return a tower's files as a runtime opens them; a `BundleError` where one is damaged."""
    sidecars = {path.rpartition("/")[2]: _blob(bundle, path) for path in record.sidecars}
    return Artifact(f"{bundle.where}: {record.artifact}", kind, _blob(bundle, record.artifact), sidecars)


def _blob(bundle: Bundle, path: str) -> Blob:
    view = bundle.read(path)
    location = bundle.location(path)
    return Blob(view) if location is None else Blob(view, *location)
