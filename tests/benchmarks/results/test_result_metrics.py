"""Figures of a result by short names and dotted paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_results import changed, result
from edgekit.benchmarks.results import files
from edgekit.benchmarks.results.metrics import METRICS, Figure, Metric, UnknownMetricError, figure, metric
from edgekit.errors import InputError


@pytest.mark.parametrize("known", METRICS, ids=lambda known: known.name)
def test_every_short_name_reads_a_number_or_unmeasured(known: Metric) -> None:
    found = figure(result(roofline=True), metric(known.name))
    assert found.value is None or isinstance(found.value, float | int)
    assert (found.low is None) == (found.high is None)
    if found.low is not None and found.value is not None:
        assert found.low <= found.value <= found.high


def test_names_and_paths_are_unique_and_every_path_can_be_asked_for() -> None:
    assert len({known.name for known in METRICS}) == len({known.path for known in METRICS}) == len(METRICS)
    for known in METRICS:
        assert metric(known.path) == known


def test_a_percentile_has_the_interval_of_the_latency_record() -> None:
    run = result()
    estimate = run.latency.p99
    assert figure(run, metric("p99")) == Figure(estimate.value, estimate.low, estimate.high)


def test_energy_takes_its_interval_from_the_fields_beside_it() -> None:
    run = result("orin")
    found = figure(run, metric("per_inference"))
    assert (found.low, found.high) == (run.energy.per_inference_low, run.energy.per_inference_high)
    assert figure(result("rock5"), metric("per_inference")) == Figure(None)


def test_a_record_that_is_absent_leaves_its_figures_unmeasured() -> None:
    assert figure(result(), metric("peak_share")) == Figure(None)
    assert figure(result(), metric("roofline.flops")) == Figure(None)
    assert figure(result(), metric("energy.before.watts")).value == pytest.approx(9.4 * 0.45)
    assert figure(result("rock5"), metric("energy.before.watts")) == Figure(None)


def test_an_interval_without_ends_is_none() -> None:
    run = changed(result(), "drift.latency", 1.02)
    assert figure(run, metric("drift")) == Figure(1.02, run.drift.latency_low, run.drift.latency_high)


def test_stages_are_milliseconds_of_which_less_is_better() -> None:
    assert metric("stages.decode.p90") == Metric("stages.decode.p90", "stages.decode.p90", "ms", "lower")
    assert metric("stages.decode.share").better == ""
    assert figure(result(), metric("stages.decode.p50")).value == result().stages["decode"].p50


def test_a_stage_that_the_pipeline_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(InputError, match="no 'decode' there; it has 'inference', 'tokenize'"):
        figure(result(pipeline="text"), metric("stages.decode.p50"))


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("p98", 0, "unknown metric 'p98'; known: p50, p90"),
        ("latency", 0, "latency is no number; it has n, mean"),
        ("latency.p98", 1, "latency has no 'p98'; it has n, mean"),
        ("latency.p99.middle", 2, "latency.p99 has no 'middle'; it has value, low, high, n"),
        ("latency.n.x", 2, "latency.n has no parts"),
        ("stages", 0, "go on with one of its names, such as stages.NAME"),
        ("verdict", 0, "verdict is no number"),
        ("series.0", 1, "series has no parts"),
        ("drift.leak.x", 2, "has no parts"),
        ("drift.throttling", 1, "drift.throttling is no number"),
        ("placement", 0, "unknown metric"),
        ("", 0, "unknown metric ''"),
        ("latency.", 1, "latency has no ''"),
        ("energy.status", 1, "no number"),
    ],
)
def test_a_wrong_path_names_its_wrong_part_and_what_is_known(name: str, part: int, said: str) -> None:
    with pytest.raises(UnknownMetricError) as caught:
        metric(name)
    assert caught.value.part == part
    assert said in str(caught.value)


def test_whole_numbers_are_figures_too() -> None:
    assert figure(result(), metric("context.device.cores")).value == 6.0
    assert figure(result(), metric("latency.n")).value == result().latency.n
    assert figure(result(), metric("subject.placement.image.cpu")).value == 412


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Everything in a result's JSON that has no parts of its own, by its path."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    else:
        yield ".".join(path), value


def test_every_number_of_the_file_can_be_asked_for_by_its_path_and_nothing_else_can() -> None:
    run = result("orin", seconds=20, roofline=True)
    found = dict(leaves(json.loads(files.dumps(run))))
    numbers = {path: value for path, value in found.items() if type(value) in (int, float)}
    assert len(numbers) > 60
    for path, value in numbers.items():
        assert figure(run, metric(path)).value == value, path
    # What is null may be a number in another result.
    others = {path for path, value in found.items() if value is not None and path not in numbers}
    assert others >= {"date", "verdict", "plan.sustained", "latency.histogram", "subject.bundle", "series"}
    for path in others:
        with pytest.raises(UnknownMetricError, match=r"is no number|has no parts"):
            metric(path)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["p50", "latency", "stages", "decode", "", "value", "x y", "subject"]), max_size=4))
def test_any_path_is_a_number_or_one_error_that_says_where_it_goes_wrong(parts: list[str]) -> None:
    name = ".".join(parts)
    try:
        asked = metric(name)
    except UnknownMetricError as error:
        assert 0 <= error.part <= max(0, len(parts) - 1)
        assert str(error)
        return
    try:
        assert isinstance(figure(result(seconds=20), asked).value, float)
    except InputError as error:
        # A stage, say, that no pipeline has.
        assert "this result has no" in str(error)
