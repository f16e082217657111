"""What a board prints and what is told of it: whole characters, one line each, and a log that ends whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.remote.diary import Diary
from edgekit.benchmarks.running.events import Note, Tick, to_line

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.remote.records import RemoteEvent


def kept(folder: Path, pieces: list[bytes]) -> tuple[list[str], list[RemoteEvent], str]:
    told: list[RemoteEvent] = []
    diary = Diary("pi", folder / "pi.log", told.append)
    for piece in pieces:
        diary.printed(piece)
    diary.close()
    return (folder / "pi.log").read_text(encoding="utf-8").split("\n"), told, diary.last_line


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.text("aé€😀 \x1b\u2028", min_size=1, max_size=8), min_size=1, max_size=4), st.data())
def test_looks_that_end_anywhere_keep_the_same_lines(tmp_path: Path, lines: list[str], data: st.DataObject) -> None:
    whole = "\n".join(lines).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = kept(tmp_path, pieces)
    assert found == kept(tmp_path, [whole])
    assert "\ufffd" not in "".join(found[0])
    assert all(line.isprintable() for line in found[0])


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    lines, _, last = kept(tmp_path, [b"caf\xe9 \xff\n", b"cut \xc3"])
    assert lines == ["  caf\ufffd \ufffd", "  cut \ufffd", ""]
    assert last == "cut \ufffd"


def test_an_event_with_any_letters_crosses_in_pieces_and_is_not_in_the_log(tmp_path: Path) -> None:
    sent = [Note("naïve café — 60 °C"), Tick(1.0, 9.0, 3, 1.5, 2.5)]
    data = "".join(f"{to_line(event)}\n" for event in sent).encode()
    lines, told, last = kept(tmp_path, [data[i : i + 1] for i in range(len(data))])
    assert [event.bench for event in told] == sent
    assert lines == [""]
    assert last == ""


def test_the_last_line_is_one_and_short_enough_to_show(tmp_path: Path) -> None:
    _, _, last = kept(tmp_path, [b"first\n\n   \n  Error: " + b"x" * 900 + b"   \n \n"])
    assert last == "Error: " + "x" * 293


def test_seconds_of_a_step_add_up_and_are_kept_where_it_failed(tmp_path: Path) -> None:
    diary = Diary("pi", tmp_path / "pi.log", lambda event: None)
    with diary.during("send"):
        pass
    once = diary.seconds["send"]
    with pytest.raises(ValueError, match="cut"), diary.during("send"):
        raise ValueError("cut")
    assert diary.seconds["send"] > once >= 0
    with diary.during("run"):
        diary.say("begun")
    diary.close()
    assert list(diary.seconds) == ["send", "run"]
    assert "] run: begun\n" in (tmp_path / "pi.log").read_text()


def test_an_observer_that_fails_is_heard_once_and_the_log_goes_on(tmp_path: Path) -> None:
    def fail(event: RemoteEvent) -> None:
        raise ValueError(event.text)

    diary = Diary("pi", tmp_path / "pi.log", fail)
    with pytest.raises(ValueError, match="first"):
        diary.say("first")
    diary.say("second")
    diary.sent(1, 2)
    diary.close()
    assert [line.rpartition(": ")[2] for line in (tmp_path / "pi.log").read_text().splitlines()] == ["first", "second"]
