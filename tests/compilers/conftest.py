"""Vendors' compilers for real, in their toolchains; `make test-chips` runs these and installs what they need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import quantize_kit
import tiny_bundle as tiny
from edgekit.converters.toolchains import catalog, store

# A toolchain is gigabytes of downloads, which `make test` must not begin.
ASKED = "EDGEKIT_COMPILERS"
collect_ignore_glob = [] if os.environ.get(ASKED) else ["test_*.py"]
_CACHE = Path(__file__).parents[2] / ".cache" / "edgekit"


@pytest.fixture(scope="session", autouse=True)
def _own_cache():
    """The repository's own cache, unless the environment names one: building a toolchain for each test takes hours."""
    before = os.environ.get("EDGEKIT_CACHE")
    os.environ["EDGEKIT_CACHE"] = before or str(_CACHE)
    yield
    if before is None:
        del os.environ["EDGEKIT_CACHE"]


@pytest.fixture(scope="session")
def toolchain(_own_cache):
    """Install a toolchain by name, or find it installed."""

    def install(name: str):
        found = catalog.find(name)
        store.install(found)
        return found

    return install


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    return tiny.build(tmp_path_factory.mktemp("bundle") / "tiny.edge")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return quantize_kit.material(tmp_path_factory.mktemp("pictures") / "set")


@pytest.fixture(scope="session")
def attention(tmp_path_factory):
    """Jobs of the exported tiny towers with attention, whose biases are zeros as PyTorch leaves them."""
    import numpy as np
    import onnxruntime

    import tiny_masters
    from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT, SEARCH
    from edgekit.converters.targets.records import TowerJob

    folder = tmp_path_factory.mktemp("attention")

    def job(name, chip, precision, where):
        master = folder / f"{name}.onnx"
        if not master.exists():
            tiny_masters.save(master, name)
        samples = tiny_masters.samples(name, 24)
        session = onnxruntime.InferenceSession(str(master), providers=["CPUExecutionProvider"])
        rows = session.run(None, {session.get_inputs()[0].name: samples})[0]
        parts = {CALIBRATION: slice(0, 8), SEARCH: slice(8, 12), HELD_OUT: slice(12, 22), GOLDEN: slice(22, 24)}
        files = {}
        for part, taken in parts.items():
            files[part] = where / f"{part}.npy"
            np.save(files[part], samples[taken])
        np.save(where / "reference.npy", rows[parts[SEARCH]])
        shape = (1, *samples.shape[1:])
        work = where / "work"
        work.mkdir()
        made = TowerJob(name, chip, precision, master, shape, files, where / "reference.npy", 0.97, work)
        return made, rows[parts[HELD_OUT]]

    return job
