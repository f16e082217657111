"""A tiny model whose engine is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import edgekit
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit import Clip


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> SpyRuntime:
    """The only runtime of this test: onnxruntime, with every call written down."""
    spy = SpyRuntime()
    install(monkeypatch, spy)
    return spy


@pytest.fixture
def clip(tiny_bundle: Path, spy: SpyRuntime) -> Iterator[Clip]:
    """The tiny bundle loaded through `spy`, which has forgotten the loading."""
    with edgekit.load(tiny_bundle) as clip:
        spy.forget()
        yield clip
