"""Runs inside the toolchain ``rknn``, where edgekit is not installed: builds a graph, simulates it, exports it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

    # The tool's way to find ranges; the cosine below which a layer stays in float16, or None; and which layers stay
    # there by edgekit's choice: none, the running sum, or the products that are added to it as well.
    Attempt = tuple[str, float | None, str]

# Layers whose own cosine is below the threshold stay in float16; from the least of them to nearly all.
_THRESHOLDS = (0.98, 0.995, 0.9995)
_SUM, _ADDED = "sum", "added"
_WORST = 5
_ANALYSIS = "error_analysis.txt"


def run(job: Job) -> dict[str, Any]:
    """Build what the request says, choosing by the search rows where there is a choice.

    Args:
        job: its request has the model, the platform, the precision, the scaling, and the inputs' files; ``plain`` asks
            for the tool's own defaults, to compare with.

    Returns:
        The attempts with their centred cosines, the one that was taken, the layers that lose most, and the version.
    """
    _writable_arrays()
    asked, tools = job.request, job.sibling("worker_tools")
    search, reference = tools.load(asked["search"]), tools.load(asked["reference"])
    attempts: list[tuple[str, float]] = []
    choices = _choices(asked["precision"], plain=bool(asked.get("plain")))
    best = ""
    tool: Any = None
    for name, attempt in choices.items():
        tool = _build(job, name, attempt)
        job.stage(f"simulating {name}")
        found = tools.centred(_simulate(tool, search), reference)
        attempts.append((name, found))
        best = max(attempts, key=lambda one: one[1])[0]
        if found >= asked["goal"]:
            break
        if name != list(choices)[-1]:
            tool.release()
    if best != attempts[-1][0]:
        tool.release()
        tool = _build(job, best, choices[best])
    for part, path in asked["parts"].items():
        job.stage(f"simulating the {part} inputs")
        tools.save(job.folder / f"{part}.rows.npy", _simulate(tool, tools.load(path)))
    _done(tool.export_rknn(asked["out"]), "export_rknn")
    worst = [] if asked["precision"] == "fp16" else _analyse(job, tool)
    return {"attempts": attempts, "chosen": best, "worst": worst, "version": _version()}


def _choices(precision: str, *, plain: bool) -> dict[str, Attempt]:
    """Return what to try, in order, until the goal is reached."""
    normal, fitted = "normal", "mmse"
    if precision == "hybrid" and plain:
        return {"hybrid": (normal, _THRESHOLDS[0], "")}
    if precision == "hybrid":
        return {
            "hybrid, the running sum in float16": (normal, None, _SUM),
            "hybrid, the running sum and what is added to it in float16": (normal, None, _ADDED),
            **{
                f"hybrid, layers below {threshold:g} in float16, ranges of least square error": (fitted, threshold, "")
                for threshold in _THRESHOLDS
            },
        }
    if precision == "w8a8" and not plain:
        return {"w8a8": (normal, None, ""), "w8a8, ranges of least square error": (fitted, None, "")}
    return {precision: (normal, None, "")}


def _build(job: Job, name: str, attempt: Attempt) -> Any:
    from rknn.api import RKNN

    asked = job.request
    quantized = asked["precision"] != "fp16"
    algorithm, threshold, layers = attempt
    settings: dict[str, Any] = {"target_platform": asked["platform"]}
    if quantized:
        settings["quantized_algorithm"] = algorithm
    if asked["mean"]:
        settings |= {"mean_values": [asked["mean"]], "std_values": [asked["std"]]}
    if threshold is not None:
        settings["auto_hybrid_cos_thresh"] = threshold
    job.stage(f"building {name} for {asked['platform']}")
    tool = RKNN(verbose=False)
    tool.config(**settings)
    if layers and (chosen := _chosen(job, settings, layers)):
        _done(tool.hybrid_quantization_step2(*chosen), "hybrid_quantization_step2")
        _done(tool.init_runtime(), "init_runtime")
        return tool
    _done(tool.load_onnx(model=asked["model"]), "load_onnx")
    dataset = _dataset(job) if quantized else None
    _done(tool.build(do_quantization=quantized, dataset=dataset, auto_hybrid=threshold is not None), "build")
    # Without a target this is the simulator, which only works in the process that built.
    _done(tool.init_runtime(), "init_runtime")
    return tool


def _chosen(job: Job, settings: dict[str, Any], layers: str) -> tuple[str, str, str] | None:
    """Return the files of the tool's second step, with layers in float16; None where the graph has none of them."""
    import onnx
    from rknn.api import RKNN

    found = job.sibling("rknn_layers")
    stem = Path(job.request["model"]).stem
    model, ranges, plain = (job.folder / f"{stem}.{ending}" for ending in ("model", "data", "quantization.cfg"))
    if not plain.exists():
        first = RKNN(verbose=False)
        first.config(**settings)
        _done(first.load_onnx(model=job.request["model"]), "load_onnx")
        _done(first.hybrid_quantization_step1(dataset=_dataset(job), proposal=False), "hybrid_quantization_step1")
        first.release()
    names = found.running_sum(onnx.load(str(model), load_external_data=False), products=layers == _ADDED)
    if not names:
        return None
    configuration = job.folder / f"{stem}.{layers}.cfg"
    configuration.write_text(found.configured(plain.read_text(encoding="utf-8"), names), encoding="utf-8")
    return str(model), str(ranges), str(configuration)


