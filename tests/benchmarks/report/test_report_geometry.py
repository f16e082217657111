"""Where pictures put things: points against the limits they are drawn beside, whiskers, bars and bins."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_extras import versus
from bench_results import changed, latency_of, result
from edgekit.benchmarks.limits.records import Operation, Peak, Peaks, Work
from edgekit.benchmarks.limits.roofline import compare
from edgekit.benchmarks.report import breakdown, distribution, limits, overview, sensors, side_by_side, tradeoff
from edgekit.benchmarks.results.energy_records import Series
from edgekit.benchmarks.results.records import Estimate, Result
from edgekit.benchmarks.statistics.histogram import histogram

RUN = result(roofline=True)
AMOUNTS = st.floats(1e-3, 1e6)


def with_p50(run: Result, value: float, low: float, high: float) -> Result:
    run = changed(changed(run, "latency.p50", Estimate(value, low, high, 100)), "p50", value)
    return changed(run, "latency.p99", Estimate(2 * value, 2 * low, 2 * high, 100))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.floats(1.0, 1e3)), min_size=1, max_size=4))
def test_a_run_lies_below_its_roof_by_its_share(runs: list[tuple[float, ...]]) -> None:
    """The share was computed from times; in the picture it must be the distance to the drawn limit."""
    given_ = []
    for gflops, megabytes, peak, bandwidth, slower in runs:
        work = Work((Operation("n", "MatMul", "fp32", gflops * 1e9),), megabytes * 1e6, 0.0, 0.0, {})
        peaks = Peaks(0, {"fp32": Peak(peak, 0, 5, "", "")}, {"read": Peak(bandwidth, 0, 5, "", "")}, {}, 0.0, True, "")
        least = max(gflops / peak, megabytes / 1e3 / bandwidth)
        given_.append(changed(RUN, "roofline", compare(work, peaks, 1e3 * least * slower, "here")))
    drawn = limits.roofline(given_)
    assert drawn
    roofs = [trace for trace in drawn.data if trace["mode"] == "lines"]
    points = [trace for trace in drawn.data if trace["mode"] == "markers"]
    assert len(points) == len(runs)
    low, high = drawn.layout["xaxis"]["range"]
    bottom, top = drawn.layout["yaxis"]["range"]
    for point, (_, _, peak, bandwidth, slower) in zip(points, runs, strict=True):
        (x,), (y,) = point["x"], point["y"]
        roof = next(
            r for r in roofs if r["y"][1] == pytest.approx(peak) and r["x"][1] == pytest.approx(peak / bandwidth)
        )
        limit = math.exp(float(np.interp(math.log(x), np.log(roof["x"]), np.log(roof["y"]))))
        assert y / limit == pytest.approx(1 / slower, rel=1e-6)
        assert low < math.log10(x) < high
        assert bottom < math.log10(y) < top
    for axis in ("xaxis", "yaxis"):
        marks = drawn.layout[axis]["tickvals"]
        assert marks == sorted(marks)
        assert [float(text) for text in drawn.layout[axis]["ticktext"]] == pytest.approx(marks)
        # An axis without a mark says nothing.
        least, greatest = (10**end for end in drawn.layout[axis]["range"])
        assert any(least <= mark <= greatest for mark in marks)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(1e-3, 1e4), st.floats(0, 0.9), st.floats(0, 5)), min_size=1, max_size=5))
def test_every_whisker_of_contenders_is_inside_and_ends_where_the_interval_does(
    ratios: list[tuple[float, float, float]],
) -> None:
    others = [(f"peer {i}", value, value * (1 - down), value * (1 + up)) for i, (value, down, up) in enumerate(ratios)]
    drawn = side_by_side.versus(versus(*others))
    (trace,) = drawn.data
    left, right = drawn.layout["xaxis"]["range"]
    assert 0 <= left < 1 < right
    ends = zip(trace["x"], trace["error_x"]["arrayminus"], trace["error_x"]["array"], others, strict=True)
    for value, down, up, (_, ratio, low, high) in ends:
        assert (value, value - down, value + up) == pytest.approx((ratio, low, high), abs=1e-9)
        assert left <= value - down + 1e-9
        assert value + up - 1e-9 <= right
    for (name, _, low, high), said in zip(others, drawn.caption.split(" in the median; ")[1].split("; "), strict=False):
        assert said.startswith(f"{name} takes ")
        assert ("no difference that can be told from noise" in said) == (low <= 1 <= high)


def test_a_contender_whose_memory_is_hidden_is_unmeasured_and_not_zero() -> None:
    found = versus()
    hidden = replace(found, others=(replace(found.others[0], rss_peak=None), found.others[1]))
    memory = [row[4] for row in side_by_side.versus(hidden).rows]
    assert memory == ["420", "unmeasured", "420"]


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [("photo", "photo to embedding"), ("image", "pixels to embedding"), ("text", "text to embedding")],
)
def test_a_side_by_side_run_says_what_a_query_was(pipeline: str, words: str) -> None:
    assert f", {words}: 20.0 ms" in side_by_side.sentence(replace(versus(), pipeline=pipeline))


def test_whiskers_of_latency_are_the_intervals_and_the_slowest_is_named() -> None:
    runs = [with_p50(result(variant=v), *ends) for v, ends in (("fp32", (40, 38, 43)), ("int8", (10, 9.5, 11)))]
    drawn = overview.latency(runs)
    assert drawn
    for trace, times in zip(drawn.data, (1, 2), strict=True):
        assert trace["x"] == [40 * times, 10 * times]
        assert trace["error_x"]["array"] == pytest.approx([3 * times, 1 * times])
        assert trace["error_x"]["arrayminus"] == pytest.approx([2 * times, 0.5 * times])
    assert drawn.caption == (
        "Fastest: int8, 10.0 ms (9.5–11.0) in the median; slowest: fp32, 40.0 ms (38.0–43.0), 4 times as long."
    )
    still = overview.latency([with_p50(run, 0, 0, 0) for run in runs])
    assert still
    assert "times as long" not in still.caption


def test_energy_without_an_interval_has_no_whisker_and_scopes_are_set_apart() -> None:
    bare = changed(changed(result("orin"), "energy.per_inference_low", None), "energy.per_inference_high", None)
    drawn = overview.energy([bare, result("orin", "fp32"), result("rock5")])
    assert drawn
    (trace,) = drawn.data
    assert len(trace["x"]) == 2  # the board without a sensor is not there, and not as 0
    assert trace["x"][0] == pytest.approx(1000 * bare.energy.per_inference)
    assert (trace["error_x"]["array"][0], trace["error_x"]["arrayminus"][0]) == (0, 0)
    assert trace["error_x"]["array"][1] > 0
    assert "must not be compared" not in drawn.caption
    both = overview.energy([bare, result("pi5")])
    assert both
    assert both.caption.endswith("Sensors that see different parts of a device must not be compared.")
    assert overview.energy([bare, result("rock5")]) is None


def test_parts_that_a_run_lacks_take_no_width_and_have_no_figure() -> None:
    photo, text = result(), result(pipeline="text")
    drawn = overview.stages([photo, text])
    assert drawn
    widths = {trace["name"]: trace["x"] for trace in drawn.data}
    assert list(widths) == ["decode", "preprocess", "inference", "postprocess", "tokenize"]
    assert widths["decode"] == [photo.stages["decode"].p50, 0]
    assert widths["tokenize"] == [0, text.stages["tokenize"].p50]
    assert drawn.rows[1][1:3] == ("", "")
    assert drawn.caption.endswith("Inference is 76 % of a query (int8 · photo) to 98 % (int8 · text).")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(1e-3, 1e5), min_size=4, max_size=4))
def test_phases_join_and_end_at_the_first_answer(times: list[float]) -> None:
    run = RUN
    for name, value in zip(("import_ms", "load_ms", "prepare_ms", "first_ms"), times, strict=True):
        run = changed(run, f"phases.{name}", value)
    drawn = breakdown.phases(run)
    (trace,) = drawn.data
    ends = [start + width for start, width in zip(trace["base"], trace["x"], strict=True)]
    assert trace["base"] == pytest.approx([0, *ends[:-1]])
    assert ends[-1] == pytest.approx(sum(times))
    assert drawn.layout["xaxis"]["range"][1] > ends[-1]
    assert drawn.rows[-2][0] == "together"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.01, 1e4), min_size=2, max_size=400), st.integers(0, 3))
def test_a_histogram_draws_or_tells_every_query(times: list[float], digits: int) -> None:
    ordered = np.sort(np.round(times, digits) + 0.01)
    latency = replace(latency_of(ordered), histogram=histogram(ordered))
    drawn = distribution.histogram(changed(RUN, "latency", latency))
    if drawn is None:  # every query took the same time: there is no width to draw
        assert ordered[0] == ordered[-1]
        return
    x, y = drawn.data[0]["x"], drawn.data[0]["y"]
    assert x[0] == ordered[0]
    assert all(b >= a for a, b in pairwise(x))
    left = re.search(r"([\d,]+) slower (?:query is|queries are) not drawn", drawn.caption)
    told = int(left[1].replace(",", "")) if left else 0
    # What lies on the least value itself belongs to the first bin, which begins there.
    assert sum(y[::2]) + told == len(ordered)
    assert sum(int(row[2].replace(",", "")) for row in drawn.rows) == len(ordered)


def test_a_curve_rises_with_throughput_whatever_the_order_of_the_runs() -> None:
    runs = [result(batch=batch) for batch in (8, 1, 4, 2)]
    drawn = tradeoff.curve(runs)
    assert drawn
    for trace in drawn.data:
        assert trace["x"] == sorted(run.throughput.value for run in runs)
    assert drawn.data[0]["text"] == ["batch 1", "batch 2", "batch 4", "batch 8"]
    best = max(runs, key=lambda run: run.throughput.value)
    assert f"with {drawn.data[0]['text'][-1]}" in drawn.caption
    assert f"p99 {best.p99:.3g}"[:7] in drawn.caption
    assert tradeoff.curve([result(), result(variant="fp32")]) is None


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-50, 150), min_size=2, max_size=60), st.integers(0, 60))
def test_sensors_tell_the_measured_part_alone(values: list[float], before: int) -> None:
    times = tuple(float(i - before) for i in range(len(values)))
    series = Series("temperature cpu", "temperature", "°C", "thermal", times, tuple(values))
    drawn = sensors.sensors(changed(RUN, "series", (series,)))
    assert drawn
    during = values[before:]
    (row,) = drawn.rows
    assert row[3] == f"{len(during):,}"
    assert (row[4] == "") == (before == 0)
    assert row[5:] == ("", "", "", "") if not during else all(row[5:])
    assert ("shapes" in drawn.layout) == (before > 0)
    assert (drawn.caption == "All samples are from before.") == (not during)
    if during and before:
        outside = changed(RUN, "series", (replace(series, values=(1e6,) * before + tuple(during)),))
        again = sensors.sensors(outside)
        assert again
        assert again.caption == drawn.caption


def test_size_stands_for_fidelity_in_megabytes_and_invalid_runs_beat_nothing() -> None:
    def run(variant: str, p50: float, size: int, reasons: tuple[str, ...] = ()) -> Result:
        made = changed(with_p50(result(variant=variant, reasons=reasons), p50, p50, p50), "subject.size", size)
        return changed(made, "accuracy.agreement", None)

    runs = [
        run("fp32", 40.0, 600_000_000),
        run("int8", 10.0, 150_000_000),
        run("int4", 5.0, 90_000_000, ("too short",)),
    ]
    (drawn,) = tradeoff.pareto(runs)
    line, *points = drawn.data
    assert [point["y"] for point in points] == [[600.0], [150.0], [90.0]]
    # int4 is faster and smaller, and INVALID: the front is int8's alone.
    assert (line["x"], line["y"]) == ([10.0], [150.0])
    marks = [point["marker"] for point in points]
    assert [mark["symbol"].endswith("-open") for mark in marks] == [False, False, True]
    assert marks[1]["size"] > marks[0]["size"] == marks[2]["size"]
    assert [mark["line"]["width"] for mark in marks] == [0, 2, 2]
    low, high = drawn.layout["xaxis"]["range"]
    assert 0 <= low < 5 < 40 < high
    assert "INVALID and beat nothing" in drawn.caption
    assert drawn.caption.split("smaller than: ")[1].startswith("int8 (10.0 ms).")
