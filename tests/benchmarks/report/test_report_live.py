"""The live view on a real terminal, and its silence elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.report import live as live_module
from edgekit.benchmarks.report.live import Live
from edgekit.benchmarks.running.events import Event, Note, Phase, Sample, Tick
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS: tuple[Event, ...] = (
    Phase("load"),
    Note("the clock's governor is powersave"),
    Phase("measure", 60.0),
    Tick(15.0, 60.0, 600, 25.04, 30.5),
    Sample("power VDD_IN", 9.41, "W"),
    Sample("temperature cpu-thermal", 61.2, "°C"),
    Sample("clock cpu0", 1510.0, "MHz"),
    Tick(45.0, 60.0, 1800, 25.1, 31.0),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(events: Sequence[Event], monkeypatch: pytest.MonkeyPatch, title: str = "") -> str:
    monkeypatch.setattr(live_module, "REFRESH", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with Live(stream, title) as view:
        for event in events:
            view.on_event(event)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def test_a_pipe_stays_silent_and_imports_nothing() -> None:
    code = (
        "import sys; from edgekit.benchmarks.report.live import Live;"
        "from edgekit.benchmarks.running.events import Note, Phase, Tick\n"
        "with Live(sys.stderr, 'title') as view:\n"
        "    for event in (Phase('load'), Tick(1.0, 2.0, 3), Note('x')): view.on_event(event)\n"
        "sys.exit(any(name == 'rich' or name.startswith('rich.') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_terminal_sees_phase_progress_rates_percentiles_sensors_and_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = shown(EVENTS, monkeypatch, "vit-b-32 int8")
    assert text.startswith("vit-b-32 int8")
    for part in (
        "measure  15 s of 60 s, 45 s left",
        "measure  45 s of 60 s, 15 s left",
        "600 queries, 40.0 queries/s, p50 25.0 ms, p99 30.5 ms",
        "power VDD_IN 9.41 W   temperature cpu-thermal 61.2 °C",
        "the clock's governor is powersave",
        "━",
    ):
        assert part in text
    assert "1510" not in text
    assert "1,510" not in text


def test_each_phase_that_ended_leaves_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(EVENTS, monkeypatch)
    assert re.search(r"^load  0\.\d+ s\s*$", text.replace("\r", "\n"), re.M)
    assert re.search(r"measure  0\.\d+ s, 1,800 queries, 40\.0 queries/s, p50 25\.1 ms, p99 31\.0 ms", text)


def test_what_nobody_knows_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown([Phase("warm"), Tick(0.0, 0.0, 0), Tick(2.0, 0.0, 30)], monkeypatch)
    assert "30 queries, 15.0 queries/s" in text
    for absent in ("left", "━", "p50", " of "):
        assert absent not in text


def test_a_phase_that_takes_longer_than_planned_has_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown([Phase("measure", 10.0), Tick(12.0, 10.0, 5)], monkeypatch)
    assert "measure  12 s of 10 s" in text
    assert "12 s of 10 s, " not in text


def test_names_cannot_steer_the_terminal_or_the_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "\x1b]0;owned\x07[bold red]x[/bold red]\n"
    events = [
        Phase(hostile, 5.0),
        Tick(1.0, 5.0, 4),
        Sample(f"power {hostile}", 1.0, "W"),
        Note(hostile),
        Tick(2.0, 5.0, 8),
    ]
    text = shown(events, monkeypatch, hostile)
    assert "\x07" not in text
    assert "\x1b]" not in text
    assert text.count("[bold red]x[/bold red]?") >= 4


def test_drawing_is_rare_so_that_it_takes_nothing_from_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    now = [100.0]
    monkeypatch.setattr(live_module.time, "monotonic", lambda: now[0])
    stream = Terminal()
    with Live(stream) as view:
        view.on_event(Phase("measure", 60.0))
        for tick in range(1, 21):
            now[0] += 0.1
            view.on_event(Tick(tick / 10, 60.0, tick))
    assert stream.getvalue().count("queries/s") <= 5 + 2


def test_a_run_that_fails_ends_the_view_without_a_line_for_its_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with pytest.raises(ValueError, match="broken"), Live(stream) as view:
        view.on_event(Phase("measure"))
        raise ValueError("broken")
    assert "measure  0." not in stream.getvalue()
    assert stream.getvalue().rstrip("\r\n").endswith(("\x1b[2K", "\x1b[?25h"))


def test_on_a_terminal_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.live", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgekit\[bench\]'"):
        Live(Terminal())
    Live(io.StringIO())


def test_a_real_terminal_gets_its_cursor_back() -> None:
    leader, follower = pty.openpty()
    code = (
        "import sys; from edgekit.benchmarks.report.live import Live;"
        "from edgekit.benchmarks.running.events import Phase, Tick\n"
        "with Live(sys.stderr) as view:\n"
        "    view.on_event(Phase('measure', 4.0)); view.on_event(Tick(1.0, 4.0, 100))"
    )
    with os.fdopen(leader, "rb", buffering=0) as reading:
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
        process = subprocess.Popen([sys.executable, "-c", code], stderr=follower, env=env)
        os.close(follower)
        told = b""
        try:
            while chunk := reading.read(4096):
                told += chunk
        except OSError:  # how a terminal says that its last writer has gone
            pass
        assert process.wait(60) == 0
    assert b"measure" in told
    assert told.rindex(b"\x1b[?25h") > told.rindex(b"\x1b[?25l")
