"""The promise, figure by figure."""

from __future__ import annotations

import pytest

from edgekit.bundle.manifest import Agreement, Fidelity, Retrieval, Share
from edgekit.converters.quantize.figures import Metric
from edgekit.converters.quantize.gate import MIN_QUERIES, failures

GOOD = Agreement(100, 0.01, 0.99, 0.999, 0.98, 0.999)
NAN = Agreement(100, *[float("nan")] * 5)


def fidelity(forth=1.0, back=1.0, n=100, texts=100, image=GOOD, text=GOOD):
    def retrieval(value, count):
        return Retrieval(Share(value, 0.01, count), Share(value, 0.01, count))

    return Fidelity("set", "0" * 64, image, text, retrieval(forth, n), retrieval(back, texts))


def metric(drop):
    return Metric("recall@1", Share(0.4, 0.05, 100), Share(0.4 - drop / 100, 0.05, 100), drop, 0.8)


def test_what_keeps_everything_passes():
    assert failures(fidelity(0.99, 0.99), metric(0.5), 0.99, 0.5) == ()


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (fidelity(forth=0.98), "top-1 agreement image to text 98.00% ± 1.00% (n=100) is below 99.00%"),
        (fidelity(back=0.9), "text to image 90.00%"),
        (fidelity(forth=float("nan")), "image to text"),
        (fidelity(image=NAN), "the image tower returns NaN or infinity"),
        (fidelity(text=NAN), "the text tower returns NaN or infinity"),
    ],
    ids=["image-to-text", "text-to-image", "nan-share", "nan-image", "nan-text"],
)
def test_a_figure_that_fails_is_named(found, message):
    (failure,) = failures(found, None, 0.99, None)
    assert message in failure


@pytest.mark.parametrize("texts", [MIN_QUERIES - 1, MIN_QUERIES])
def test_few_texts_are_not_judged_as_queries(texts):
    assert bool(failures(fidelity(back=0.9, texts=texts), None, 0.99, None)) is (texts >= MIN_QUERIES)


def test_few_photos_are_judged():
    assert failures(fidelity(forth=0.9, n=10), None, 0.99, None)


def test_zero_turns_the_agreement_off_but_not_the_check_for_nan():
    assert failures(fidelity(0.0, 0.0), None, 0.0, None) == ()
    assert len(failures(fidelity(0.0, 0.0, image=NAN, text=NAN), None, 0.0, None)) == 2


@pytest.mark.parametrize(("drop", "passes"), [(-1.0, True), (1.0, True), (1.01, False), (float("nan"), False)])
def test_the_drop_of_the_tasks_metric(drop, passes):
    found = failures(fidelity(), metric(drop), 0.99, 1.0)
    assert (found == ()) is passes
    assert passes or "recall@1 drops by" in found[0]


def test_a_drop_that_nobody_asked_about_does_not_count():
    assert failures(fidelity(), metric(30.0), 0.99, None) == ()


def test_every_failure_is_told():
    assert len(failures(fidelity(0.5, 0.5), metric(30.0), 0.99, 1.0)) == 3


def test_class_names_do_not_look_for_images() -> None:
    found = fidelity(back=0.5, texts=MIN_QUERIES)
    assert failures(found, None, 0.99, None, both=False) == ()
    assert len(failures(found, None, 0.99, None, both=True)) == 1
    assert len(failures(fidelity(forth=0.5), None, 0.99, None, both=False)) == 1
