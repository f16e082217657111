"""Which of the two packages is used, and what is said where none works."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import types
from typing import Any

import numpy as np
import pytest

import litert_files
from edgekit.errors import MissingDependencyError, PlacementError
from edgekit.runtimes import litert_engine
from edgekit.runtimes.litert import LiteRt
from edgekit.runtimes.protocol import SessionSettings

# The child that runs this file on the other engine names it here.
EXPECTED = os.environ.get("EDGEKIT_TEST_ENGINE", "ai-edge-litert")
MODULES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}


def absent(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for package in packages:
        monkeypatch.setitem(sys.modules, MODULES[package], None)
        monkeypatch.setitem(sys.modules, f"{MODULES[package]}.interpreter", None)


def installed(monkeypatch: pytest.MonkeyPatch, package: str, interpreter: Any) -> None:
    """Put a package in place whose ``Interpreter`` is `interpreter`."""
    module = types.ModuleType(f"{MODULES[package]}.interpreter")
    module.Interpreter = interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULES[package], types.ModuleType(MODULES[package]))
    monkeypatch.setitem(sys.modules, module.__name__, module)


class Works:
    def __init__(self, model_content: bytes) -> None:
        assert model_content[4:8] == b"TFL3"

    def allocate_tensors(self) -> None:
        pass


def fails(error: BaseException) -> Any:
    def interpreter(**_: object) -> None:
        print("A module that was compiled using NumPy 1.x cannot be run", file=sys.stderr)  # noqa: T201
        raise error

    return interpreter


def test_the_engine_installed_here_is_found() -> None:
    engine = litert_engine.find()
    assert engine.package == EXPECTED
    assert engine.version == importlib.metadata.version(EXPECTED)
    assert engine.scales_channels == (EXPECTED == "ai-edge-litert")


def test_the_version_names_the_package() -> None:
    available = LiteRt().available()
    assert available.ok
    assert available.version == f"{importlib.metadata.version(EXPECTED)} ({EXPECTED})"


def test_the_newer_package_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in MODULES:
        installed(monkeypatch, package, Works)
    assert litert_engine.find().package == "ai-edge-litert"


def test_the_older_package_serves_where_the_newer_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "ai-edge-litert")
    installed(monkeypatch, "tflite-runtime", Works)
    engine = litert_engine.find()
    assert engine.package == "tflite-runtime"
    assert not engine.scales_channels


def test_the_older_package_serves_where_the_newer_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "ai-edge-litert", fails(ImportError("libfoo.so: no such file")))
    installed(monkeypatch, "tflite-runtime", Works)
    assert litert_engine.find().package == "tflite-runtime"


def test_none_installed_says_what_installs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, *MODULES)
    available = LiteRt().available()
    assert not available.ok
    assert available.version == ""
    assert available.reason == (
        'ai-edge-litert is not installed; tflite-runtime is not installed; pip install "edgekit[litert]"'
    )
    assert LiteRt().devices() == ()


def test_a_package_without_a_distribution_has_an_unknown_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    installed(monkeypatch, "ai-edge-litert", Works)
    monkeypatch.setattr(litert_engine.importlib.metadata, "version", nothing)
    assert litert_engine.find().version == "unknown"


@pytest.mark.parametrize(
    ("numpy", "told"),
    [("2.4.6", "it needs numpy<2 and an environment of its own, numpy here is 2.4.6"), ("1.26.4", "SystemError: bad")],
)
def test_constructing_is_what_counts_not_importing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], numpy: str, told: str
) -> None:
    absent(monkeypatch, "ai-edge-litert")
    installed(monkeypatch, "tflite-runtime", fails(SystemError("bad\nvery bad")))
    monkeypatch.setattr(np, "__version__", numpy)
    assert LiteRt().available().reason == (
        f'ai-edge-litert is not installed; tflite-runtime does not work here ({told}); pip install "edgekit[litert]"'
    )
    assert capsys.readouterr().err == ""  # NumPy's own page about it is not shown


@pytest.mark.parametrize(
    "error", [OSError("damaged"), AttributeError("_ARRAY_API"), RuntimeError("x"), ValueError("y")]
)
def test_whatever_a_broken_package_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    for package in MODULES:
        installed(monkeypatch, package, fails(error))
    reason = LiteRt().available().reason
    assert reason.count("does not work here") == 2
    with pytest.raises(MissingDependencyError, match="does not work here"):
        litert_engine.find()


def test_opening_without_an_engine_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, *MODULES)
    with pytest.raises(PlacementError, match=r"adds\.tflite: ai-edge-litert is not installed.*edgekit\[litert\]"):
        LiteRt().open(litert_files.artifact("adds"), "cpu", SessionSettings())
