"""Runs inside the toolchain ``sophgo``, where edgekit is not installed: builds a graph, simulates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

_NAME, _MLIR, _RANGES, _DATA = "tower", "tower.mlir", "tower.ranges", "calibration"
_FLOATS = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}


def run(job: Job) -> dict[str, Any]:
    """Build what the request says, and simulate it.

    Args:
        job: its request has the model, the chip, the precision, the scaling, and the inputs' files; for ``hybrid`` also
            ``choices`` of nodes that stay in the 16 bits of ``wide``; ``plain`` asks for the tool's own defaults, to
            compare with.

    Returns:
        The attempts at a hybrid, which of them was taken, and the version.
    """
    asked = job.request
    tool = job.sibling("sophgo_tool").Tool(job.folder)
    job.stage("reading the graph")
    shape = "[" + ",".join(map(str, asked["shape"])) + "]"
    tool.run(
        "model_transform", "--model_name", _NAME, "--model_def", asked["model"], "--input_shapes", f"[{shape}]",
        "--mlir", _MLIR,
    )  # fmt: skip
    deploy = ["--mlir", _MLIR, "--processor", asked["chip"], "--model", asked["out"], "--quantize"]
    found: dict[str, Any] = {"attempts": [], "chosen": 0}
    if asked["precision"] in _FLOATS:
        deploy.append(_FLOATS[asked["precision"]])
    else:
        _ranges(job, tool)
        deploy += ["INT8", "--calibration_table", _RANGES]
    if asked["precision"] != "hybrid":
        job.stage(f"building {asked['precision']} for {asked['chip']}")
        tool.run("model_deploy", *deploy)
    elif asked.get("plain"):
        tool.run("model_deploy", *deploy, "--quantize_table", _searched(job, tool))
    else:
        found = job.sibling("sophgo_mixed").build(job, tool, _MLIR, deploy)
    for part, path in asked["parts"].items():
        job.stage(f"simulating the {part} inputs")
        given = job.folder / f"{part}.given.npy"
        job.sibling("worker_tools").save(given, scaled(path, asked))
        tool.simulate(asked["out"], given, job.folder / f"{part}.rows.npy")
    return {**found, "version": _version()}


def _ranges(job: Job, tool: Any) -> None:
    """Measure ranges on the calibration inputs.

    A hybrid takes all that was seen, as the emulated chip does by which its layers were chosen, because what has large
    values stays in 16 bits. Otherwise the tool cuts them off by its own default (MiniLM in w8a8, 6 texts: centred
    cosine 0.58, and 0.46 with all that was seen; a hybrid 0.985 and 0.987).
    """
    import numpy as np

    asked = job.request
    job.stage("measuring ranges")
    folder = job.folder / _DATA
    folder.mkdir()
    rows = scaled(asked["calibration"], asked)
    for number, row in enumerate(rows):
        np.savez(folder / f"{number:05}.npz", **{asked["input"]: row[None]})
    method = ("--cali_method", "use_max") if asked["precision"] == "hybrid" and not asked.get("plain") else ()
    tool.run(
        "run_calibration", _MLIR, "--dataset", folder, "--input_num", len(rows), "--processor", asked["chip"],
        *method, "-o", _RANGES,
    )  # fmt: skip


def _searched(job: Job, tool: Any) -> str:
    """Return the table of layers that the tool's own search keeps in 16 bits."""
    asked, table = job.request, "tower.table"
    job.stage("letting the tool choose the layers that stay in float")
    folder = job.folder / _DATA
    tool.run(
        "run_calibration", _MLIR, "--dataset", folder, "--input_num", len(list(folder.iterdir())), "--processor",
        asked["chip"], "--search", "search_qtable", "--fp_type", asked["wide"], "--calibration_table", _RANGES,
        "--quantize_table", table,
    )  # fmt: skip
    job.stage(f"building the tool's own choice for {asked['chip']}")
    return table


def scaled(path: str, asked: dict[str, Any]) -> Any:
    """Return contract inputs as the graph takes them: scaled pixels with channels first, or token ids.

    Args:
        path: of uint8 (N, H, W, 3) RGB, or int32 (N, L) token ids.
        asked: the request, with ``mean`` and ``std`` per channel in levels of 0..255; empty for token ids.

    Returns:
        float32 (N, 3, H, W), or the ids in int32.
    """
    import numpy as np

    values = np.load(path, allow_pickle=False)
    if not asked["mean"]:
        return values.astype(np.int32)
    pixels = (values.astype(np.float32) - np.float32(asked["mean"])) / np.float32(asked["std"])
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _version() -> str:
    from importlib.metadata import version

    return version("tpu-mlir")
