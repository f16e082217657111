"""A vocabulary frozen into a bundle: its arrays, read and checked, and the scores they give."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import golden
from edgekit.errors import BundleError, GoldenError, TextError
from edgekit.scoring import logits, to_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.bundle.label_records import HeadSpec
    from edgekit.bundle.manifest import EmbeddingSpec, VariantRecord
    from edgekit.bundle.reader import Bundle

Ranking = tuple["npt.NDArray[np.float64]", "npt.NDArray[np.float64]"]
"""Queries (N, E), one for each photo, and a gallery (K, E), one for each label, whose dot products rank the labels."""

# Largest difference of a score, in 0..1, between this device and the stored one. The arithmetic is float64.
SCORE_LIMIT = 1e-5
# float32 rows that were scaled to length one.
_LENGTH_LIMIT = 1e-3
_SHOWN = 5


@dataclass(frozen=True)
class Head:
    """What is added to the logits of the frozen labels; see `edgekit.bundle.label_records`.

    Attributes:
        weights: of a ridge head, (K, D + 1) float32; None for a cache.
        keys: of a cache, (n, D) float32 unit rows; None for a ridge head.
        classes: of a cache, (n,) int32 in 0..K-1; None for a ridge head.
        strength: of a cache.
        sharpness: of a cache.
    """

    weights: npt.NDArray[np.float32] | None = None
    keys: npt.NDArray[np.float32] | None = None
    classes: npt.NDArray[np.int32] | None = None
    strength: float = 0.0
    sharpness: float = 0.0

    def added(self, rows: npt.NDArray[np.float32], labels: int) -> npt.NDArray[np.float64]:
        """Return what is added to the logits, (N, labels) float64, for unit rows (N, D)."""
        exact = rows.astype(np.float64)
        if self.weights is not None:
            return np.asarray(exact @ self.weights[:, :-1].T.astype(np.float64) + self.weights[:, -1])
        if self.keys is None or self.classes is None:
            return np.zeros((len(rows), labels))
        votes = np.exp(-self.sharpness * (1 - exact @ self.keys.T.astype(np.float64)))
        return np.asarray(self.strength * votes @ np.eye(labels)[self.classes])


@dataclass(frozen=True)
class FrozenLabels:
    """The frozen labels as one variant scores them.

    Attributes:
        names: the K labels.
        vectors: (K, D) float32 unit rows.
        spec: scale, bias and kind of score.
        head: what is added.
    """

    names: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    spec: EmbeddingSpec
    head: Head

    def logits(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return (N, K) float64 logits of photos' embeddings, (N, D) unit rows."""
        return logits(rows, self.vectors, self.spec) + self.head.added(rows, len(self.names))

    def scores(self, rows: npt.NDArray[np.float32], places: Sequence[int] | None = None) -> npt.NDArray[np.float64]:
        """Return scores of photos' embeddings.

        Args:
            rows: (N, D), unit rows.
            places: numbers of the labels wanted, over which a softmax is taken; all when None.

        Returns:
            (N, K) float64 in 0..1, or as many columns as `places` has.
        """
        found = self.logits(rows)
        return to_scores(found if places is None else found[:, list(places)], self.spec)

    def ranking(self, rows: npt.NDArray[np.float32]) -> Ranking | None:
        """Return queries and a gallery that rank as `logits` does.

        Args:
            rows: (N, D), unit rows.

        Returns:
            Each label's logit as a dot product; None where nothing was tuned, so that `rows` and `vectors` rank.
        """
        exact = rows.astype(np.float64)
        if self.head.weights is not None:
            gallery = self.head.weights.astype(np.float64)
            gallery[:, :-1] += self.spec.logit_scale * self.vectors.astype(np.float64)
            gallery[:, -1] += self.spec.logit_bias
            return np.concatenate([exact, np.ones((len(rows), 1))], axis=1), gallery
        return (self.logits(rows), np.eye(len(self.names))) if self.head.keys is not None else None

    def places(self, wanted: Sequence[str]) -> list[int]:
        """Return the number of each label by name; a `TextError` when one is not among them."""
        numbers = {name: number for number, name in enumerate(self.names)}
        unknown = next((name for name in wanted if name not in numbers), None)
        if unknown is not None:
            shown = ", ".join(self.names[:_SHOWN]) + (", …" if len(self.names) > _SHOWN else "")
            raise TextError(
                f"the label {unknown!r} is not among the bundle's {len(self.names)} frozen labels ({shown}), and it "
                "has no text tower to embed others; specialize the full bundle with that label, or with --keep-text"
            )
        return [numbers[name] for name in wanted]


