"""Runs inside the toolchain ``qnn``, where edgekit is not installed: quantizes a graph, simulates the chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.converters.toolchains.launch import Job

_PROVIDER = "QNNExecutionProvider"
_PREPARED, _ERRORS_ONLY, _SHOWN = "prepared.onnx", 4, 8


def run(job: Job) -> dict[str, Any]:
    """Quantize and simulate.

    Weights get a scale for each channel: with one for the whole tensor, which is the vendor's default,
    EfficientNet-Lite0 has a mean centred cosine of 0.85 in 16 bits, and of 0.999 so.

    Args:
        job: its request has the model, the chip's numbers, the bits of activations, and the inputs' files.

    Returns:
        The numbers of nodes on the processor, and the versions.
    """
    asked = job.request
    job.stage(f"quantizing to {asked['bits']}-bit activations")
    out = job.folder / asked["out"]
    _quantize(job.folder / asked["model"], out, _load(asked["calibration"]), int(asked["bits"]))
    job.stage("opening it in the chip's simulator")
    session = _whole(out, {key: str(asked[key]) for key in ("soc_model", "htp_arch")})
    for part, path in asked["parts"].items():
        job.stage(f"simulating the {part} inputs")
        _save(job.folder / f"{part}.rows.npy", _simulate(session, _load(path)))
    return {"nodes": _placed(session), "versions": _versions()}


def _quantize(model: Path, out: Path, inputs: Any, bits: int) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

    name = onnx.load(model, load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[Any] = iter(inputs)

        def get_next(self) -> dict[str, Any] | None:
            row = next(self.rows, None)
            return None if row is None else {name: row[None]}

    prepared = out.with_name(_PREPARED)
    source = prepared if qnn_preprocess_model(model, prepared) else model
    activations = QuantType.QUInt16 if bits == 16 else QuantType.QUInt8
    # A scale of LayerNormalization has one entry a channel already, and the processor takes it in uint8 alone.
    graph = onnx.load(source, load_external_data=False).graph
    norms = {node.input[1] for node in graph.node if node.op_type == "LayerNormalization"}
    config = get_qnn_qdq_config(
        source,
        Reader(),
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=True,
        init_overrides={scale: [{"quant_type": QuantType.QUInt8, "symmetric": False}] for scale in norms},
    )
    quantize(source, out, config)


def _whole(model: Path, chip: dict[str, str]) -> Any:
    """Open the graph on the simulated processor alone; a node that it does not take is an error that names it."""
    import onnxruntime as ort
    import onnxruntime_qnn

    ort.register_execution_provider_library(_PROVIDER, onnxruntime_qnn.get_library_path())
    try:
        return _open(model, chip, strict=True)
    except Exception as error:
        shared = _open(model, chip, strict=False)
        parts = [part for part in shared.get_provider_graph_assignment_info() if part.ep_name != _PROVIDER]
        left = [f"{node.op_type} {node.name}" for part in parts for node in part.get_nodes()]
        raise RuntimeError(f"the processor does not take {len(left)} nodes: {', '.join(left[:_SHOWN])}") from error


def _open(model: Path, chip: dict[str, str], *, strict: bool) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.disable_cpu_ep_fallback", str(int(strict)))
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    devices = [one for one in ort.get_ep_devices() if one.ep_name == _PROVIDER]
    options.add_provider_for_devices(devices, {"backend_type": "htp", **chip})
    return ort.InferenceSession(str(model), options)


def _simulate(session: Any, inputs: Any) -> Any:
    import numpy as np

    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in inputs])


def _placed(session: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        found[part.ep_name] = found.get(part.ep_name, 0) + len(part.get_nodes())
    return found


def _load(path: str) -> Any:
    import numpy as np

    return np.load(path, allow_pickle=False)


def _save(path: Path, rows: Any) -> None:
    import numpy as np

    np.save(path, rows, allow_pickle=False)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnxruntime-qnn")}
