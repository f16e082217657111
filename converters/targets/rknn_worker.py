"""Runs inside the toolchain ``rknn``, where edgekit is not installed: builds a graph, simulates it, exports it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.targets.rknn_attempts import Attempt
    from edgekit.converters.toolchains.launch import Job

_WORST = 5
_ANALYSIS = "error_analysis.txt"


def run(job: Job) -> dict[str, Any]:
    """Build what the request says, choosing by the search rows where there is a choice.

    Args:
        job: its request has the model, the platform, the precision, the scaling, and the inputs' files; ``choices`` has
            what to keep in float16, and ``plain`` asks for the tool's own defaults, to compare with.

    Returns:
        The attempts with the number of layers that edgekit named and their centred cosines, the number of the one that
        was taken, the layers that lose most, how many layers and which nodes' there are, and the version.
    """
    _writable_arrays()
    asked, tools = job.request, job.sibling("worker_tools")
    search, reference = tools.load(asked["search"]), tools.load(asked["reference"])
    tried = job.sibling("rknn_attempts").attempts(
        asked["precision"], asked.get("choices", ()), plain=bool(asked.get("plain"))
    )
    told: list[dict[str, Any]] = []
    best = tried[0]
    tool: Any = None
    for attempt in tried:
        tool, named = _build(job, attempt)
        job.stage(f"simulating {attempt.name}")
        found = tools.centred(_simulate(tool, search), reference)
        if found > max((one["reached"] for one in told), default=-math.inf):
            best = attempt
        told.append({"name": attempt.name, "layers": named, "reached": found})
        if found >= asked["goal"]:
            break
        if attempt is not tried[-1]:
            tool.release()
    if best is not attempt:
        tool.release()
        tool, _ = _build(job, best)
    for part, path in asked["parts"].items():
        job.stage(f"simulating the {part} inputs")
        tools.save(job.folder / f"{part}.rows.npy", _simulate(tool, tools.load(path)))
    _done(tool.export_rknn(asked["out"]), "export_rknn")
    worst = [] if asked["precision"] == "fp16" else _analyse(job, tool)
    chosen = tried.index(best)
    return {
        "attempts": told,
        "chosen": chosen,
        "worst": worst,
        "nodes": _counted(job) if told[chosen]["layers"] else {},
        "version": _version(),
    }


def _build(job: Job, attempt: Attempt) -> tuple[Any, int]:
    """Build an attempt, ready to simulate; return it with the number of layers that were named."""
    from rknn.api import RKNN

    asked = job.request
    quantized = asked["precision"] != "fp16"
    settings: dict[str, Any] = {"target_platform": asked["platform"]}
    if quantized:
        settings["quantized_algorithm"] = attempt.algorithm
    if asked["mean"]:
        settings |= {"mean_values": [asked["mean"]], "std_values": [asked["std"]]}
    if attempt.threshold is not None:
        settings["auto_hybrid_cos_thresh"] = attempt.threshold
    job.stage(f"building {attempt.name} for {asked['platform']}")
    tool = RKNN(verbose=False)
    tool.config(**settings)
    names = _chosen(job, settings, attempt) if attempt.shape or attempt.nodes else []
    if names:
        _done(tool.hybrid_quantization_step2(*_files(job, names)), "hybrid_quantization_step2")
    else:
        _done(tool.load_onnx(model=asked["model"]), "load_onnx")
        automatic = attempt.threshold is not None
        dataset = _dataset(job) if quantized else None
        _done(tool.build(do_quantization=quantized, dataset=dataset, auto_hybrid=automatic), "build")
    # Without a target this is the simulator, which only works in the process that built.
    _done(tool.init_runtime(), "init_runtime")
    return tool, len(names)


def _chosen(job: Job, settings: dict[str, Any], attempt: Attempt) -> list[str]:
    """Return the layers that an attempt keeps in float16, after the tool's first step where it was not done yet."""
    from rknn.api import RKNN

    if not _first(job, "quantization.cfg").exists():
        first = RKNN(verbose=False)
        first.config(**settings)
        _done(first.load_onnx(model=job.request["model"]), "load_onnx")
        _done(first.hybrid_quantization_step1(dataset=_dataset(job), proposal=False), "hybrid_quantization_step1")
        first.release()
    optimized = _graph(_first(job, "model"))
    if attempt.shape:
        products = attempt.shape == job.sibling("rknn_attempts").ADDED
        return _quantized(job, job.sibling("rknn_layers").running_sum(optimized, products=products))
    names = job.sibling("rknn_names")
    return _quantized(job, names.chosen(_found(job, optimized), attempt.nodes, optimized))


def _found(job: Job, optimized: Any) -> Any:
    return job.sibling("rknn_names").layers(_graph(job.folder / job.request["model"]), optimized)


def _counted(job: Job) -> dict[str, int]:
    """Return how many layers could be named, and how many nodes have one, were merged into one, and have none."""
    optimized = _graph(_first(job, "model"))
    found = _found(job, optimized)
    layers = _quantized(job, [name for layer in optimized.graph.node for name in layer.output])
    return {"layers": len(layers), "own": len(found.own), "merged": len(found.merged), "none": len(found.none)}


def _quantized(job: Job, names: list[str]) -> list[str]:
    text = _first(job, "quantization.cfg").read_text(encoding="utf-8")
    found: list[str] = job.sibling("rknn_layers").quantized(text, names)
    return found


def _graph(path: Path) -> Any:
    import onnx

    return onnx.load(str(path), load_external_data=False)


def _first(job: Job, ending: str) -> Path:
    """Return a file of the tool's first step."""
    return job.folder / f"{Path(job.request['model']).stem}.{ending}"


def _files(job: Job, names: list[str]) -> tuple[str, str, str]:
    """Return the files of the tool's second step, with layers in float16."""
    plain = _first(job, "quantization.cfg").read_text(encoding="utf-8")
    configuration = _first(job, "chosen.cfg")
    configuration.write_text(job.sibling("rknn_layers").configured(plain, names), encoding="utf-8")
    return str(_first(job, "model")), str(_first(job, "data")), str(configuration)


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
