"""The summary that Vela writes is read by its columns' names, whichever of them a version has."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.targets import vela_worker

cells = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S"), exclude_characters='"'), max_size=8)


@given(st.dictionaries(cells.filter(bool), cells, min_size=1, max_size=6), st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_what_was_written_is_read(facts, earlier) -> None:
    """One row a network; of several, written by runs into one folder, the last one counts."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(facts), lineterminator="\n")
    writer.writeheader()
    writer.writerows([dict.fromkeys(facts, "old")] * earlier)
    writer.writerow(facts)
    # A row whose only cell is empty is an empty line, which holds no row.
    if list(facts.values()) != [""]:
        assert vela_worker.summary(stream.getvalue()) == facts


def test_a_row_that_is_shorter_or_longer_than_the_columns() -> None:
    assert vela_worker.summary("cycles_total,nn_macs\n12\n") == {"cycles_total": "12"}
    assert vela_worker.summary("cycles_total\n12,13\n") == {"cycles_total": "12"}


@pytest.mark.parametrize("text", ["", "cycles_total,nn_macs\n"])
def test_a_summary_of_nothing_is_told(text) -> None:
    with pytest.raises(RuntimeError, match="Vela's summary has no row"):
        vela_worker.summary(text)
