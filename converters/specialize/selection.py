"""Which head is taken: the one that is right most often on examples that took no part in fitting or choosing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgekit.converters.specialize.examples import Examples, right
from edgekit.converters.specialize.heads import FAMILIES, MOST_CACHED, choose
from edgekit.errors import InputError
from edgekit.evaluation.metrics import Interval, McNemar, bootstrap, mcnemar

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.bundle.label_records import HeadKind
    from edgekit.converters.specialize.heads import Choice

Wanted = Literal["auto", "none", "cache", "ridge"]
WANTED: tuple[Wanted, ...] = ("auto", "none", "cache", "ridge")
FOLDS = 5
# Examples differ from those left out by chance alone; the folds must not, or two runs would choose differently.
_SEED = 20260101


@dataclass(frozen=True)
class Trial:
    """What one kind of head gets right in cross-validation.

    Attributes:
        kind: ``zero-shot`` for the labels' embeddings alone, ``ridge`` or ``cache``.
        accuracy: share of examples that are right, with the interval that covers 95 %.
        against: McNemar's test with zero-shot as first and this head as second; None for zero-shot itself.
    """

    kind: str
    accuracy: Interval
    against: McNemar | None


@dataclass(frozen=True)
class Selection:
    """What was tried, and what is taken.

    Attributes:
        trials: zero-shot first.
        choice: the settings to fit all examples with; None where zero-shot is kept.
    """

    trials: tuple[Trial, ...]
    choice: Choice | None

    def accuracy(self, kind: str) -> Interval:
        """Return a trial's accuracy."""
        return next(trial.accuracy for trial in self.trials if trial.kind == kind)


def select(examples: Examples, wanted: Wanted) -> Selection:
    """Try heads by cross-validation, the choice of their settings inside every fold, and take the best.

    Args:
        examples: at least one.
        wanted: the only kind to try, ``auto`` for every kind, or ``none``.

    Returns:
        What was tried. A head is taken only when it is right on more examples than the labels' embeddings alone; of
        equally good ones the ridge head, which adds less to the bundle.

    Raises:
        InputError: there are too many examples for the head wanted.
    """
    if wanted == "cache" and len(examples) > MOST_CACHED:
        raise InputError(
            f"{len(examples)} examples are too many for a cache, which stores each (at most {MOST_CACHED}); "
            "give --head ridge, or fewer examples"
        )
    plain = right(examples.logits, examples.classes)
    trials = [Trial("zero-shot", bootstrap(plain), None)]
    best: tuple[int, HeadKind] | None = None
    for kind in _kinds(examples, wanted):
        hits = cross_validated(examples, kind)
        trials.append(Trial(kind, bootstrap(hits), mcnemar(plain, hits)))
        if hits.sum() > max(plain.sum(), best[0] if best else 0):
            best = int(hits.sum()), kind
    return Selection(tuple(trials), choose(FAMILIES[best[1]], examples) if best else None)


def cross_validated(examples: Examples, kind: HeadKind) -> npt.NDArray[np.bool_]:
    """Tell which examples a head is right on that was chosen and fitted without their fold.

    Args:
        examples: at least one.
        kind: of the head.

    Returns:
        (n,) bool.
    """
    family, number = FAMILIES[kind], folds(examples.classes)
    found = np.zeros(len(examples), bool)
    for fold in range(FOLDS):
        held = number == fold
        kept, out = examples.take(~held), examples.take(held)
        choice = choose(family, kept) if len(kept) else None
        logits = out.logits
        if choice is not None:
            logits = logits + family.fit(kept, choice).added(out.rows.astype(np.float32), examples.labels)
        found[held] = right(logits, out.classes)
    return found


def folds(classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Divide examples into `FOLDS` parts in which every class has its share.

    Args:
        classes: (n,) class of each example.

    Returns:
        (n,) the part of each, in 0..FOLDS-1; the same for the same classes.
    """
    order = np.random.default_rng(_SEED).permutation(len(classes))
    # Within a class the permutation's order, the classes one after another, and the parts dealt out in turn.
    dealt = order[np.argsort(classes[order], kind="stable")]
    found = np.empty(len(classes), np.int64)
    found[dealt] = np.arange(len(classes)) % FOLDS
    return found


def _kinds(examples: Examples, wanted: Wanted) -> list[HeadKind]:
    if wanted == "auto":
        return [kind for kind in FAMILIES if kind != "cache" or len(examples) <= MOST_CACHED]
    return [kind for kind in FAMILIES if kind == wanted]
