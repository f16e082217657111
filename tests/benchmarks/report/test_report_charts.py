"""Every picture: what it draws, what its caption says, and when there is none; plotly's own schema accepts each."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_extras import profile, versus
from bench_results import changed, result
from edgekit.benchmarks.report import breakdown, chart, distribution, limits, overview, sensors, side_by_side, tradeoff
from edgekit.benchmarks.results.energy_records import Series
from edgekit.benchmarks.results.records import Estimate

if TYPE_CHECKING:
    from edgekit.benchmarks.report.chart import Chart
    from edgekit.benchmarks.results.records import Result

RUN = result("orin", seconds=600, roofline=True)
VARIANTS = [result("orin", variant, roofline=True) for variant in ("fp32", "fp16", "int8", "int8_dynamic", "int4")]
STREAMS = [result("orin", scenario="multi-stream", streams=streams) for streams in (4, 1, 8)]


def all_charts() -> list[Chart]:
    one = [distribution.histogram(RUN), distribution.course(RUN), breakdown.stages(RUN), breakdown.phases(RUN)]
    several = [overview.latency(VARIANTS), overview.energy(VARIANTS), overview.stages(VARIANTS)]
    traded = [*tradeoff.pareto(VARIANTS), tradeoff.curve(STREAMS)]
    rest = [sensors.sensors(RUN), limits.roofline(VARIANTS), limits.profile(profile()), side_by_side.versus(versus())]
    found = [*one, *several, *traded, *rest]
    assert None not in found
    return [one for one in found if one]


@pytest.mark.parametrize("drawn", all_charts(), ids=lambda drawn: drawn.title)
def test_plotly_knows_every_property_and_the_table_has_its_heads(drawn: Chart) -> None:
    figure = go.Figure({"data": drawn.data, "layout": drawn.layout})
    assert len(figure.data) == len(drawn.data) > 0
    assert drawn.rows
    assert {len(row) for row in drawn.rows} == {len(drawn.heads)}
    assert len(drawn.caption) > 20
    assert drawn.caption.endswith(".")
    assert 100 < drawn.height < 1200
    json.dumps({"data": drawn.data, "layout": drawn.layout}, allow_nan=False)


@pytest.mark.parametrize("drawn", all_charts(), ids=lambda drawn: drawn.title)
def test_colours_are_names_of_the_schemes_variables(drawn: Chart) -> None:
    def colours(value: object, key: str = "") -> list[str]:
        if isinstance(value, dict):
            return [c for name, item in value.items() for c in colours(item, name)]
        if isinstance(value, list):
            return [c for item in value for c in colours(item, key)]
        return [value] if isinstance(value, str) and key.endswith("color") else []

    found = colours(drawn.data) + colours(drawn.layout)
    assert found
    assert all(c.startswith("var(--") or c == "rgba(0,0,0,0)" for c in found)


def test_a_histogram_draws_each_bin_but_the_tail_and_says_how_many_it_left_out() -> None:
    bins = ((10.0, 5), (11.0, 60), (12.0, 30), (40.0, 4))
    latency = replace(
        RUN.latency,
        n=99,
        least=9.0,
        greatest=40.0,
        p50=Estimate(10.8, 10.5, 11.0, 99),
        p99=Estimate(30.0, 12.0, 40.0, 99),
        histogram=bins,
    )
    drawn = distribution.histogram(changed(RUN, "latency", latency))
    assert drawn
    assert drawn.data[0]["x"] == [9.0, 10.0, 10.0, 11.0, 11.0, 12.0]
    assert drawn.data[0]["y"] == [5, 5, 60, 60, 30, 30]
    assert drawn.caption.endswith("slowest 40.0 ms. 4 slower queries are not drawn.")
    assert [row[2] for row in drawn.rows] == ["5", "60", "30", "4"]
    assert [mark["text"].split()[0] for mark in drawn.layout["annotations"]] == ["p50", "p90", "p99"]
    assert drawn.layout["shapes"][0]["x0"] == 10.8
    assert distribution.histogram(changed(RUN, "latency.histogram", ())) is None


def test_a_histogram_ends_a_little_behind_its_99th_percentile() -> None:
    latency = replace(RUN.latency, least=0.0, histogram=tuple((float(i), 1) for i in range(1, 101)))
    latency = replace(latency, p99=Estimate(20.0, 19.0, 40.0, 100))
    drawn = distribution.histogram(changed(RUN, "latency", latency))
    assert drawn
    assert max(drawn.data[0]["x"]) == 50.0
    assert "50 slower queries are not drawn" in drawn.caption


def test_a_course_needs_two_intervals_and_has_minutes_where_it_is_long() -> None:
    drawn = distribution.course(RUN)
    assert drawn
    assert drawn.layout["xaxis"]["title"]["text"] == "minutes"
    assert drawn.data[1]["x"][0] == 0.5
    assert "10 intervals" in drawn.caption
    assert len(drawn.rows) == 10
    assert distribution.course(changed(RUN, "minutes", RUN.minutes[:1])) is None
    short = distribution.course(result(seconds=60))
    assert short
    assert short.layout["xaxis"]["title"]["text"] == "seconds"
    still = tuple(replace(minute, p50=25.0) for minute in RUN.minutes)
    same = distribution.course(changed(RUN, "minutes", still))
    assert same
    assert same.caption.startswith("The median stayed at 25.0 ms over 10")


def test_stages_name_the_longest_and_what_lies_between() -> None:
    drawn = breakdown.stages(RUN)
    assert drawn
    assert drawn.caption.startswith("Most of it is inference: 75.5 % of a query, 19.0 ms in the median.")
    assert drawn.data[0]["y"] == ["decode", "preprocess", "inference", "postprocess"]
    less = changed(RUN, "stages.inference.share", 0.7)
    shown = breakdown.stages(less)
    assert shown
    assert shown.caption.endswith("5.5 % is between the parts.")
    assert breakdown.stages(changed(RUN, "stages", {"inference": RUN.stages["inference"]})) is None


def test_phases_lie_one_after_another_up_to_the_first_answer() -> None:
    drawn = breakdown.phases(changed(RUN, "phases.prepare_ms", 300.0))
    phases = RUN.phases
    assert drawn.data[0]["y"] == ["import", "load", "inputs", "first query"]
    starts = [0, phases.import_ms, phases.import_ms + phases.load_ms, phases.import_ms + phases.load_ms + 300]
    assert drawn.data[0]["base"] == pytest.approx(starts)
    assert "is there 1.70 s after the process began" in drawn.caption
    assert "3 times a warm one" in drawn.caption
    assert breakdown.phases(RUN).data[0]["y"] == ["import", "load", "first query"]
    assert "times a warm one" not in breakdown.phases(changed(RUN, "phases.warm_ms", 0.0)).caption


def test_sensors_have_a_band_for_each_kind_and_shade_what_was_before() -> None:
    drawn = sensors.sensors(RUN)
    assert drawn
    bands = [drawn.layout[f"yaxis{key}"] for key in ("", "2", "3")]
    assert [band["title"]["text"] for band in bands] == ["power, W", "temperature, °C", "clock, MHz"]
    tops = [band["domain"] for band in bands]
    assert tops[0][1] == 1.0
    assert tops[0][0] > tops[1][1] > tops[1][0] > tops[2][1] > tops[2][0] >= 0
    assert [trace["yaxis"] for trace in drawn.data] == ["y", "y2", "y2", "y3"]
    assert drawn.layout["xaxis"]["anchor"] == "y3"
    assert drawn.layout["shapes"][0]["x1"] == 0
    assert "power 9." in drawn.caption
    assert "clock 1,510 MHz" in drawn.caption
    power = next(row for row in drawn.rows if row[0] == "power VDD_IN")
    assert power[1:3] == ("W", "ina3221")
    assert float(power[4]) == pytest.approx(9.4 * 0.45, rel=0.05)


def test_sensors_of_one_kind_stand_alone_and_energy_counters_are_not_drawn() -> None:
    times, values = (0.0, 1.0, 2.0), (40.0, 41.0, 42.0)
    one = Series("temperature a", "temperature", "°C", "thermal", times, values)
    counter = Series("energy package", "energy", "J", "rapl", times, (0.0, 5.0, 10.0))
    drawn = sensors.sensors(changed(RUN, "series", (one, counter)))
    assert drawn
    assert len(drawn.data) == 1
    assert drawn.layout["xaxis"]["anchor"] == "y"
    assert "shapes" not in drawn.layout
    assert [row[0] for row in drawn.rows] == ["temperature a", "energy package"]
    assert sensors.sensors(changed(RUN, "series", (counter,))) is None
    assert sensors.sensors(changed(RUN, "series", ())) is None
    before = sensors.sensors(changed(RUN, "series", (replace(one, times=(-3.0, -2.0, -1.0)),)))
    assert before
    assert before.caption == "All samples are from before."
    assert before.rows[0][3:] == ("0", "41.0", "", "", "", "")


def test_series_that_are_alike_are_drawn_once() -> None:
    clocks = tuple(Series(f"clock cpu{i}", "clock", "MHz", "cpufreq", (0.0, 1.0), (1500.0, 1500.0)) for i in range(8))
    drawn = sensors.sensors(changed(RUN, "series", clocks))
    assert drawn
    assert [trace["name"] for trace in drawn.data] == ["clock cpu0 and 7 like it"]
    assert len(drawn.rows) == 8


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(4, 500))
def test_a_thinned_series_keeps_its_ends_and_its_extremes(values: list[float], points: int) -> None:
    times = [float(i) for i in range(len(values))]
    kept_times, kept = sensors.thinned(times, values, points)
    assert len(kept) == len(kept_times) <= max(points, 4)
    assert (kept_times[0], kept_times[-1]) == (times[0], times[-1])
    assert (min(kept), max(kept)) == (min(values), max(values))
    assert all(values[int(t)] == v for t, v in zip(kept_times, kept, strict=True))
    assert kept_times == sorted(kept_times)


def test_runs_side_by_side_name_the_fastest_and_mark_what_is_invalid() -> None:
    runs = [*VARIANTS, result("orin", "int8_dynamic", seed=9, reasons=("other load",))]
    drawn = overview.latency(runs)
    assert drawn
    assert drawn.caption.startswith("Fastest: int8, 25.03 ms")
    assert "slowest: fp32, 64.0 ms" in drawn.caption
    assert drawn.caption.endswith("1 marked ✗ is INVALID.")
    assert drawn.data[0]["y"][-1] == "int8_dynamic · run 2 ✗"
    assert [note["text"] for note in drawn.layout["annotations"]] == drawn.data[0]["y"]
    low = drawn.data[0]["error_x"]["arrayminus"]
    assert all(value >= 0 for value in low)
    assert overview.latency(VARIANTS[:1]) is overview.energy(VARIANTS[:1]) is overview.stages(VARIANTS[:1]) is None


def test_names_that_become_alike_when_shortened_get_numbers() -> None:
    runs = [changed(RUN, "subject.variant", f"{'x' * 30}{i}{'y' * 30}") for i in range(2)]
    drawn = overview.latency(runs)
    assert drawn
    assert len(set(drawn.data[0]["y"])) == 2
    assert drawn.data[0]["y"][1].startswith("2: xxx")


def test_energy_is_compared_where_it_was_measured_and_scopes_are_told() -> None:
    drawn = overview.energy([*VARIANTS, result("rock5")])
    assert drawn
    assert len(drawn.rows) == len(VARIANTS)
    assert drawn.caption.startswith("Least: int8 · orin-nano-1, 237 mJ a photo. Measured: the whole device.")
    mixed = overview.energy([RUN, result("pi5")])
    assert mixed
    assert mixed.caption.endswith("must not be compared.")
    assert overview.energy([RUN, result("rock5")]) is None


def test_parts_of_runs_are_stacked_in_their_order() -> None:
    drawn = overview.stages([RUN, result("orin", pipeline="image")])
    assert drawn
    assert [trace["name"] for trace in drawn.data] == ["decode", "preprocess", "inference", "postprocess"]
    assert drawn.data[0]["x"][1] == 0
    assert "Inference is 76 % of a query (int8 · photo) to 92 % (int8 · image)." in drawn.caption
    assert "in every run" in getattr(overview.stages(VARIANTS), "caption", "")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_the_front_holds_exactly_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    found = tradeoff.front(points)
    for index, point in enumerate(points):
        beaten = any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in points)
        assert (index in found) == (not beaten)
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_a_pareto_picture_marks_its_front_and_leaves_invalid_points_out_of_it() -> None:
    runs = [*VARIANTS[:4], result("orin", "int4", slowdown=0.3, reasons=("other load",))]
    (drawn,) = tradeoff.pareto(runs)
    assert drawn.title == "Time and fidelity"
    marked = {row[0]: row[4] for row in drawn.rows}
    assert marked == {"fp32": "yes", "fp16": "yes", "int8": "yes", "int8_dynamic": "", "int4": ""}
    assert drawn.data[0]["x"] == sorted(drawn.data[0]["x"])
    by_name = {trace["name"]: trace for trace in drawn.data[1:]}
    assert by_name["int8"]["marker"]["size"] > by_name["int8_dynamic"]["marker"]["size"]
    assert by_name["int4"]["marker"]["symbol"].endswith("-open")
    assert "int8 (25.0 ms), fp16 (58.0 ms), fp32 (64.0 ms). Hollow points are INVALID" in drawn.caption


def test_without_fidelity_size_takes_its_place() -> None:
    runs = [changed(run, "accuracy.agreement", None) for run in VARIANTS]
    (drawn,) = tradeoff.pareto(runs)
    assert drawn.title == "Time and size"
    assert [row[0] for row in drawn.rows if row[4]] == ["int8", "int4"]
    (some,) = tradeoff.pareto([*VARIANTS[:3], runs[3]])
    assert "1 without a fidelity record are not drawn." in some.caption


def test_each_device_and_work_has_its_own_pareto_picture() -> None:
    runs = [result(device, variant) for device in ("orin", "pi5") for variant in ("fp32", "int8")]
    drawn = tradeoff.pareto([*runs, result("rock5")])
    assert [one.caption.split(",")[0] for one in drawn] == [
        "NVIDIA Jetson Orin Nano Developer Kit",
        "Raspberry Pi 5 Model B Rev 1.0",
    ]
    assert tradeoff.pareto([RUN, RUN]) == []


def test_a_curve_orders_its_points_and_names_only_what_varies() -> None:
    drawn = tradeoff.curve(STREAMS)
    assert drawn
    assert drawn.data[0]["text"] == ["1 stream", "4 streams", "8 streams"]
    assert drawn.data[0]["x"] == sorted(drawn.data[0]["x"])
    assert [trace["name"] for trace in drawn.data] == ["p50", "p99"]
    assert "samples a second with 8 streams, where the median is" in drawn.caption
    assert drawn.rows[0][1] == "batch 1, the engine's threads, 1 stream, queries as they end"
    assert tradeoff.curve(VARIANTS) is None
    both = tradeoff.curve([*STREAMS, *(result("pi5", threads=threads) for threads in (1, 2))])
    assert both
    assert len(both.data) == 4
    assert both.data[2]["text"] == ["1 thread", "2 threads"]


def test_a_roofline_has_a_roof_for_each_limit_and_a_point_for_each_run() -> None:
    drawn = limits.roofline(VARIANTS)
    assert drawn
    assert [trace["name"] for trace in drawn.data[:2]] == ["limit, fp32", "limit, int8"]
    assert len(drawn.data) == 2 + len(VARIANTS)
    low, ridge, high = drawn.data[0]["x"]
    assert low < ridge < high
    roof = VARIANTS[0].roofline
    assert roof
    assert ridge == pytest.approx(roof.peak_gflops / roof.bandwidth_gbs)
    assert drawn.data[0]["y"][1:] == [roof.peak_gflops, roof.peak_gflops]
    assert drawn.caption.startswith("Nearest to its limit: int4, 79.0 % of what arithmetic allows here.")
    assert all(mark > 0 for mark in drawn.layout["xaxis"]["tickvals"])
    assert limits.roofline([result()]) is None
    two = limits.roofline([RUN, result("pi5", roofline=True)])
    assert two
    assert two.data[1]["name"].startswith("limit, int8, Raspberry Pi")


def test_a_roofline_says_which_side_binds() -> None:
    memory = changed(RUN, "roofline.bound", "memory")
    drawn = limits.roofline([memory])
    assert drawn
    assert "of what memory allows here" in drawn.caption
    assert drawn.rows[0][-1] == "memory"


def test_a_profile_has_parts_operators_and_the_longest_nodes() -> None:
    drawn = limits.profile(profile())
    assert drawn
    assert drawn.title == "Profile of the image tower"
    assert drawn.data[0]["y"] == ["mlp", "attention", "stem"]
    assert "mlp takes 58.0 % of 31.0 ms (median of 20 inferences of 1 with the profiler on); 1.00 ms" in drawn.caption
    kinds = [row[1] for row in drawn.rows]
    assert (kinds.count("part"), kinds.count("operator"), kinds.count("node")) == (3, 2, 15)
    assert limits.profile(profile(reason="litert has no profiler here")) is None


def test_contenders_are_told_with_ratios_and_noise_is_called_noise() -> None:
    drawn = side_by_side.versus(versus())
    assert drawn.title == "edgekit int8 beside open-clip, modern-onnx-clip"
    assert "open-clip takes 2.31 (2.25–2.38) times as long; modern-onnx-clip takes 1.01 (0.98–1.04)" in drawn.caption
    assert "no difference that can be told from noise" in drawn.caption
    assert drawn.caption.endswith("40 rounds of 12 queries each on sample photos; VALID.")
    assert [row[0] for row in drawn.rows] == ["edgekit int8", "open-clip", "modern-onnx-clip"]
    assert drawn.rows[1][-1] == "cosine 0.9912 at least (n=24)"
    assert drawn.rows[2][-1] == "another embedding space"
    low, high = drawn.layout["xaxis"]["range"]
    assert low < 0.98
    assert high > 2.38
    assert side_by_side.sentence(versus(reasons=("other load",))).endswith("INVALID: other load.")


HOSTILE = "<b>x</b>%{y}</script><script>alert(1)</script>&amp;\"'\x1b\n$x$"


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_no_name_becomes_markup_or_a_template_in_a_picture() -> None:
    runs: list[Result] = []
    for variant in ("int8", "fp32"):
        run = changed(result("orin", variant, roofline=True, seconds=600), "subject.variant", f"{HOSTILE}{variant}")
        run = changed(run, "stages", {f"{HOSTILE}{name}": stage for name, stage in run.stages.items()})
        series = tuple(replace(s, name=HOSTILE + s.name, unit=HOSTILE) for s in run.series)
        runs.append(changed(changed(run, "series", series), "context.device.board", HOSTILE))
    curve = [changed(run, "subject.bundle", HOSTILE) for run in STREAMS]
    named = replace(profile(), **{f.name: HOSTILE for f in fields(profile()) if f.name in ("bundle", "variant")})
    parts = tuple(replace(part, name=HOSTILE) for part in named.parts)
    drawn = [
        *(f(runs[0]) for f in (distribution.histogram, distribution.course, breakdown.stages, breakdown.phases)),
        *(f(runs) for f in (overview.latency, overview.energy, overview.stages, limits.roofline)),
        *(*tradeoff.pareto(runs), tradeoff.curve([*curve, *STREAMS]), sensors.sensors(runs[0])),
        limits.profile(replace(named, parts=parts)),
        side_by_side.versus(versus((HOSTILE, 2.0, 1.9, 2.1), subject=HOSTILE)),
    ]
    for one in drawn:
        assert one
        for text in strings(one.data) + strings(one.layout):
            assert "<b>" not in text
            assert "<script" not in text
            assert "%{y}</" not in text
            assert "\x1b" not in text
            assert "\n" not in text


def test_data_in_a_page_cannot_end_its_element() -> None:
    value = {"a": "</script><!--&\u2028", "b": [1.5, None, True]}
    text = chart.embedded(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        chart.embedded(float("nan"))
