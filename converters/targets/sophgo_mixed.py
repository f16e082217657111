"""Which of several choices of 16-bit layers a Sophgo chip gets: the first that keeps the goal, tried without simulator.

Choices are measured by the vendor's interpreter of a lowered graph: the simulator takes some fifty times longer. What
was compiled of the choice is then simulated on a few inputs, because the two can differ (see `sophgo_layers.settled`).

This file is read inside the toolchain ``sophgo``, where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.converters.toolchains.launch import Job

_TABLE = "tower.table"
_CHECKED = 2
"""Inputs that the simulator takes of what was chosen: it takes minutes for more."""
_SAME = 0.97
"""Least centred cosine of simulator and interpreter: rounding keeps 0.99 of MiniLM, the fault that was seen 0.9."""


def build(job: Job, tool: Any, graph: str, deploy: Sequence[str]) -> dict[str, Any]:
    """Lower choices, cheapest first, until one keeps the goal; compile it.

    Args:
        job: its request has the choices, each the first outputs of its nodes.
        tool: the vendor's programs, ranges already measured.
        graph: file of the tool's float graph.
        deploy: arguments of ``model_deploy`` but for the table of types.

    Returns:
        The attempts, and the number of the one that was compiled.
    """
    import onnx

    asked, layers = job.request, job.sibling("sophgo_layers")
    known = layers.read((job.folder / graph).read_text(encoding="utf-8"))
    nodes = onnx.load(str(job.folder / asked["model"]), load_external_data=False).graph
    tried = [layers.choose(known, nodes, choice) for choice in asked["choices"]]
    told: list[dict[str, Any]] = []
    for number, chosen in enumerate(tried, 1):
        job.stage(f"trying {len(chosen.layers)} of {len(known)} layers in {asked['wide']} ({number} of {len(tried)})")
        arguments = _with(job, deploy, chosen)
        tool.run("model_deploy", *arguments, "--not_gen_bmodel")
        rows, reached = _interpreted(job, tool)
        one = {"layers": len(chosen.layers), "of": len(known), "own": chosen.own, "merged": chosen.merged}
        told.append({**one, "none": len(chosen.none), "reached": reached, "same": None})
        if reached >= asked["goal"]:
            told[-1]["same"] = _compiled(job, tool, arguments, rows)
            if told[-1]["same"] >= _SAME:
                return {"attempts": told, "chosen": number - 1}
    best = max(range(len(told)), key=lambda number: _worth(told[number]))
    _build(job, tool, _with(job, deploy, tried[best]))
    return {"attempts": told, "chosen": best}


def _worth(attempt: dict[str, Any]) -> tuple[bool, float]:
    """Rank what misses the goal above what the compiler computes wrongly."""
    return attempt["same"] is None, attempt["reached"]


def _with(job: Job, deploy: Sequence[str], chosen: Any) -> list[str]:
    """Write the table of types, and return the arguments with it; the tool takes no empty one."""
    table: str = job.sibling("sophgo_layers").table(chosen.layers, job.request["wide"])
    (job.folder / _TABLE).write_text(table, encoding="utf-8")
    return [*deploy, "--quantize_table", _TABLE] if table else [*deploy]


def _interpreted(job: Job, tool: Any) -> tuple[npt.NDArray[Any], float]:
    """Run the search inputs through the lowered graph; return the rows, and the centred cosine to the float model."""
    asked, tools = job.request, job.sibling("worker_tools")
    tools.save(job.folder / "search.given.npy", job.sibling("sophgo_worker").scaled(asked["search"], asked))
    out = job.folder / "search.rows.npy"
    tool.simulate(f"tower_{asked['chip']}_int8_sym_tpu.mlir", job.folder / "search.given.npy", out)
    rows = tools.load(out)
    return rows, tools.centred(rows, tools.load(asked["reference"]))


def _compiled(job: Job, tool: Any, arguments: Sequence[str], rows: npt.NDArray[Any]) -> float:
    """Compile, and return how well the simulator agrees with the interpreter on the first inputs."""
    import numpy as np

    asked, tools = job.request, job.sibling("worker_tools")
    _build(job, tool, arguments)
    job.stage(f"simulating {_CHECKED} inputs")
    given, out = job.folder / "checked.given.npy", job.folder / "checked.rows.npy"
    tools.save(given, tools.load(job.folder / "search.given.npy")[:_CHECKED])
    tool.simulate(asked["out"], given, out)
    mean = tools.load(asked["reference"]).mean(axis=0)
    a, b = (_unit(one) - mean for one in (tools.load(out), rows[:_CHECKED]))
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(np.nan_to_num(cosines, nan=-1.0).mean())


def _build(job: Job, tool: Any, arguments: Sequence[str]) -> None:
    job.stage(f"building hybrid for {job.request['chip']}")
    tool.run("model_deploy", *arguments)


def _unit(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import numpy as np

    wide = rows.astype(np.float64)
    found: npt.NDArray[Any] = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30)
    return found
