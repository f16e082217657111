"""Runs inside the toolchain ``openvino``, where edgekit is not installed: makes IR, runs it with OpenVINO's CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

_TOGETHER = 4
# With 8-bit activations a row's rounding may fall to the other side of a step; in float a batch equals its rows.
_APART = {"fp32": 1e-3, "fp16": 1e-3, "w8": 1e-3, "w8a8": 0.1}
# How far a range moves from activations to weights before products are quantized; NNCF's own default for transformers
# is 0.95. None quantizes as NNCF does for convolutions, which that way of transformers harms.
_SMOOTHING = (None, 0.95, 0.8, 0.6)
_PROPERTIES = {"EXECUTION_MODE_HINT": "ACCURACY", "PERFORMANCE_HINT": "LATENCY"}


def run(job: Job) -> dict[str, Any]:
    """Convert and run.

    Args:
        job: its request has the model, the precision, the stem of the files to write, and the inputs' files.

    Returns:
        The files, facts for the card, and the versions.
    """
    import numpy as np
    import openvino as ov

    asked = job.request
    precision, source = asked["precision"], job.folder / asked["model"]
    job.stage(f"converting in {precision}")
    facts: dict[str, str] = {}
    model = _quantized(job, source, facts) if precision == "w8a8" else _converted(source, precision)
    out = job.folder / f"{asked['out']}.xml"
    ov.save_model(model, out, compress_to_fp16=precision != "fp32")
    compiled = _compile(out)
    rows = {}
    for part, path in asked["parts"].items():
        job.stage(f"running the {part} inputs on OpenVINO")
        inputs = np.load(path, allow_pickle=False)
        rows[part] = (inputs, _apart(compiled, inputs))
        np.save(job.folder / f"{part}.rows.npy", rows[part][1], allow_pickle=False)
    job.stage("running a batch on OpenVINO")
    inputs, single = (array[:_TOGETHER] for array in rows["held-out"])
    apart = float(np.abs(compiled([inputs])[0] - single).max())
    # A NaN compares with nothing.
    if not apart <= _APART[precision]:
        raise job.refused(f"OpenVINO computes a batch of {len(inputs)} otherwise than its rows: {apart:.3g} apart")
    facts["batch"] = f"{len(inputs)} together are at most {apart:.1e} from one by one"
    return {"files": [out.name, out.with_suffix(".bin").name], "facts": facts, "versions": _versions(precision)}


def _converted(source: Any, precision: str) -> Any:
    import openvino as ov

    model = ov.Core().read_model(source)
    if precision != "w8":
        return model
    import nncf

    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)


def _quantized(job: Job, source: Any, facts: dict[str, str]) -> Any:
    """Quantize with each smoothing, and keep what agrees best with the float model on the rows for choices."""
    import openvino as ov

    asked, tools = job.request, job.sibling("worker_tools")
    calibration, search, reference = (tools.load(asked[name]) for name in ("calibration", "search", "reference"))
    tried = []
    for alpha in _SMOOTHING:
        named = "no smoothing" if alpha is None else f"smoothing {alpha:g}"
        job.stage(f"quantizing with {named}")
        model = _attempt(source, calibration, alpha)
        path = job.folder / "attempt.xml"
        ov.save_model(model, path, compress_to_fp16=True)
        tried.append((tools.centred(_apart(_compile(path), search), reference), named, model))
    facts["attempts"] = "; ".join(f"{named}: centred cosine {value:.4f}" for value, named, _ in tried)
    best, named, model = max(tried, key=lambda one: one[0])
    facts["chosen"] = f"{named} ({best:.4f} on {len(search)} rows)"
    return model


def _attempt(source: Any, calibration: Any, alpha: float | None) -> Any:
    import nncf
    import openvino as ov

    model = ov.Core().read_model(source)
    name = model.inputs[0].any_name
    # Sums of products that processors without a dot product for int8 would cut off.
    settings = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    if alpha is not None:
        settings.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=alpha)
    return nncf.quantize(
        model,
        nncf.Dataset([{name: row[None]} for row in calibration]),
        subset_size=len(calibration),
        model_type=None if alpha is None else nncf.ModelType.TRANSFORMER,
        advanced_parameters=settings,
    )


def _compile(path: Any) -> Any:
    import openvino as ov

    return ov.Core().compile_model(path, "CPU", _PROPERTIES)


def _apart(compiled: Any, inputs: Any) -> Any:
    import numpy as np

    return np.concatenate([np.array(compiled([row[None]])[0]) for row in inputs])


def _versions(precision: str) -> dict[str, str]:
    from importlib.metadata import version

    tools = ("openvino", "nncf") if precision in ("w8", "w8a8") else ("openvino",)
    return {name: version(name) for name in tools}
