"""The arrays that queries' times go to."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.scenarios.recorder import Recorder, bytes_of, merge

TIMES = st.integers(0, 2**62)


@given(st.lists(st.tuples(TIMES, TIMES, TIMES, TIMES), max_size=40), st.integers(1, 5))
def test_whatever_goes_in_comes_out_through_every_growth(rows, room):
    recorder = Recorder(2, room)
    for issued, ended, first, second in rows:
        recorder.add(issued, ended, (first, second))
    issued, ended, stages = recorder.rows()
    assert recorder.count == len(rows)
    assert [(a, b, *c) for a, b, c in zip(issued.tolist(), ended.tolist(), stages.tolist(), strict=True)] == rows
    assert issued.dtype == ended.dtype == stages.dtype == np.int64


def test_a_recorder_grows_by_doubling():
    recorder = Recorder(1, 4)
    for number in range(33):
        recorder.add(number, number, (number,))
    assert recorder.rows()[0].base.shape == (64,)


def test_threads_are_merged_in_the_order_of_arrival():
    first, second = Recorder(1, 2), Recorder(1, 2)
    first.add(100, 900, (1,))
    first.add(300, 400, (2,))
    second.add(200, 250, (3,))
    second.add(300, 350, (4,))
    trace = merge([first, second], 50, 8)
    assert trace.issued.tolist() == [50, 150, 250, 250]
    assert trace.ended.tolist() == [850, 200, 300, 350]
    assert trace.stages[:, 0].tolist() == [1, 3, 4, 2]
    assert (trace.begin, trace.end, trace.batch) == (50, 900, 8)


def test_what_a_query_takes_is_known():
    recorder = Recorder(4)
    recorder.add(1, 2, (0, 0, 0, 0))
    trace = merge([recorder], 0, 1)
    assert bytes_of(trace) == trace.issued.nbytes + trace.ended.nbytes + trace.stages.nbytes
