"""The manifest's records of frozen labels: a vocabulary, what scores it, and the arrays of each variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HeadKind = Literal["ridge", "cache"]


@dataclass(frozen=True)
class HeadSpec:
    """What is added to the logits of the frozen labels, fitted in closed form to labelled examples.

    Attributes:
        kind: ``ridge``: an affine function of the photo's embedding, by ridge regression. ``cache``: votes of the
            examples near the photo (Tip-Adapter; Zhang et al. 2021, arXiv 2111.03930).
        strength: factor of what is added, in logits, above 0; for ``ridge`` it is in the stored weights already.
        sharpness: of ``cache``, above 0: an example of cosine c votes with exp(-sharpness * (1 - c)). 0.0 for
            ``ridge``.
        penalty: of ``ridge``, above 0: weight of the squared coefficients. 0.0 for ``cache``.
        data: name of the examples.
        digest: SHA-256 of the examples, 64 lower-case hexadecimal digits.
        examples: their number.
        zero_shot: share of them that the labels' embeddings alone get right, in 0..1.
        tuned: share that the whole procedure gets right on examples that it was not fitted to (cross-validation), in
            0..1.
    """

    kind: HeadKind
    strength: float
    sharpness: float
    penalty: float
    data: str
    digest: str
    examples: int
    zero_shot: float
    tuned: float


@dataclass(frozen=True)
class LabelSpec:
    """A vocabulary frozen into the bundle.

    Attributes:
        names: the K labels, distinct, in the order of the arrays' rows; each one line.
        templates: prompt templates, each with one ``{}``, that labels without prompts of their own were put into.
        prompts: of each label that has its own, the prompts as they were embedded.
        head: what was tuned; None where the labels' embeddings alone score.
    """

    names: tuple[str, ...]
    templates: tuple[str, ...]
    prompts: dict[str, tuple[str, ...]]
    head: HeadSpec | None = None


@dataclass(frozen=True)
class LabelFiles:
    """The arrays with which one variant scores the frozen labels, each the path of a ``.npy``.

    Attributes:
        vectors: float32 (K, D), unit rows: the labels' embeddings by this variant's text tower.
        scores: float32 (golden photos, K): the scores of the golden photos' reference embeddings, which every device
            must find again.
        weights: of a ``ridge`` head, float32 (K, D + 1): what is added to the logits for a photo's embedding followed
            by a one. Empty for another head.
        keys: of a ``cache`` head, float32 (n, D), unit rows: the examples' embeddings by this variant's image tower.
            Empty for another head.
        classes: of a ``cache`` head, int32 (n,): the number of each example's label. Empty for another head.
    """

    vectors: str
    scores: str
    weights: str = ""
    keys: str = ""
    classes: str = ""

    @property
    def paths(self) -> dict[str, str]:
        """The paths that are given, by the array's name."""
        named = {name: str(getattr(self, name)) for name in ("vectors", "scores", "weights", "keys", "classes")}
        return {name: path for name, path in named.items() if path}
