"""Toolchains small enough for tests: real environments, real pip, wheels made on the spot."""

from __future__ import annotations

import sys
import zipfile

import pytest

from edgekit.converters.toolchains.records import Step, Toolchain

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def bare():
    """Nothing but a Python."""
    return Toolchain("bare", "Tests.", "none", (HERE,), "any", 1, 1, (), "import json")


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that is all that pip sees, and a way to put packages there."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def make(name: str, version: str, requires: str = "") -> None:
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {requires}\n" if requires else ""
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")

    return make


@pytest.fixture
def two_steps():
    """Two packages, one after the other; the second requires what is not there."""
    steps = (Step("first", ("one==1.0",)), Step("second", ("two==2.0",)))
    return Toolchain("pair", "Tests.", "none", (HERE,), "any", 1, 1, steps, "import one, two")
