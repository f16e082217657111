"""Tiny masters and their static graphs."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

import quantize_kit
import tiny_bundle as tiny
from edgekit.converters.graph import store
from edgekit.converters.targets import static


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    return tiny.build(tmp_path_factory.mktemp("bundle") / "tiny.edge")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 160 small pictures in four classes."""
    return quantize_kit.material(tmp_path_factory.mktemp("pictures") / "set")


@pytest.fixture(scope="session")
def masters(tmp_path_factory):
    """The exported tiny towers with attention: per name its path, shape and eight inputs."""
    import tiny_masters

    folder = tmp_path_factory.mktemp("masters")
    shapes = {"image": (1, tiny_masters.SIZE, tiny_masters.SIZE, 3), "text": (1, tiny_masters.LENGTH)}
    return {
        name: (tiny_masters.save(folder / f"{name}.onnx", name), shape, tiny_masters.samples(name, 8))
        for name, shape in shapes.items()
    }


@pytest.fixture
def folded(masters, tmp_path):
    """A static graph of a tiny tower, loaded; a fresh one for each test."""

    def make(name):
        path, shape, _ = masters[name]
        out = tmp_path / f"{name}.static.onnx"
        static.fold(path, out, shape)
        return store.load(out)

    return make


@pytest.fixture(scope="session")
def rows():
    """Run a graph in memory or a file one input at a time; returns (n, D)."""

    def run(model, inputs):
        source = str(model) if hasattr(model, "exists") else model.SerializeToString()
        session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: row[None]})[0] for row in inputs])

    return run


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)
