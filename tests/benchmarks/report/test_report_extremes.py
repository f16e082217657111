"""Reports of results whose figures are as small, as large or as few as a record allows."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from bench_results import result
from edgekit.benchmarks.report import csv_table, html, markdown, text
from edgekit.benchmarks.report.script import SCRIPT
from edgekit.benchmarks.results.compare import compare
from edgekit.benchmarks.results.metrics import METRICS
from edgekit.benchmarks.results.records import Result
from edgekit.benchmarks.results.rules import parse
from edgekit.bundle.schema import loads, to_plain

_WHOLE = result("orin", roofline=True, seconds=30)
# A dozen points of each series are enough here.
RUN = replace(_WHOLE, series=tuple(replace(s, times=s.times[::20], values=s.values[::20]) for s in _WHOLE.series))


def mapped(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {name: mapped(item, change) for name, item in value.items() if name != "schema_version"} | {
            name: item for name, item in value.items() if name == "schema_version"
        }
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    return change(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def with_numbers(change: Any) -> Result:
    return loads(Result, json.dumps(mapped(to_plain(RUN), change)), "result")


def written(*results: Result) -> None:
    assert html.render(results, "x").count("<figure") > 0
    assert markdown.render(results).startswith("# Benchmark")
    assert csv_table.render(results).count("\r\n") == len(results) + 1
    for one in results:
        assert text.summary(one).count("\n") > 8
    compare(results[0], results[-1], [parse(f"{known.name}>+5%") for known in METRICS], across=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: type(value)(0),
        lambda value: type(value)(1),
        lambda value: value * 1e-12 if isinstance(value, float) else value,
        lambda value: value * 1e12 if isinstance(value, float) else value * 10**9,
        lambda value: -value,
    ],
    ids=["zeros", "ones", "tiny", "huge", "negative"],
)
def test_any_size_of_figures_can_be_reported(change: Any) -> None:
    strange = with_numbers(change)
    written(strange)
    written(strange, RUN)


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_any_kind_can_be_reported(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing is kept secret
    scales = (0.0, 1e-9, 0.5, 1.0, 1.0, 3.0, 1e6)
    written(with_numbers(lambda value: type(value)(value * chance.choice(scales))), RUN)


def test_the_script_reads_only_what_the_page_holds() -> None:
    for word in ("fetch(", "XMLHttpRequest", "import(", "eval(", "innerHTML", "http"):
        assert word not in SCRIPT
