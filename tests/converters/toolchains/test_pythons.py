"""Pythons of other versions are found on the path, and where pyenv, uv and conda put them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgekit.converters.toolchains import pythons


@pytest.fixture(autouse=True)
def managers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable, folder in (("PYENV_ROOT", "pyenv"), ("UV_PYTHON_INSTALL_DIR", "uv"), ("CONDA_PREFIX", "conda")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    return tmp_path


def made(path: Path) -> str:
    path.parent.mkdir(parents=True)
    path.touch()
    return str(path)


def test_the_own_python_and_the_path_come_first() -> None:
    found = pythons.candidates(("3.10", "3.12"))
    assert found[1:] == ["python3.10", "python3.12"]
    assert found[0] in (sys.executable, getattr(sys, "_base_executable", ""))


def test_the_newest_release_of_a_version_comes_first(managers: Path) -> None:
    old = made(managers / "pyenv/versions/3.10.9/bin/python")
    new = made(managers / "pyenv/versions/3.10.13/bin/python")
    made(managers / "pyenv/versions/3.11.7/bin/python")
    assert pythons.candidates(("3.10",))[2:] == [new, old]


def test_other_managers_are_asked_too(managers: Path) -> None:
    uv = made(managers / "uv/cpython-3.10.14-linux-x86_64-gnu/bin/python3.10")
    conda = made(managers / "conda/envs/old/bin/python3.10")
    assert pythons.candidates(("3.10",))[2:] == [uv, conda]


def test_versions_keep_their_order(managers: Path) -> None:
    second = made(managers / "pyenv/versions/3.11.1/bin/python")
    first = made(managers / "pyenv/versions/3.10.1/bin/python")
    assert pythons.candidates(("3.10", "3.11"))[3:] == [first, second]


def test_without_managers_the_home_is_looked_in(managers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYENV_ROOT")
    monkeypatch.setenv("HOME", str(managers))
    home = made(managers / ".pyenv/versions/3.10.2/bin/python")
    assert home in pythons.candidates(("3.10",))
