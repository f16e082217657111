"""What a terminal shows, and how a rate and the time left are computed."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.distill.display import Display, clock, line
from edgekit.converters.distill.throughput import Pace


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_stages_with_a_line_that_changes():
    stream = Terminal()
    with Display(stream) as display:
        display.next("training")
        display.progress({"done": 5, "total": 20, "loss": 0.51234, "per_second": 640.4, "left": 75.2})
        display.next("packing")
    shown = stream.getvalue()
    assert "\rtraining  5/20  loss 0.5123  640/s  1:15 left\x1b[K" in shown
    assert shown.index("training …") < shown.index("5/20") < shown.index("packing …")
    assert shown.endswith(" s\n")


def test_a_pipe_sees_nothing():
    stream = io.StringIO()
    with Display(stream) as display:
        display.next("training")
        display.progress({"done": 1, "total": 2})
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"done": 3, "total": 0}, "3"),
        ({"done": 0, "total": 9}, "0/9"),
        ({"loss": 0.0, "score": 0.452, "per_second": None, "left": None}, "loss 0.0000  score 45.2%"),
        ({"left": 0}, "0:00 left"),
    ],
    ids=["nothing", "unbounded", "begun", "scores", "over"],
)
def test_absent_facts_are_left_out(facts, text):
    assert line(facts) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3723, "1:02:03"), (-5, "0:00")]
)
def test_times_are_shown_as_clocks(seconds, text):
    assert clock(seconds) == text


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_rate_counts_what_was_done_since_the_start():
    told, time = [], Clock()
    pace = Pace(told.append, time)
    pace(100, 200)
    time.now = 2.0
    pace(120, 200)
    assert told == [
        {"done": 100, "total": 200},
        {"done": 120, "total": 200, "per_second": 10.0, "left": 8.0},
    ]


def test_it_tells_a_few_times_a_second_at_most_and_always_the_end():
    told, time = [], Clock()
    pace = Pace(told.append, time)
    for done in range(1001):
        time.now = done / 1000
        pace(done, 1000)
    assert len(told) < 10
    assert told[-1]["done"] == 1000


def test_a_new_job_begins_anew():
    told, time = [], Clock()
    pace = Pace(told.append, time)
    pace(0, 10)
    time.now = 1.0
    pace(10, 10)
    time.now = 5.0
    pace(0, 30)
    time.now = 6.0
    pace(3, 30)
    assert told[-1] == {"done": 3, "total": 30, "per_second": 3.0, "left": 9.0}


@given(counts=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30))
def test_any_counts_give_finite_facts(counts):
    told, time = [], Clock()
    pace = Pace(told.append, time)
    for done, total in counts:
        time.now += 0.3
        pace(done, total)
    for facts in told:
        assert facts.get("per_second", 1) > 0
        assert line(facts)
