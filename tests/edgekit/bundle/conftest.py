"""A bundle whose members hold next to nothing, so that every byte of it can be tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tiny_bundle as tiny

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def hollow(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid bundle, but for what its members say: each holds a few bytes, and one none at all."""
    paths = [path for path in tiny.contents(tiny_bundle) if path != "manifest.json"]
    extra = {path: path.encode()[:i] for i, path in enumerate(paths)}
    return tiny.build(tmp_path_factory.mktemp("hollow") / "hollow.edge", extra=extra)
