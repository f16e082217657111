"""Jobs for the Jetson target on the exported tiny towers, and one whose activations leave float16's range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import tiny_masters
from edgekit.converters.graph import store
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT, SEARCH
from edgekit.converters.targets.records import AIM_CENTRED, TowerJob

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.targets.records import Chip

PARTS = {CALIBRATION: slice(0, 8), SEARCH: slice(8, 12), HELD_OUT: slice(12, 22), GOLDEN: slice(22, 24)}


def job(
    folder: Path, master: Path, tower: str, chip: Chip, precision: str | None, goal: float = 0.0
) -> tuple[TowerJob, npt.NDArray[np.float32]]:
    """Return a job on a master, and the float rows of its held-out inputs."""
    samples = np.asarray(tiny_masters.samples(tower, 24))
    session = onnxruntime.InferenceSession(str(master), providers=["CPUExecutionProvider"])
    rows = session.run(None, {session.get_inputs()[0].name: samples})[0]
    files = {}
    for part, taken in PARTS.items():
        files[part] = folder / f"{part}.npy"
        np.save(files[part], samples[taken])
    np.save(folder / "reference.npy", rows[PARTS[SEARCH]])
    work = folder / "work"
    work.mkdir()
    aim = goal or AIM_CENTRED[precision or "fp16"]
    shape = (1, *samples.shape[1:])
    made = TowerJob(tower, chip, precision, master, shape, files, folder / "reference.npy", aim, work)
    return made, rows[PARTS[HELD_OUT]]


def overflowing(master: Path, out: Path) -> Path:
    """Write the image tower with a detour before its mean: times 64,000,000 in two steps, and back in two.

    Each constant fits float16, and float32 computes what it did before; float16 meets infinity on the way.
    """
    model = store.load(master)
    mean = next(node for node in model.graph.node if node.op_type == "ReduceMean")
    before, mean.input[0] = mean.input[0], "detour3"
    place = list(model.graph.node).index(mean)
    factors = (8000.0, 8000.0, 1 / 8000, 1 / 8000)
    for i, factor in enumerate(factors):
        model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), f"factor{i}"))
        step = onnx.helper.make_node("Mul", [before, f"factor{i}"], [f"detour{i}"], f"detour{i}")
        model.graph.node.insert(place + i, step)
        before = f"detour{i}"
    store.save(model, out)
    return out
