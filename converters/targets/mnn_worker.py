"""Runs inside the toolchain ``mnn``, where edgekit is not installed: converts a graph, runs the file with MNN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

# Weights with one symmetric scale a channel: asymmetric ones, and blocks of 32, lost more of the starter.
_STORED = {"fp32": (), "fp16": ("--fp16",), "w8": ("--weightQuantBits", "8")}
_TOGETHER, _APART = 4, 1e-3


def run(job: Job) -> dict[str, Any]:
    """Convert and run.

    Args:
        job: its request has the model, the precision, the name of the file to write, and the inputs' files.

    Returns:
        The file, facts for the card, and the versions.
    """
    import MNN
    import numpy as np

    asked = job.request
    job.stage(f"converting in {asked['precision']}")
    out = job.folder / asked["out"]
    _convert(job, job.folder / asked["model"], out)
    module = _open(out)
    rows = {}
    for part, path in asked["parts"].items():
        job.stage(f"running the {part} inputs on MNN")
        inputs = np.load(path, allow_pickle=False)
        rows[part] = (inputs, np.concatenate([_forward(module, row[None]) for row in inputs]))
        np.save(job.folder / f"{part}.rows.npy", rows[part][1], allow_pickle=False)
    job.stage("running a batch on MNN")
    inputs, single = (array[:_TOGETHER] for array in rows["held-out"])
    apart = float(np.abs(_forward(module, inputs) - single).max())
    # A NaN compares with nothing.
    if not apart <= _APART:
        raise job.refused(f"MNN computes a batch of {len(inputs)} otherwise than its rows: {apart:.3g} apart")
    facts = {"batch": f"{len(inputs)} together are at most {apart:.1e} from one by one"}
    return {"files": [asked["out"]], "facts": facts, "versions": {"MNN": MNN.version()}}


def _convert(job: Job, model: Any, out: Any) -> None:
    # The binding itself: the package's own command installs what sends the conversion to its vendor.
    import _tools

    stored = _STORED[job.request["precision"]]
    # Without --transformerFuse, which takes 30 % off a text's time and computes masked texts of a batch wrongly.
    how = ("--bizCode", "edgekit", *stored)
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(out), *how])
    if not out.exists():
        raise job.refused("MNN's converter wrote no file; its log says why")


def _open(path: Any) -> Any:
    import MNN

    settings = {"backend": "CPU", "numThread": 1, "precision": "high"}
    runtime = MNN.nn.create_runtime_manager((settings,))
    return MNN.nn.load_module_from_file(str(path), [], [], runtime_manager=runtime, dynamic=False, shape_mutable=True)


def _forward(module: Any, rows: Any) -> Any:
    import MNN
    import numpy as np

    expr = MNN.expr
    kind = expr.uint8 if rows.dtype == np.uint8 else expr.int
    value = expr.const(np.ascontiguousarray(rows), list(rows.shape), expr.NCHW, kind)
    # Copied: what it gives is the engine's own memory.
    return np.array(module.onForward([value])[0].read())
