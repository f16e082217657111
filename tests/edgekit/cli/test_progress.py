"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from edgekit.cli import embed as embed_module
from edgekit.cli.progress import Stages


class Terminal:
    def __init__(self, tty: bool) -> None:
        self.tty, self.text = tty, ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_stages_are_shown_on_a_terminal_and_nowhere_else() -> None:
    terminal, pipe = Terminal(True), Terminal(False)
    for stream in (terminal, pipe):
        with Stages(stream) as stages:  # type: ignore[arg-type]
            stages.next("one")
            stages.next("two")
    assert pipe.text == ""
    assert terminal.text.startswith("one …\rone  0.")
    assert terminal.text.count("\n") == 2


def test_an_interrupted_stage_ends_its_line() -> None:
    terminal = Terminal(True)
    with pytest.raises(click.Abort), Stages(terminal) as stages:  # type: ignore[arg-type]
        stages.next("one")
        raise click.Abort
    assert terminal.text == "one …\n"
    with pytest.raises(click.Abort), Stages(terminal):  # type: ignore[arg-type]
        raise click.Abort


def test_photos_are_counted_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(18):
        (tmp_path / f"{number:02}.png").touch()
    for tty in (True, False):
        stream = Terminal(tty)
        monkeypatch.setattr(sys, "stderr", stream)
        batches = list(embed_module._shown((tmp_path,)))
        assert [len(batch) for batch in batches] == [16, 2]
        assert ("18/18" in stream.text) == tty
