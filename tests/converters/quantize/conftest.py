"""A tiny bundle, data for it, and a kit whose methods may crash."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import quantize_kit
import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize import data, run, work
from edgekit.converters.quantize.crew import Crew
from edgekit.converters.quantize.settings import Settings


@pytest.fixture(autouse=True)
def _kit_for_children(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(quantize_kit.__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    return tiny.build(tmp_path_factory.mktemp("bundle") / "tiny.edge")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 160 small pictures in four classes."""
    return quantize_kit.material(tmp_path_factory.mktemp("pictures") / "set")


@pytest.fixture(scope="session")
def quick():
    """Settings of a search that measures no times and knows the test's methods."""

    def make(*methods, **changes):
        given = {
            "minutes": 5.0,
            "objective": "size",
            "kit": quantize_kit.KIT,
            "methods": methods,
            "min_agreement": 0.95,
            **changes,
        }
        return Settings(**given)

    return make


@pytest.fixture
def folder(tmp_path, bundle_path):
    """The folder of a search with float towers and a few inputs, as `run` prepares it."""
    found = tmp_path / "search"
    found.mkdir()
    opened = open_bundle(bundle_path)
    run._unpack(opened, run.float_variant(opened), found)
    data.prepare_golden(opened, found)
    return found


@pytest.fixture
def crew(folder):
    """Workers on that folder."""
    with Crew(folder, quantize_kit.KIT, 1, "minmax", "any", task_limit=60.0) as found:
        yield found


@pytest.fixture
def image_task():
    """Make a task that changes one group of the image tower and runs the golden photos."""

    def make(method, group="projection", **changes):
        decision = work.TowerDecision({group: method} if method else {})
        given = {"decision": decision, "parts": (data.GOLDEN,), **changes}
        return work.Task("evaluate", "image", f"image: {group} as {method}", **given)

    return make


@pytest.fixture
def soon():
    """A point in time some seconds from now."""
    return lambda seconds: time.monotonic() + seconds


@pytest.fixture
def rows_of(folder):
    """Read what a task embedded."""
    return lambda task: np.load(work.rows(folder, task, data.GOLDEN))
