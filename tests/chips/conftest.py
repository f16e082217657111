"""Engines and providers that the main test environment does not have; `make test-chips` installs them."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("openvino", "MNN", "ncnn", "onnxruntime_qnn")

# Not skipped: these belong to an environment of their own, where a missing package must fail.
collect_ignore_glob = [] if any(map(find_spec, NEEDED)) else ["test_*.py"]
