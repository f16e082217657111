"""Runs inside the toolchain ``qnn``, where edgekit is not installed: quantizes a graph, simulates the chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.converters.toolchains.launch import Job

_PROVIDER = "QNNExecutionProvider"
_PREPARED, _EIGHT = "prepared.onnx", "eight.onnx"
_ERRORS_ONLY, _SHOWN = 4, 8


def run(job: Job) -> dict[str, Any]:
    """Quantize and simulate.

    Weights get a scale for each channel: with one for the whole tensor, which is the vendor's default,
    EfficientNet-Lite0 has a mean centred cosine of 0.85 in 16 bits (12 photos), and of 0.995 so (16 photos).

    Args:
        job: its request has the model, the chip's numbers, the precision, and the inputs' files; ``plain`` asks for the
            tool's own defaults, to compare with.

    Returns:
        The files, the graph first; the numbers of nodes on the processor; what was chosen; and the versions.
    """
    import onnx

    asked, tools, mixed = job.request, job.sibling("worker_tools"), job.sibling("qnn_mixed")
    out = job.folder / asked["out"]
    inputs = tools.load(asked["calibration"])
    plain = bool(asked.get("plain"))
    source = job.folder / asked["model"]
    if not plain:
        source = _prepared(source, job.folder / _PREPARED, mixed)
    chosen: dict[str, Any] = {}
    if plain:
        job.stage("quantizing with the tool's own settings")
        _quantize_plainly(source, out, inputs, 16 if asked["precision"] == "a16w8" else 8)
    elif asked["precision"] == "hybrid":
        kept, chosen = _chosen(job, source, inputs)
        job.stage(f"quantizing with {len(kept)} nodes in 16 bits")
        _quantize(source, out, inputs, 8, mixed.overrides(onnx.load(source, load_external_data=False), kept))
        built = _emulate(str(out), tools.load(asked["search"]))
        chosen["built"] = tools.centred(built, tools.load(asked["reference"]))
    else:
        bits = 16 if asked["precision"] == "a16w8" else 8
        job.stage(f"quantizing to {bits}-bit activations")
        _quantize(source, out, inputs, bits, {})
    job.stage("opening it in the chip's simulator")
    session = _whole(out, {key: str(asked[key]) for key in ("soc_model", "htp_arch")})
    for part, path in asked["parts"].items():
        job.stage(f"simulating the {part} inputs")
        tools.save(job.folder / f"{part}.rows.npy", _simulate(session, tools.load(path)))
    # The tool puts weights beside the graph where those of the float graph lay so.
    files = [name for name in (asked["out"], f"{asked['out']}.data") if (job.folder / name).exists()]
    return {"files": files, "nodes": _placed(session), "chosen": chosen, "versions": _versions()}


def _prepared(model: Path, out: Path, mixed: Any) -> Path:
    """Let the vendor's tool merge what the processor has one operator for, and name every node."""
    import onnx
    from onnxruntime.quantization.execution_providers.qnn import qnn_preprocess_model

    graph = onnx.load(out if qnn_preprocess_model(model, out) else model)
    mixed.settle(graph)
    onnx.save(graph, out, save_as_external_data=True, location=f"{out.name}.data")
    return out


def _chosen(job: Job, source: Path, inputs: Any) -> tuple[set[str], dict[str, Any]]:
    """Return the nodes that have to compute in 16 bits, and what to tell of it."""
    import onnx

    asked, tools = job.request, job.sibling("worker_tools")
    mixed, islands = job.sibling("qnn_mixed"), job.sibling("islands")
    job.stage("quantizing to 8-bit activations")
    eight = job.folder / _EIGHT
    _quantize(source, eight, inputs, 8, {})
    graph, coarse = onnx.load(source, load_external_data=False), onnx.load(eight)
    search, reference = tools.load(asked["search"]), tools.load(asked["reference"])
    parts = [islands.Part(name, nodes) for name, nodes in mixed.runs(graph, islands.MOST)]
    tried = 0

    def measure(kept: Any) -> float:
        nonlocal tried
        tried += 1
        job.stage(f"trying which nodes need 16 bits ({tried})")
        found: float = tools.centred(_emulate(mixed.emulate(coarse, kept).SerializeToString(), search), reference)
        return found

    found = islands.choose(parts, measure, asked["goal"])
    kept = {name for part in found.kept for name in part.nodes}
    told = {
        "nodes": len(kept),
        "of": len(graph.graph.node),
        "parts": [part.name for part in found.kept],
        "eight": found.plain,
        "reached": found.reached,
    }
    return kept, told


def _quantize(source: Path, out: Path, inputs: Any, bits: int, wanted: dict[str, dict[str, Any]]) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    model = onnx.load(source, load_external_data=False)
    types = {8: QuantType.QUInt8, 16: QuantType.QUInt16}
    # A scale of LayerNormalization has one entry a channel already, and the processor takes it in uint8 alone.
    norms = {node.input[1] for node in model.graph.node if node.op_type == "LayerNormalization"}
    set_so: dict[str, Any] = {scale: [{"quant_type": types[8], "symmetric": False}] for scale in norms}
    for tensor, found in wanted.items():
        set_so[tensor] = [{"quant_type": types[found["bits"]]}]
        if found["others"]:
            set_so[tensor][0]["convert"] = {"quant_type": types[24 - found["bits"]], "recv_nodes": {*found["others"]}}
    config = get_qnn_qdq_config(
        source,
        _reader(model, inputs),
        activation_type=types[bits],
        weight_type=QuantType.QInt8,
        per_channel=True,
        init_overrides=set_so,
        # Conversions are all named; the tool's own would widen every reader of 16 bits as well.
        add_qtype_converts=False,
    )
    quantize(source, out, config)


def _quantize_plainly(source: Path, out: Path, inputs: Any, bits: int) -> None:
    """Quantize as the vendor's documentation begins: the graph as it is, the tool's own preparation and settings."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

    prepared = out.with_name(_PREPARED)
    source = prepared if qnn_preprocess_model(source, prepared) else source
    reader = _reader(onnx.load(source, load_external_data=False), inputs)
    activations = QuantType.QUInt16 if bits == 16 else QuantType.QUInt8
    quantize(source, out, get_qnn_qdq_config(source, reader, activation_type=activations))


def _reader(model: Any, inputs: Any) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    name = model.graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[Any] = iter(inputs)

        def get_next(self) -> dict[str, Any] | None:
            row = next(self.rows, None)
            return None if row is None else {name: row[None]}

    return Reader()


def _emulate(model: str | bytes, inputs: Any) -> Any:
    """Run a quantized file on the processor as it is written, which the simulator agrees with."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in inputs])


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


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnxruntime-qnn")}
