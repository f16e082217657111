"""NVIDIA's packages as they are without a GPU; `make test-chips` installs them into an environment of their own."""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError, version

import pytest

NEEDED = ("onnxruntime-gpu", "tensorrt-cu12-bindings")


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


# Not skipped: these belong to an environment of their own, where a missing package must fail.
collect_ignore_glob = [] if any(map(_installed, NEEDED)) else ["test_*.py"]


@pytest.fixture
def no_gpu():
    """A machine without NVIDIA's driver, which is what these tests are about."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    pytest.skip("this machine has NVIDIA's driver; these tests show what happens without one")
