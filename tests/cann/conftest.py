"""Huawei's build of ONNX Runtime without their chip; `make test-chips` installs it into an environment of its own."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


# Not skipped: it claims the name of onnxruntime, and belongs to an environment where it must not be missing.
collect_ignore_glob = [] if _installed("onnxruntime-cann") else ["test_*.py"]
