from __future__ import annotations

import numpy as np
import pytest

from edgekit.converters.distill.training import delivery, judge
from edgekit.converters.distill.training.plateau import Track, restore
from edgekit.converters.distill.training.state import State


def unit(*shape, seed=0):
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def values(scores):
    return {figure.name: figure.value for figure in scores.figures}


def test_recall_counts_first_right_texts():
    texts = np.eye(20, dtype=np.float32)
    images = np.stack([texts[0], texts[1] * 0.8 + texts[2] * 0.6, texts[3], texts[4]])
    found = judge.by_labels(images, texts, [(0,), (2,), (19,), ()])
    assert [figure.name for figure in found.figures] == ["recall@1", "recall@5", "recall@10"]
    assert found.cases.tolist() == [1, 0, 0]
    assert values(found)["recall@5"] == pytest.approx(2 / 3)
    assert found.figures[0].n == 3
    assert found.figures[0].error == pytest.approx(np.std([1, 0, 0], ddof=1) / np.sqrt(3))


def test_no_recall_at_more_than_there_are_texts():
    assert list(values(judge.by_labels(unit(4, 3), unit(5, 3), [(0,)] * 4))) == ["recall@1"]
    assert list(values(judge.by_labels(unit(4, 3), unit(1, 3), [(0,)] * 4))) == ["recall@1"]


def test_a_copy_of_the_teacher_agrees():
    rows = unit(30, 6)
    found = judge.by_teacher(rows, rows)
    assert values(found) == {"centred_cosine": pytest.approx(1), "agreement@1": 1}


def test_a_shared_mean_does_not_count():
    mean = np.zeros(6, np.float32)
    mean[0] = 50
    teacher = unit(200, 6) * 0.1 + mean
    student = unit(200, 6, seed=1) * 0.1 + mean
    assert abs(values(judge.by_teacher(student, teacher))["centred_cosine"]) < 0.2


def test_another_dimension_only_has_neighbours():
    teacher = unit(40, 6)
    turned = np.concatenate([teacher, np.zeros((40, 2), np.float32)], axis=1)
    found = judge.by_teacher(turned, teacher)
    assert values(found) == {"agreement@1": 1}
    assert found.cases.tolist() == [1] * 40


def test_gain_is_the_paired_difference():
    new, old = np.array([1.0, 1, 0, 1]), np.array([0.0, 1, 0, 0])
    assert judge.gain(new, old) == (0.5, pytest.approx(np.std([1, 0, 0, 1], ddof=1) / 2))


def track(*columns):
    made = Track()
    return made, [made.add(np.array(column, np.float64)) for column in columns]


def test_small_gains_add_up_against_the_reference():
    none, some, more = [0.0] * 20, [1.0] + [0.0] * 19, [1.0] * 4 + [0.0] * 16
    made, best = track(none, some, none, more)
    # One hit in twenty is exactly its standard error, and no improvement; four are more than theirs.
    assert best == [True, True, False, True]
    assert made.waited == 0
    assert made.reference.tolist() == more


def test_waiting():
    made, _ = track([1.0] * 10, [1.0] * 10, [0.0] * 10)
    assert made.waited == 2
    assert made.fell()


def test_within_the_error_is_no_fall():
    made, _ = track([1.0] + [0.0] * 9, [0.0] * 10)
    assert not made.fell()
    assert not Track().fell()


def test_a_track_survives_a_checkpoint():
    made, _ = track([1.0, 0.0], [1.0, 1.0], [0.0, 0.0])
    again = restore(made.state())
    assert again.waited == made.waited
    assert again.fell() == made.fell()
    for name in ("best", "reference", "last"):
        assert np.array_equal(getattr(again, name), getattr(made, name))
    assert restore(Track().state()) == Track()


@pytest.mark.parametrize(
    ("columns", "ended", "which", "step"),
    [
        pytest.param(([0.0] * 9, [1.0] * 9), False, "last", 20, id="last is best"),
        pytest.param(([1.0] * 9, [0.0] * 9), False, "best", 10, id="fell"),
        pytest.param(([1.0] + [0.0] * 8, [0.0] * 9), False, "last", 20, id="within the error"),
        pytest.param(([1.0] + [0.0] * 8, [0.0] * 9), True, "best", 10, id="plateau"),
    ],
)
def test_which_weights_are_delivered(columns, ended, which, step):
    made, best = track(*columns)
    state = State("x", step=20, track=made, ended=ended, best={"step": 20 if best[-1] else 10})
    delivered, reason, found = delivery.chosen(state, {"step": 20})
    assert (delivered, found["step"]) == (which, step)
    assert reason


def test_nothing_to_judge_on_delivers_the_last():
    assert delivery.chosen(State("x"), {"step": 7})[0] == "last"
