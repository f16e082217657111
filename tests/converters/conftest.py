"""Small models and real photos that several converter tests share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

TEXTS = (
    "a cat",
    "",
    "two red bicycles leaning on a wall",
    "Ein Haus am See, früh morgens! 🏔️",
    "one two three four five six seven eight nine ten eleven twelve " * 8,
)


@dataclass(frozen=True)
class Parity:
    """How far a graph is from its reference: largest error, and one minus the smallest cosines."""

    error: float
    cosine: float
    centred: float


@pytest.fixture(scope="session")
def photos():
    """Five real photos, upright RGB, of different sizes and aspect ratios."""
    folder = Path(__file__).parents[2] / "samples" / "photos"
    pictures = [Image.open(folder / f"{name}.jpg").convert("RGB") for name in ("astronaut", "cat", "coffee", "rocket")]
    return [*pictures, pictures[0].crop((50, 100, 250, 400))]


@pytest.fixture(scope="session")
def texts():
    return TEXTS


@pytest.fixture(scope="session")
def run_graph():
    """Run a graph file with ONNX Runtime; returns (declared input shape, outputs of each batch)."""

    def run(path, *batches):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        return given.shape, [session.run(["embedding"], {given.name: batch})[0] for batch in batches]

    return run


@pytest.fixture(scope="session")
def compare():
    """Measure two sets of rows against each other."""

    def measure(found, expected):
        found, expected = found.astype(np.float64), expected.astype(np.float64)
        mean = expected.mean(axis=0)
        return Parity(
            error=float(np.abs(found - expected).max()),
            cosine=1 - _cosine(found, expected),
            centred=1 - _cosine(found - mean, expected - mean),
        )

    return measure


@pytest.fixture(scope="session")
def check_tower(run_graph, compare):
    """Export a tower and hold it against its reference at batch 1, 3 and 5; returns the declared input shape."""

    def check(tower, path, batch):
        tower.export(path)
        expected = tower.reference(batch)
        shape, outputs = run_graph(path, batch[:1], batch[:3], batch)
        assert shape[0] == "N"
        for found in outputs:
            assert np.abs(found - expected[: len(found)]).max() <= 1e-5
        parity = compare(outputs[-1], expected)
        assert parity.cosine <= 1e-6
        assert parity.centred <= 1e-4
        np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
        return shape

    return check


@pytest.fixture
def write_config(tmp_path):
    """Write an open_clip configuration and return its path; its stem must be unique in the session."""

    def write(stem, config) -> Path:
        path = tmp_path / f"{stem}.json"
        path.write_text(json.dumps(config))
        return path

    return write


def _cosine(a, b):
    return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())
