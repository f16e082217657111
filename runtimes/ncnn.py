"""ncnn: Tencent's engine for phones and boards, on the processor."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import engines, ncnn_model
from edgekit.runtimes.ncnn_session import NcnnSession
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import Blob

INSTALL = 'pip install "edgekit[ncnn]"'
OPTIONS: dict[str, tuple[str, ...]] = {"precision": ("high", "low")}
"""Settings that only ncnn has. ``precision=high``, the default here, computes in float32; ``low``, which is ncnn's own
default, lets processors with float16 arithmetic store and compute in it."""

# ncnn's switches of types smaller than float32; see "ncnn: fp16 and bf16" in its documentation.
_SMALL = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage")


class Ncnn:
    """The package `ncnn`, on the device ``cpu`` alone.

    Vulkan is not offered: ncnn tells which layers a GPU could take, and not which it took.
    """

    @property
    def name(self) -> str:
        """``ncnn``."""
        return "ncnn"

    @property
    def formats(self) -> frozenset[str]:
        """``ncnn``."""
        return frozenset({"ncnn"})

    def available(self) -> Availability:
        """Say whether ncnn can be imported."""
        try:
            return Availability(ok=True, version=str(_module().__version__), reason="")
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu``."""
        return ("cpu",) if self.available().ok else ()

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> NcnnSession:
        """Open an ncnn model; see `Runtime.open`.

        Args:
            artifact: a ``.param`` file; beside it the ``.bin`` file with the weights, and the ``.json`` file that says
                the tensors, see `ncnn_model`.
            device: ``cpu``.
            settings: threads (0: ncnn's choice, one per big core) and `OPTIONS` are applied; without spinning, threads
                sleep at once where OpenMP can be told so; arena has no counterpart and changes nothing.

        Returns:
            The session.

        Raises:
            ExecutionError: a file is missing or malformed, or ncnn refuses it.
            PlacementError: the device is not offered.
            InputError: an option is unknown, or has a value that it does not take.
        """
        precision = engines.named_options("ncnn", OPTIONS, settings.options).get("precision", "high")
        if device not in self.devices():
            offered = ", ".join(self.devices())
            raise PlacementError(f"{artifact.name}: ncnn offers no device {device!r} here, only {offered or 'none'}")
        weights = _sidecar(artifact, ncnn_model.WEIGHTS)
        described = _sidecar(artifact, ncnn_model.SPECS)
        try:
            text = bytes(artifact.model.view).decode("ascii")
            layers = ncnn_model.layers(text)
            specs = ncnn_model.specs(bytes(described.view), layers)
        # Not ASCII, or not JSON, is a ValueError too.
        except ValueError as error:
            raise ExecutionError(f"{artifact.name}: ncnn cannot read the model: {error}; compile it again") from error
        engine = _module()
        net = engine.Net()
        _set(net.opt, precision, settings)
        if net.load_param_mem(text) != 0:
            raise ExecutionError(f"{artifact.name}: ncnn refused the layers; it may be older than the model")
        # From a file: the package takes no bytes, and cannot start in the middle of a bundle.
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            path = Path(folder) / "model.bin"
            path.write_bytes(weights.view)
            if net.load_model(str(path)) != 0:
                raise ExecutionError(f"{artifact.name}: ncnn refused the weights; compile it again")
        return NcnnSession(engine, net, artifact.name, specs, layers)


def _set(options: Any, precision: str, settings: SessionSettings) -> None:
    options.use_vulkan_compute = False
    # Its own count is the machine's, whatever share of it this process may use.
    options.num_threads = settings.threads or min(options.num_threads, len(os.sched_getaffinity(0)))
    if not settings.spinning:
        options.openmp_blocktime = 0
    if precision == "high":
        for name in _SMALL:
            setattr(options, name, False)


def _sidecar(artifact: Artifact, ending: str) -> Blob:
    found = [blob for name, blob in artifact.sidecars.items() if name.endswith(ending)]
    if len(found) != 1:
        raise ExecutionError(
            f"{artifact.name}: an ncnn model has one file *{ending} beside it, here are {len(found)}; compile it again"
        )
    return found[0]


def _module() -> Any:
    return engines.imported("ncnn", "Net", INSTALL)