def _dataset(job: Job) -> str:
    """Write the calibration inputs one file each, as the tool wants them: images with channels first."""
    listed = job.folder / "dataset.txt"
    if not listed.exists():
        folder = job.folder / "dataset"
        folder.mkdir()
        lines = []
        tools = job.sibling("worker_tools")
        for number, row in enumerate(tools.load(job.request["calibration"])):
            path = folder / f"{number}.npy"
            tools.save(path, row.transpose(2, 0, 1)[None] if row.ndim == 3 else row[None])
            lines.append(str(path))
        listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(listed)


def _simulate(tool: Any, inputs: Any) -> Any:
    import numpy as np

    rows = []
    for row in inputs:
        layout = ["nhwc"] if row.ndim == 3 else None
        found = tool.inference(inputs=[row[None]], data_format=layout)
        if not found:
            raise RuntimeError("the simulator returned nothing")
        rows.append(np.array(found[0], np.float32).reshape(1, -1))
    return np.concatenate(rows)


def _analyse(job: Job, tool: Any) -> list[tuple[str, float]]:
    """Return the layers whose quantization alone costs most, worst first: the tool's own analysis of one input."""
    job.stage("analysing the accuracy of each layer")
    first = Path((job.folder / "dataset.txt").read_text(encoding="utf-8").split("\n")[0])
    out = job.folder / "analysis"
    _done(tool.accuracy_analysis(inputs=[str(first)], output_dir=str(out)), "accuracy_analysis")
    return worst_layers((out / _ANALYSIS).read_text(encoding="utf-8", errors="replace"))


def worst_layers(text: str) -> list[tuple[str, float]]:
    """Read the tool's table of layers.

    Args:
        text: ``error_analysis.txt``.

    Returns:
        Name and cosine of the layers whose own output loses most, worst first; five at most.
    """
    found = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n"):
        parts = line.split()
        numbers = [part for part in parts if re.fullmatch(r"-?\d+\.\d+", part)]
        # [operator] name, then entire: cosine and distance, then single: cosine and distance.
        if line.startswith("[") and len(numbers) >= 4:
            found.append((" ".join(parts[: parts.index(numbers[0])]), float(numbers[-2])))
    return sorted(found, key=lambda one: one[1])[:_WORST]


def _writable_arrays() -> None:
    """Give the tool arrays that it may write to: version 2.5.0 changes what onnx returns read-only, and crashes."""
    import numpy as np
    from onnx import numpy_helper

    original = numpy_helper.to_array

    def copied(tensor: Any, base_dir: str = "") -> Any:
        return np.array(original(tensor, base_dir))

    numpy_helper.to_array = copied


def _version() -> str:
    from importlib.metadata import version

    return version("rknn-toolkit2")


def _done(code: object, what: str) -> None:
    if code not in (0, None):
        raise RuntimeError(f"{what} returned {code}")
