"""The older engine, tflite-runtime, passes LiteRT's tests in the environment that .ci/tflite makes for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("EDGEKIT_TFLITE_PYTHON") or ROOT / ".venv" / "tflite" / "bin" / "python")

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason=f"{PYTHON} is missing: tflite-runtime needs Python 3.10 or 3.11 and numpy<2, `sh .ci/tflite` makes it",
)


@pytest.mark.parametrize(
    "name",
    [
        "test_contract_litert",
        "test_litert_defects",
        "test_litert_delegate",
        "test_litert_engine",
        "test_litert_session",
        "test_litert_settings",
    ],
)
def test_on_tflite_runtime(name: str) -> None:
    # Without the conftest files: they make bundles, which takes packages that this environment does not have.
    command = [PYTHON, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", f"tests/runtimes/{name}.py"]
    environment = {**os.environ, "EDGEKIT_TEST_ENGINE": "tflite-runtime"}
    environment.pop("PYTEST_ADDOPTS", None)
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-1000:]
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout or "C compiler" in ended.stdout
