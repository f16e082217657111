"""Runs inside the toolchain ``qnn``, where edgekit is not installed: lets the provider compile a finished file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

_PROVIDER = "QNNExecutionProvider"
_ERRORS_ONLY = 4
_SDK = "ep_sdk_version"


def run(job: Job) -> dict[str, Any]:
    """Compile, and run both files: what the provider compiles when it opens one, and what was compiled in advance.

    Args:
        job: its request has the quantized file, the chip's numbers, the inputs' file, and the name to write.

    Returns:
        Each node with its provider, the largest difference of one component between the two, and the versions.
    """
    import numpy as np

    asked = job.request
    model, out = job.folder / asked["model"], job.folder / asked["out"]
    chip = {key: str(asked[key]) for key in ("soc_model", "htp_arch")}
    inputs = np.load(asked["inputs"], allow_pickle=False)
    job.stage("compiling in advance")
    # One file with the binary inside: it opens from memory, where nothing can be written.
    session = _open(model, chip, {"enable": "1", "file_path": str(out), "embed_mode": "1"})
    nodes = [
        [node.name, node.op_type, part.ep_name]
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]
    plain = _simulate(session, inputs)
    sdk = _settle(out, model)
    job.stage("simulating what was compiled in advance")
    compiled = _simulate(_open(out, chip, {}), inputs)
    difference = float(np.abs(compiled.astype(np.float64) - plain).max())
    return {"nodes": nodes, "difference": difference, "versions": _versions(), "sdk": sdk}


def _open(model: Path, chip: dict[str, str], entries: dict[str, str]) -> Any:
    import onnxruntime as ort
    import onnxruntime_qnn

    if not any(one.ep_name == _PROVIDER for one in ort.get_ep_devices()):
        ort.register_execution_provider_library(_PROVIDER, onnxruntime_qnn.get_library_path())
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for name, value in entries.items():
        options.add_session_config_entry(f"ep.context_{name}", value)
    devices = [one for one in ort.get_ep_devices() if one.ep_name == _PROVIDER]
    options.add_provider_for_devices(devices, {"backend_type": "htp", **chip})
    return ort.InferenceSession(str(model), options)


def _simulate(session: Any, inputs: Any) -> Any:
    import numpy as np

    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in inputs])


def _settle(compiled: Path, source: Path) -> str:
    """Give a compiled file the version of what it came from; return that of the vendor's libraries.

    onnxruntime 1.32 writes the newest version of the format whatever it read, which 1.31 on a device does not open.
    """
    import onnx

    model = onnx.load(compiled)
    model.ir_version = onnx.load(source, load_external_data=False).ir_version
    used = {node.domain for node in model.graph.node} | {""}
    imports = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    onnx.save(model, compiled)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == _SDK:
                return str(attribute.s.decode())
    raise RuntimeError(f"{compiled.name} has no {_SDK}: the provider compiled nothing")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnxruntime-qnn")}
