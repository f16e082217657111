"""MNN: Alibaba's engine for phones and boards, on the processor."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import MissingDependencyError, PlacementError
from edgekit.runtimes import engines
from edgekit.runtimes.mnn_session import MnnSession
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    pass

INSTALL = 'pip install "edgekit[mnn]"'
OPTIONS: dict[str, tuple[str, ...]] = {"precision": ("high", "normal", "low"), "power": ("high", "normal", "low")}
"""Settings that only MNN has. ``precision=high``, the default here, computes in float32; ``normal`` and ``low`` let
processors with float16 or bfloat16 use it. ``power`` prefers big or little cores."""
_CORES = 4


class Mnn:
    """The package `MNN`. It offers the device ``cpu`` alone: of others it does not tell which node they took."""

    @property
    def name(self) -> str:
        """``mnn``."""
        return "mnn"

    @property
    def formats(self) -> frozenset[str]:
        """``mnn``."""
        return frozenset({"mnn"})

    def available(self) -> Availability:
        """Say whether MNN can be imported."""
        try:
            return Availability(ok=True, version=str(_module().version()), reason="")
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu``."""
        return ("cpu",) if self.available().ok else ()

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> MnnSession:
        """Open an MNN model; see `Runtime.open`.

        Args:
            artifact: a ``.mnn`` file with its weights inside.
            device: ``cpu``.
            settings: threads (0: one per processor, four at most) and `OPTIONS` are applied; spinning and arena have no
                counterpart in this engine and change nothing.

        Returns:
            The session.

        Raises:
            ExecutionError: the model is malformed, or MNN refuses it.
            PlacementError: the device is not offered.
            InputError: an option is unknown, or has a value that it does not take.
        """
        options = engines.named_options("MNN", OPTIONS, settings.options)
        if device not in self.devices():
            offered = ", ".join(self.devices())
            raise PlacementError(f"{artifact.name}: MNN offers no device {device!r} here, only {offered or 'none'}")
        engine = _module()
        threads = settings.threads or min(_CORES, len(os.sched_getaffinity(0)))
        defaults: dict[str, str | int] = {
            "backend": "CPU",
            "numThread": threads,
            "precision": "high",
            "power": "normal",
        }
        # From a file: it takes no bytes, and cannot start in the middle of a bundle.
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            path = Path(folder) / "model.mnn"
            path.write_bytes(artifact.model.view)
            return MnnSession(engine, path, artifact.name, {**defaults, **options})


def _module() -> Any:
    return engines.imported("MNN", "nn", INSTALL)
