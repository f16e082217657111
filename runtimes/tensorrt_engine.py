"""Compile an ONNX file with TensorRT's own reader and builder, whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes
from edgekit.errors import ExecutionError, InputError, PlacementError
from edgekit.runtimes import tensorrt_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.runtimes.onnx_facts import Facts

_MB = 1_000_000
_SHOWN = 5
_BATCH = 0


class Log:
    """Keeps TensorRT's messages, so that an error can say them; make the logger itself with `logger`."""

    def __init__(self) -> None:
        """Start empty."""
        self.errors: list[str] = []

    def last(self) -> str:
        """Return the last errors, in one line."""
        return "; ".join(" ".join(line.split()) for line in self.errors[-_SHOWN:]) or "it gave no reason"


def logger(trt: Any, log: Log) -> Any:
    """Return a logger of TensorRT's that keeps errors in `log` and prints nothing."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                log.errors.append(str(message))

    return Logger()


def accelerators(trt: Any, told: Any) -> int:
    """Return how many deep-learning accelerators the board has.

    Args:
        trt: the module `tensorrt`.
        told: a logger.

    Returns:
        Their number.

    Raises:
        PlacementError: TensorRT finds no GPU, without which it makes no builder.
    """
    try:
        return int(trt.Builder(told).num_DLA_cores)
    except Exception as error:
        raise PlacementError(f"TensorRT finds no GPU here: {' '.join(str(error).split())}") from error


def build(
    trt: Any,
    path: Path,
    name: str,
    device: str,
    facts: Facts,
    options: Mapping[str, str],
    *,
    share: bool,
    timing: Path | None,
) -> bytes:
    """Compile a model.

    Args:
        trt: the module `tensorrt`.
        path: the ONNX file, its external data beside it.
        name: of the artifact, for messages.
        device: ``gpu``, or ``dla0`` and ``dla1``.
        facts: about the model.
        options: of `tensorrt_options.resolve`.
        share: let the GPU take layers that an accelerator does not.
        timing: file with what earlier builds timed on this GPU, read and written; None for none.

    Returns:
        The plan.

    Raises:
        ExecutionError: TensorRT cannot read or compile the model; the message has its reasons.
        PlacementError: there is no such accelerator, or it does not take every layer.
        InputError: the model has free dimensions beside its batch.
    """
    log = Log()
    told = logger(trt, log)
    cores = accelerators(trt, told)
    builder = trt.Builder(told)
    typing = tensorrt_options.typing_of(tensorrt_options.version_of(trt), facts)
    flags = sum(1 << int(getattr(trt.NetworkDefinitionCreationFlag, flag)) for flag in typing.network)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, told)
    if not parser.parse_from_file(str(path)):
        raise ExecutionError(f"{name}: TensorRT cannot read the model: {_refusals(parser)}")
    config = builder.create_builder_config()
    for flag in typing.builder:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    _limits(trt, config, options)
    _profile(builder, network, config, name, int(options["largest_batch"]))
    if device != "gpu":
        _accelerator(trt, config, network, name, device, cores, share=share)
    cache = _timing(config, timing)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        # Without leave to share, a layer that the accelerator does not take ends here.
        kind = ExecutionError if device == "gpu" or share else PlacementError
        raise kind(f"{name}: TensorRT did not compile the model for {device}: {log.last()}")
    if cache is not None and timing is not None:
        # What cannot be kept is timed again next time.
        with suppress(OSError, InputError):
            timing.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(timing, bytes(cache.serialize()))
    return bytes(plan)


def _limits(trt: Any, config: Any, options: Mapping[str, str]) -> None:
    if "workspace_mb" in options:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(options["workspace_mb"]) * _MB)
    # Both came with 8.6.
    for name, attribute in (
        ("optimization_level", "builder_optimization_level"),
        ("auxiliary_streams", "max_aux_streams"),
    ):
        if name in options:
            if not hasattr(config, attribute):
                raise InputError(f"this TensorRT has no option {name}; it came with 8.6")
            setattr(config, attribute, int(options[name]))
    # Otherwise a plan does not tell its layers.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED


def _profile(builder: Any, network: Any, config: Any, name: str, largest: int) -> None:
    """Let the batch of a model with free batch be 1 to `largest`."""
    profile = None
    for i in range(network.num_inputs):
        given = network.get_input(i)
        shape = tuple(given.shape)
        if -1 in shape[_BATCH + 1 :]:
            raise InputError(
                f"{name}: the input {given.name} has free dimensions beside its batch, {shape}, of which TensorRT must "
                "know the range; compile the bundle for this board ('edgekit compile --target …')"
            )
        if -1 in shape:
            profile = profile or builder.create_optimization_profile()
            profile.set_shape(given.name, (1, *shape[1:]), (1, *shape[1:]), (largest, *shape[1:]))
    if profile is not None:
        config.add_optimization_profile(profile)


def _accelerator(trt: Any, config: Any, network: Any, name: str, device: str, cores: int, *, share: bool) -> None:
    core = int(device.removeprefix("dla"))
    if core >= cores:
        raise PlacementError(f"{name}: this board has no accelerator {device}, it has {cores}; use gpu")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    if share:
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
        return
    layers = (network.get_layer(i) for i in range(network.num_layers))
    left = [layer.name for layer in layers if not config.can_run_on_DLA(layer)]
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        raise PlacementError(
            f"{name}: {len(left)} layers do not go to {device}: {', '.join(left[:_SHOWN])}{more}; allow the CPU "
            "explicitly, which here lets the GPU take them"
        )


def _timing(config: Any, timing: Path | None) -> Any:
    if timing is None:
        return None
    try:
        known = timing.read_bytes()
    except OSError:
        known = b""
    cache = config.create_timing_cache(known)
    # One of another GPU or version is refused, not used.
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _refusals(parser: Any) -> str:
    found = [parser.get_error(i) for i in range(parser.num_errors)]
    told = [f"node {error.node()}: {error.desc()}" for error in found[:_SHOWN]]
    return "; ".join(" ".join(text.split()) for text in told) or "it gave no reason"
