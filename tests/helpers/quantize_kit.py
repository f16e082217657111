"""A kit for searches in tests: the tiny towers' weights are the groups, and some of the methods misbehave.

A search's child imports it by its name, so its folder must be on PYTHONPATH; see `material`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods.records import Group
from edgekit.converters.quantize.work import MethodFacts, Survey
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.quantize.methods.records import TowerDecision

KIT = "quantize_kit"
_KINDS = {"patches": "convolution", "projection": "head", "table": "table"}
_ALL = ("convolution", "head", "table")
WORKING = ("half", "coarse", "wreck")
CRASHING = ("segfault", "abort", "nan", "refuse", "hang", "exit")


def survey(master: Path, target: str) -> Survey:
    model = onnx.load(str(master), load_external_data=False)
    groups = tuple(
        Group(t.name, _KINDS[t.name], (t.name,), int(np.prod(t.dims)))  # type: ignore[arg-type]
        for t in model.graph.initializer
        if t.name in _KINDS
    )
    facts = {name: MethodFacts("int8", "float32", False, _ALL, name) for name in (*WORKING, *CRASHING)}
    return Survey(groups, facts, WORKING)


def needed(master: Path, decision: TowerDecision) -> tuple[str, ...]:
    return ()


def measure(master: Path, batches: Any, tensors: Any, how: str) -> dict[str, Any]:
    return {}


def build(master: Path, out: Path, decision: TowerDecision, ranges: Mapping[str, Any]) -> None:
    """Write the tower with each named weight stored in fewer bytes: as float16, as 8 bits, or all rows alike."""
    model = store.load(master)
    for name, method in decision.methods.items():
        _misbehave(method)
        tensor = next(t for t in model.graph.initializer if t.name == name)
        value = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(_STORED[method](value), f"{name}.stored"))
        for node in model.graph.node:
            node.input[:] = [f"{name}.floats" if i == name else i for i in node.input]
        largest = np.array(np.abs(value).max() / 127 if method == "coarse" else 1, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(largest, f"{name}.scale"))
        cast = helper.make_node("Cast", [f"{name}.stored"], [f"{name}.cast"], to=onnx.TensorProto.FLOAT)
        scale = helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [f"{name}.small"])
        model.graph.initializer.append(numpy_helper.from_array(np.array(value.shape), f"{name}.shape"))
        expand = helper.make_node("Expand", [f"{name}.small", f"{name}.shape"], [f"{name}.floats"])
        nodes = [cast, scale, expand, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    store.save(model, out)


_STORED = {
    "half": lambda value: value.astype(np.float16),
    "coarse": lambda value: np.round(value / (np.abs(value).max() / 127)).astype(np.int8),
    "wreck": lambda value: np.sign(value[:1]).astype(np.int8),
    "nan": lambda value: np.full_like(value, np.nan, np.float16),
}


def _misbehave(method: str) -> None:
    if method == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if method == "abort":
        os.abort()
    if method == "exit":
        os._exit(7)
    if method == "hang":
        time.sleep(3600)
    if method == "refuse":
        raise ConversionError("no such luck")


def material(folder: Path, count: int = 160) -> Path:
    """Write a folder with a sub-folder of small pictures for each of four classes."""
    random = np.random.default_rng(0)
    for i in range(count):
        name = ("cat", "dog", "cup", "rocket")[i % 4]
        path = folder / name / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    return folder
