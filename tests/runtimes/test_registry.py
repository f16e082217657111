"""Runtimes are found by entry point, third parties' too, and a broken one is told and harms no other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import RuntimeUnavailableError
from edgekit.runtimes import registry

if TYPE_CHECKING:
    from pathlib import Path

PLUG_IN = """
from edgekit.runtimes.protocol import Availability

class Abacus:
    name = "abacus"
    formats = frozenset({"beads"})
    def available(self): return Availability(True, "1.2", "")
    def devices(self): return ("hand",)
    def open(self, artifact, device, settings): raise NotImplementedError
"""


def install(folder: Path, entry_points: str, code: str = PLUG_IN) -> None:
    """Install a distribution the way an installer does: a module and its metadata."""
    (folder / "abacus_runtime.py").write_text(code)
    info = folder / "abacus_runtime-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus-runtime\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[edgekit.runtimes]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "abacus_runtime", raising=False)
    return tmp_path


def test_our_own_is_registered() -> None:
    assert "onnxruntime" in registry.names()
    assert registry.get("onnxruntime").name == "onnxruntime"


def test_every_runtime_registered_here_goes_by_its_own_name() -> None:
    for name in registry.names():
        assert registry.get(name).name == name


def test_a_third_party_runtime_is_found(site: Path) -> None:
    install(site, "abacus = abacus_runtime:Abacus")
    assert {"abacus", "onnxruntime"} <= set(registry.names())
    found = registry.get("abacus")
    assert found.available().version == "1.2"
    assert found.devices() == ("hand",)


def test_an_unknown_one_is_refused_with_those_there_are() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"no runtime 'abacus'; registered here: .*onnxruntime"):
        registry.get("abacus")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("abacus_runtime:Missing", "Missing"),
        ("no_such_module:Abacus", "no_such_module"),
        ("abacus_runtime:Broken", "out of beads"),
    ],
)
def test_one_that_cannot_be_loaded_is_told(site: Path, target: str, told: str) -> None:
    broken = "\nclass Broken:\n    def __init__(self): raise RuntimeError('out of beads')\n"
    install(site, f"abacus = {target}", PLUG_IN + broken)
    with pytest.raises(RuntimeUnavailableError, match=rf"'abacus'.*cannot be loaded.*{told}"):
        registry.get("abacus")


def test_listing_imports_none_of_them(site: Path) -> None:
    install(site, "abacus = abacus_runtime:Abacus", "raise RuntimeError('imported')")
    assert "abacus" in registry.names()
    assert "abacus_runtime" not in sys.modules
