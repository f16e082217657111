"""Sampling in a process of its own, with meters that print, warn, or are gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.meters.sampling_process import ProcessSampler
from edgekit.errors import ExecutionError
from third_party_meters import register

if TYPE_CHECKING:
    from pathlib import Path


def test_what_meters_print_is_no_part_of_what_they_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(tmp_path, monkeypatch, {"talks": "Talks", "ours": "Ours"})
    with ProcessSampler(["talks", "ours"], 0.02) as sampler:
        begin = time.perf_counter_ns()
        # By then it has warned more than a pipe holds.
        time.sleep(1.2)
        end = time.perf_counter_ns()
    talks, ours = sampler.series(begin)
    assert set(talks.values) == set(ours.values) == {3.0}
    inside = [moment for moment in talks.times if 0 <= moment <= (end - begin) / 1e9]
    assert len(inside) >= 12, "its readings did not stop when its warnings were too many"
    assert sampler.rates["talks"].missed == 0


def test_an_error_of_the_measured_work_is_the_one_that_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tmp_path, monkeypatch, {"ours": "Ours"})
    with pytest.raises(ValueError, match="of the work"), ProcessSampler(["ours"], 0.02) as sampler:
        raise ValueError("of the work")
    assert set(sampler.series(0)[0].values) == {3.0}, "what was read until then is known"


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        (["ends"], "RuntimeError: the chip is gone"),
        (["nothing"], "there is no meter 'nothing'"),
        (["raises"], "the meter raises is broken: OSError: bus error"),
        (["ours", "ours"], "each may be named once"),
    ],
)
def test_a_process_that_does_not_start_says_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, specs: list[str], told: str
) -> None:
    register(tmp_path, monkeypatch, {"ours": "Ours", "ends": "Ends", "raises": "Raises"})
    sampler = ProcessSampler(specs, 0.02)
    with pytest.raises(ExecutionError, match="the sampling process did not start: ") as caught:
        sampler.__enter__()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ExecutionError, match="leave the with block first"):
        _ = sampler.channels