def read(bundle: Bundle, variant: VariantRecord) -> FrozenLabels:
    """Read the frozen labels of a variant.

    Args:
        bundle: with frozen labels.
        variant: one of its variants.

    Returns:
        The labels, ready to score.

    Raises:
        BundleError: an array is damaged or malformed, or there are no frozen labels.
    """
    labels, files, spec = bundle.manifest.labels, variant.labels, bundle.manifest.embedding
    if labels is None or files is None:
        raise BundleError(f"{bundle.where}: has no frozen labels")
    count = len(labels.names)
    vectors = _unit_rows(bundle, files.vectors, (count, spec.dimension))
    head = Head() if labels.head is None else _head(bundle, labels.head, files.paths, (count, spec.dimension))
    return FrozenLabels(labels.names, vectors, spec, head)


def check(bundle: Bundle, variant: VariantRecord) -> float:
    """Score the golden photos' stored embeddings here, and compare with the stored scores.

    Together with the image tower's golden check it proves what `Clip.classify` returns on this device.

    Args:
        bundle: with frozen labels.
        variant: one of its variants.

    Returns:
        The largest difference of a score.

    Raises:
        BundleError: an array is damaged or malformed.
        GoldenError: a difference is above `SCORE_LIMIT`.
    """
    labels = read(bundle, variant)
    path = variant.labels.scores if variant.labels else ""
    expected = _array(bundle, path, np.float32, (len(bundle.manifest.golden.images), len(labels.names)))
    found = float(np.abs(labels.scores(golden.reference(bundle, "image")) - expected).max())
    if not found <= SCORE_LIMIT:
        raise GoldenError(f"the frozen labels' scores differ by {found:.1e} from the stored ones (limit {SCORE_LIMIT})")
    return found


def _head(bundle: Bundle, spec: HeadSpec, paths: dict[str, str], shape: tuple[int, int]) -> Head:
    count, dimension = shape
    if spec.kind == "ridge":
        return Head(weights=_array(bundle, paths["weights"], np.float32, (count, dimension + 1)))
    keys = _unit_rows(bundle, paths["keys"], (spec.examples, dimension))
    classes = _array(bundle, paths["classes"], np.int32, (spec.examples,))
    if classes.min() < 0 or classes.max() >= count:
        raise BundleError(f"{bundle.where}: {paths['classes']}: holds a number that is not in 0..{count - 1}")
    return Head(keys=keys, classes=classes, strength=spec.strength, sharpness=spec.sharpness)


def _unit_rows(bundle: Bundle, path: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    rows: npt.NDArray[np.float32] = _array(bundle, path, np.float32, shape)
    # The length of a row that is absurdly long is infinite, and refused below.
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(rows, axis=1)
    if np.abs(lengths - 1).max() > _LENGTH_LIMIT:
        raise BundleError(
            f"{bundle.where}: {path}: rows have lengths {lengths.min():.3f} to {lengths.max():.3f}, not 1"
        )
    return rows


def _array(bundle: Bundle, path: str, dtype: type[np.generic], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    try:
        found = np.load(io.BytesIO(bundle.read(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise BundleError(f"{bundle.where}: {path}: not a NumPy array: {error}") from error
    # An archive of arrays has no shape; a byte order of another machine is another type.
    if (
        not isinstance(found, np.ndarray)
        or found.shape != shape
        or found.dtype != dtype
        or not np.isfinite(found).all()
    ):
        seen = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "an archive"
        raise BundleError(f"{bundle.where}: {path}: must be finite {np.dtype(dtype)} {shape}, is {seen}")
    return found
