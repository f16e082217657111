"""Fixtures for every test: a tiny bundle, the same unpacked, the sample photos, and a cache that is thrown away."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

import tiny_bundle as tiny

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _hear_ctrl_c() -> None:
    """A job in the background of a shell ignores Ctrl-C, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep decisions of one test from another, and out of the user's own cache."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path_factory.mktemp("edgekit-cache")))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid bundle with the one variant ``fp32``; to be copied, not changed."""
    return tiny.build(tmp_path_factory.mktemp("tiny") / "tiny.edge")


@pytest.fixture(scope="session")
def tiny_folder(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle unpacked; to be copied, not changed."""
    return tiny.unpack(tiny_bundle, tmp_path_factory.mktemp("unpacked") / "tiny")


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """The sample photos, by name."""
    return sorted(tiny.PHOTOS.glob("*.jpg"))
