"""Parts of the measured process, in this one: opening, the golden check, warming, versions."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import frozen_bundle
import tiny_bundle as tiny
from edgekit.benchmarks.running import measured
from edgekit.benchmarks.running.job import Job, read_job, write_job
from edgekit.benchmarks.running.request import RunRequest, plan_of
from edgekit.errors import BundleError, ExecutionError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def job(path: Path, variant: str = "fp32", pipeline: Any = "photo", **changes: Any) -> Job:
    plan = plan_of(RunRequest(str(path), pipeline=pipeline, seconds=1.0, threads=1))
    plain = Job(str(path), variant, "onnxruntime", "cpu", plan, None, ())
    return replace(plain, **changes)


def test_a_job_passes_through_its_file(tiny_bundle: Path, tmp_path: Path) -> None:
    wanted = job(tiny_bundle, data="photos", labels=("a", "b"))
    write_job(tmp_path, wanted)
    assert read_job(tmp_path) == wanted


@pytest.mark.parametrize(
    ("pipeline", "towers"), [("photo", {"image", "text"}), ("image", {"image"}), ("text", {"text"})]
)
def test_only_the_towers_of_the_pipeline_are_opened(tiny_bundle: Path, pipeline: Any, towers: set[str]) -> None:
    opened = measured.open_variant(job(tiny_bundle, pipeline=pipeline))
    with opened.clip:
        assert set(opened.towers) == towers
        assert set(opened.clip.explain().placement) == towers
        golden, wrong = measured.check_golden(opened)
    assert (golden.passed, wrong) == (True, ())
    assert golden.cosine > 0.999
    assert golden.n == sum({"image": 2, "text": 4}[tower] for tower in towers)


@pytest.mark.parametrize(("variant", "tower"), [("wrong", "image"), ("wrong_text", "text")])
def test_wrong_numbers_are_told_with_their_figures(tmp_path: Path, variant: str, tower: str) -> None:
    opened = measured.open_variant(job(tiny.build(tmp_path / "x.edge", variants=(variant,)), variant))
    with opened.clip:
        golden, wrong = measured.check_golden(opened)
    assert not golden.passed
    assert golden.cosine < 0.9999
    assert golden.n == 6
    assert len(wrong) == 1
    assert wrong[0].startswith(f"{tower} tower: cosine")


def test_numbers_that_are_none_give_no_figure(tmp_path: Path) -> None:
    opened = measured.open_variant(job(tiny.build(tmp_path / "x.edge", variants=("nan",)), "nan"))
    with opened.clip:
        golden, wrong = measured.check_golden(opened)
    assert (golden.passed, golden.cosine, golden.centred, golden.n) == (False, 0.0, 0.0, 0)
    assert "NaN" in wrong[0]


def test_frozen_labels_are_checked_too(tmp_path: Path) -> None:
    import numpy as np

    right = frozen_bundle.freeze(tmp_path / "right.edge")
    opened = measured.open_variant(job(right))
    with opened.clip:
        assert measured.check_golden(opened)[0].passed
    scores = np.full((2, len(frozen_bundle.NAMES)), 1 / len(frozen_bundle.NAMES), np.float32)
    wrong = frozen_bundle.freeze(tmp_path / "wrong.edge", extra={"labels/scores.npy": frozen_bundle.npy(scores)})
    opened = measured.open_variant(job(wrong))
    with opened.clip:
        golden, told = measured.check_golden(opened)
    assert not golden.passed
    assert "score" in told[0]


def test_what_does_not_open_says_so(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no variant"):
        measured.open_variant(job(tiny_bundle, "int8"))
    with pytest.raises(ExecutionError):
        measured.open_variant(job(tiny.build(tmp_path / "m.edge", variants=("malformed",)), "malformed"))
    with pytest.raises(BundleError):
        measured.open_variant(job(tmp_path / "none.edge"))


class Work:
    """A workload whose queries take the times given, then the last one again."""

    samples = 3
    stages = ("inference",)

    def __init__(self, *milliseconds: float) -> None:
        self.left = list(milliseconds)
        self.asked: list[list[int]] = []

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        self.asked.append(list(indices))
        taken = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        end = time.perf_counter() + taken / 1000
        while time.perf_counter() < end:
            pass
        return (int(1e6 * taken),)


def test_warming_takes_turns_with_the_samples_and_ends(tiny_bundle: Path) -> None:
    wanted = job(tiny_bundle)
    work = Work(30.0, 0.2)
    times = measured._warm(work, replace(wanted, plan=replace(wanted.plan, batch=2)))
    assert times[0] >= 30.0
    assert len(times) == len(work.asked) >= 2
    assert work.asked[:3] == [[0, 1], [2, 0], [1, 2]]


def test_a_slow_query_is_still_followed_by_a_warm_one(tiny_bundle: Path) -> None:
    wanted = job(tiny_bundle)
    short = replace(wanted, plan=replace(wanted.plan, seconds=0.01))
    assert len(measured._warm(Work(700.0, 1.0), short)) == 2


@pytest.mark.parametrize(
    ("times", "stable"),
    [
        ([1.0] * 11, True),
        ([1.0] * 10, False),
        ([9.0, *[1.0] * 5, *[1.04] * 5], True),
        ([9.0, *[1.0] * 5, *[0.9] * 5], False),
        ([*[5.0] * 20, *[4.0] * 5], False),
        ([*[5.0] * 20, *[4.0] * 10], True),
        ([1.0, *[1.0] * 9, 50.0], True),
    ],
)
def test_warm_is_two_groups_with_the_same_median(times: list[float], stable: bool) -> None:
    assert measured._stable(times) == stable


def test_versions_of_what_was_imported() -> None:
    import numpy as np

    found = measured._packages()
    assert found["numpy"] == np.__version__
    assert "edgekit" in found
    assert list(found) == sorted(found)


def test_pages_that_were_read_are_counted_up_and_the_largest_memory_is_in_mib() -> None:
    before = measured._faults()
    assert 0 <= before <= measured._faults()
    assert 10 < measured._max_rss() < 100_000
