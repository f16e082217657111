"""Events cross from the measured process as lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.running.events import Event, Note, Phase, Sample, Tick, from_line, to_line
from edgekit.errors import BundleError

_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_EVENTS = st.one_of(
    st.builds(Phase, _TEXTS, _FLOATS),
    st.builds(Tick, _FLOATS, _FLOATS, st.integers(0, 2**53), st.none() | _FLOATS, st.none() | _FLOATS),
    st.builds(Sample, _TEXTS, _FLOATS, _TEXTS),
    st.builds(Note, _TEXTS),
)


@given(_EVENTS)
def test_an_event_is_read_back_from_its_one_line(event: Event) -> None:
    line = to_line(event)
    assert "\n" not in line
    assert "\r" not in line
    assert from_line(line) == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "1",
        "[]",
        "{}",
        '{"event": "end"}',
        '{"event": ["tick"]}',
        '{"event": "note"}',
        '{"event": "note", "text": 1}',
    ],
)
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(BundleError):
        from_line(line)


def test_a_number_that_json_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_line(Sample("power", float("nan"), "W"))
