"""Drawing counts instead of cases is the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.evaluation.resampling import draw_counts, resampled_means


def test_the_distribution_is_that_of_drawing_cases() -> None:
    values = np.random.default_rng(1).choice([0.0, 0.2, 0.6, 1.0], 80)
    random = np.random.default_rng(2)
    drawn = np.sort(values[random.integers(0, 80, (20000, 80))].mean(axis=1))
    found = np.sort(resampled_means(values, resamples=20000))
    assert found.mean() == pytest.approx(drawn.mean(), abs=0.002)
    assert np.quantile(found, [0.025, 0.25, 0.75, 0.975]) == pytest.approx(
        np.quantile(drawn, [0.025, 0.25, 0.75, 0.975]), abs=0.006
    )


def test_the_seed_decides() -> None:
    values = np.arange(10.0)
    assert (resampled_means(values) == resampled_means(values)).all()
    assert (resampled_means(values, seed=1) != resampled_means(values, seed=2)).any()


def test_every_sample_has_as_many_cases() -> None:
    drawn = draw_counts(np.array([3, 0, 9]), resamples=50)
    assert drawn.shape == (50, 3)
    assert (drawn.sum(axis=1) == 12).all()
    assert (drawn[:, 1] == 0).all()


@pytest.mark.parametrize(("shape", "resamples"), [((0,), 10), ((2, 2), 10), ((3,), 0)])
def test_what_cannot_be_resampled(shape: tuple[int, ...], resamples: int) -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        resampled_means(np.zeros(shape), resamples=resamples)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 99))
def test_means_stay_among_the_values_and_ignore_their_order(values: list[float], seed: int) -> None:
    means = resampled_means(np.array(values), seed=seed, resamples=100)
    assert min(values) - 1e-12 <= means.min() <= means.max() <= max(values) + 1e-12
    assert (means == resampled_means(np.array(values[::-1]), seed=seed, resamples=100)).all()
