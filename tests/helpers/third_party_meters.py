"""Meters of a third party, installed as pip would: good ones, and such as fail in every way that Python knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_CODE = """
import sys, warnings
from edgekit.benchmarks.meters.protocol import Channel, Presence
class Ours:
    name = "ours"
    def __init__(self, root, setting=""): self.setting = setting
    def present(self): return Presence(True, "")
    def channels(self): return (Channel("all", "power", "W", scope="device"),)
    def read(self): return {"all": 3.0}
    def period(self): return 0.01
class Raises(Ours):
    name = "raises"
    def present(self): raise OSError("bus error")
class Mute(Ours):
    name = "mute"
    def read(self): raise OSError("bus error")
class Text(Ours):
    name = "text"
    def read(self): return {"all": "about 3 W"}
class Talks(Ours):
    name = "talks"
    def __init__(self, root): print("hello from a meter")
    def read(self):
        print("reading", end="")
        sys.stderr.write("a warning that comes at each reading" * 200 + "\\n")
        return {"all": 3.0}
class Ends(Ours):
    name = "ends"
    def period(self): raise RuntimeError("the chip is gone")
class Answers(Ours):
    name = "answers"
    def present(self): return None
class Empty(Ours):
    name = "empty"
    def channels(self): return ()
class Half(Ours):
    name = "half"
    channels = None
"""
MODULE = "third_party_meters_of_a_test"


def register(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, str]) -> None:
    """Install the distribution for this process and those that it starts; `entries` are names and classes."""
    (folder / f"{MODULE}.py").write_text(_CODE)
    info = folder / "third_party_meters-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-meters\nVersion: 1.0\n")
    lines = [f"{name} = {value if ':' in value else f'{MODULE}:{value}'}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[edgekit.meters]", *lines]) + "\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
