"""TensorRT by its own API: NVIDIA's GPUs and the accelerators of Jetson boards, each layer accounted for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import EdgekitError, ExecutionError, PlacementError
from edgekit.runtimes import (
    compiled_cache,
    compiled_entry,
    cuda_driver,
    cuda_memory,
    engines,
    onnx_facts,
    onnx_sidecars,
    tensorrt_engine,
    tensorrt_options,
)
from edgekit.runtimes.compiled_entry import Key
from edgekit.runtimes.protocol import Artifact, Availability, NodePlacement, Placement, SessionSettings
from edgekit.runtimes.tensorrt_session import TensorRtSession

if TYPE_CHECKING:
    from edgekit.runtimes.cuda_driver import Gpu

INSTALL = "JetPack has it; elsewhere: pip install tensorrt"
PLAN = "model.plan"
_TIMING = ".timing"


class TensorRt:
    """The package `tensorrt`, 8.5 or newer. A device is ``gpu``, or ``dla0`` and ``dla1`` on boards that have them.

    Written from NVIDIA's documentation and tested with a stand-in for its package: no GPU was at hand.
    """

    @property
    def name(self) -> str:
        """``tensorrt``."""
        return "tensorrt"

    @property
    def formats(self) -> frozenset[str]:
        """``onnx``."""
        return frozenset({"onnx"})

    def available(self) -> Availability:
        """Say whether TensorRT and a GPU are here."""
        try:
            trt = _module()
            tensorrt_options.version_of(trt)
            cuda_memory.library()
            cuda_driver.gpu()
        except EdgekitError as error:
            return Availability(ok=False, version="", reason=str(error))
        return Availability(ok=True, version=str(trt.__version__), reason="")

    def devices(self) -> tuple[str, ...]:
        """Return ``gpu`` and the accelerators of this board."""
        if not self.available().ok:
            return ()
        trt = _module()
        try:
            cores = tensorrt_engine.accelerators(trt, tensorrt_engine.logger(trt, tensorrt_engine.Log()))
        except PlacementError:
            return ()
        return ("gpu", *(f"dla{core}" for core in range(cores)))

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> TensorRtSession:
        """Open an ONNX model on one device, from a kept plan where there is one; see `Runtime.open`.

        A plan is good for one version, one GPU and one driver: its key holds them, and another's is never given to
        TensorRT.

        Args:
            artifact: an ONNX model; its external data may only name the artifact's sidecars.
            device: one of `devices()`.
            settings: options are applied as `tensorrt_options.TABLE` says; threads, spinning and arena have no
                counterpart in this engine and change nothing. With ``allow_cpu`` the GPU takes what an accelerator
                does not.

        Returns:
            The session.

        Raises:
            ExecutionError: the model is malformed, or TensorRT cannot compile it.
            PlacementError: the device is not offered, or does not take every layer.
            InputError: an option is unknown, or has a value that it does not take.
        """
        options = tensorrt_options.resolve(settings.options)
        if device not in self.devices():
            offered = ", ".join(self.devices()) or f"none: {self.available().reason}"
            raise PlacementError(f"{artifact.name}: TensorRT offers no device {device!r} here, only {offered}")
        trt = _module()
        wanted = _Wanted(trt, artifact, device, settings, options)
        plan, note = wanted.plan()
        return wanted.session(plan, note)


class _Wanted:
    """A model to be opened."""

    def __init__(
        self, trt: Any, artifact: Artifact, device: str, settings: SessionSettings, options: dict[str, str]
    ) -> None:
        self._trt, self._artifact, self._device = trt, artifact, device
        self._share, self._options = settings.allow_cpu, options
        self._gpu: Gpu = cuda_driver.gpu()

    def plan(self) -> tuple[bytes, str]:
        """Return the plan, and what happened to a kept one."""
        if self._options[tensorrt_options.CACHE] == "off":
            return self._compile(), ""
        key = self.key()
        found = compiled_cache.find(key)
        if found.entry is not None:
            try:
                return (found.entry.folder / PLAN).read_bytes(), compiled_cache.EARLIER
            except OSError:
                # Another process removed it meanwhile.
                pass
        made: list[bytes] = []

        def make(folder: Path) -> Placement:
            made.append(self._compile())
            (folder / PLAN).write_bytes(made[0])
            return Placement((NodePlacement(self._artifact.name, "plan", self._device),))

        problem = compiled_cache.keep(key, make)
        return made[0] if made else self._compile(), "; ".join(filter(None, (found.note, problem)))

    def key(self) -> Key:
        """Return everything that the plan depends on."""
        share = f"share={int(self._share)}"
        return Key(
            artifact=compiled_entry.digest(self._artifact),
            runtime="tensorrt",
            compiler=f"tensorrt {self._trt.__version__}",
            device=f"{self._device} {self._gpu}",
            options=f"{tensorrt_options.compiling(self._options)} {share}",
        )

    def session(self, plan: bytes, note: str) -> TensorRtSession:
        """Open a plan."""
        name, log = self._artifact.name, tensorrt_engine.Log()
        runtime = self._trt.Runtime(tensorrt_engine.logger(self._trt, log))
        if self._device != "gpu":
            runtime.DLA_core = int(self._device.removeprefix("dla"))
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ExecutionError(f"{name}: TensorRT does not open its plan: {log.last()}")
        cuda = cuda_memory.Cuda(cuda_memory.library())
        try:
            largest = int(self._options["largest_batch"])
            session = TensorRtSession(self._trt, runtime, engine, cuda, name, self._device, note, largest)
        except BaseException:
            cuda.close()
            raise
        left = [node for node in session.placement().nodes if node.device != self._device]
        if self._device != "gpu" and left and not self._share:
            session.close()
            shown = ", ".join(node.name for node in left[:5])
            raise PlacementError(f"{name}: {len(left)} layers did not go to {self._device}: {shown}")
        return session

    def _compile(self) -> bytes:
        facts = onnx_facts.read(self._artifact.model.view, self._artifact.name)
        timing = self._timing() if self._options["timing_cache"] == "on" else None
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            path = onnx_sidecars.lay_out(self._artifact, Path(folder))
            return tensorrt_engine.build(
                self._trt,
                path,
                self._artifact.name,
                self._device,
                facts,
                self._options,
                share=self._share,
                timing=timing,
            )

    def _timing(self) -> Path:
        """Return the file of what was timed, one for each version and GPU."""
        key = Key("", "tensorrt", f"tensorrt {self._trt.__version__}", str(self._gpu), "timing")
        return compiled_cache.home() / _TIMING / f"{key.name}.cache"


def _module() -> Any:
    return engines.imported("tensorrt", "Builder", INSTALL)
