from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.recipe import Training
from edgekit.converters.distill.training.schedule import marks_passed, rate_at, share_done, steps_expected


def test_share_of_steps():
    assert [share_done(Training(steps=4), step, 99.0) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]


def test_share_of_cpu_seconds():
    assert share_done(Training(cpu_seconds=10), 1000, 2.5) == 0.25
    assert share_done(Training(cpu_seconds=10), 0, 12.0) == 1


def test_whichever_bound_comes_first():
    assert share_done(Training(steps=100, cpu_seconds=10), 10, 5.0) == 0.5
    assert share_done(Training(steps=100, cpu_seconds=10), 100, 5.0) == 1


def test_rate_rises_then_falls_like_half_a_cosine():
    assert rate_at(0.05, 2.0, 0.1) == pytest.approx(1.0)
    assert rate_at(0.1, 2.0, 0.1) == pytest.approx(2.0)
    assert rate_at(0.55, 2.0, 0.1) == pytest.approx(1.0)
    assert rate_at(0.325, 2.0, 0.1) == pytest.approx(1 + math.cos(math.pi / 4))
    assert rate_at(1.0, 2.0, 0.1) == pytest.approx(0.0)


def test_first_rate_is_not_zero():
    assert rate_at(0.0, 2.0, 0.1) == pytest.approx(0.02)
    assert rate_at(0.0, 2.0, 0.0) == 2.0


@given(share=st.floats(0, 1), warmup=st.floats(0, 1), peak=st.floats(1e-6, 1))
@settings(max_examples=100, deadline=None)
def test_rate_stays_within_its_bounds(share, warmup, peak):
    assert 0 <= rate_at(share, peak, warmup) <= peak * (1 + 1e-12)


@given(steps=st.integers(1, 500), marks=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_every_mark_is_passed_once_and_the_last_one_at_the_end(steps, marks):
    passed = [marks_passed(share_done(Training(steps=steps), step, 0), marks) for step in range(steps + 1)]
    assert passed == sorted(passed)
    assert passed[0] == 0
    assert passed[-1] == marks
    assert passed == [step * marks // steps for step in range(steps + 1)]


def test_expected_steps():
    assert steps_expected(Training(steps=70), 3, 3 / 70) == 70
    assert steps_expected(Training(cpu_seconds=9), 30, 0.25) == 120
    assert steps_expected(Training(steps=70, cpu_seconds=9), 30, 0.25) == 70
    assert steps_expected(Training(cpu_seconds=9), 0, 0.0) == 0
