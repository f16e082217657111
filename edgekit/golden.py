"""The golden check: run the bundle's stored inputs on this device and compare with the stored reference."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit.bundle.manifest import Agreement, Tolerance
from edgekit.bundle.manifest import TowerName as TowerName
from edgekit.errors import BundleError, GoldenError
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.bundle.reader import Bundle
    from edgekit.tower import DeviceTower

TOWERS: tuple[TowerName, ...] = ("image", "text")
# float16 arithmetic in the last normalization leaves about 1e-3.
LENGTH_LIMIT = 1e-2


@dataclass(frozen=True)
class GoldenCheck:
    """The outcome for one tower."""

    tower: str
    agreement: Agreement
    tolerance: Tolerance

    @property
    def passed(self) -> bool:
        """True when every row is finite and within the tolerance."""
        found, wanted = self.agreement, self.tolerance
        return found.cosine_min >= wanted.cosine_min and found.centred_min >= wanted.centred_min

    def __str__(self) -> str:
        found, wanted = self.agreement, self.tolerance
        if math.isnan(found.cosine_min):
            return f"{self.tower} tower: the embedding holds NaN or infinity"
        return (
            f"{self.tower} tower: cosine {found.cosine_min:.5f} (at least {wanted.cosine_min:.5f}), "
            f"centred {found.centred_min:.5f} (at least {wanted.centred_min:.5f}), n={found.n}"
        )


def inputs(bundle: Bundle, tower: TowerName) -> npt.NDArray[np.generic]:
    """Read the stored inputs of a tower.

    Args:
        bundle: holds them.
        tower: which tower.

    Returns:
        uint8 (n, H, W, 3) RGB pixels, or int32 (n, L) padded token ids.

    Raises:
        BundleError: a stored input is malformed.
        InputError: the text tower's are wanted, and the bundle has none.
    """
    manifest = bundle.manifest
    if tower == "image":
        return np.stack([_pixels(bundle, golden.pixels) for golden in manifest.golden.images])
    return _token_ids(bundle)


def reference(bundle: Bundle, tower: TowerName) -> npt.NDArray[np.float32]:
    """Read the stored reference embeddings of a tower.

    Args:
        bundle: holds them.
        tower: which tower.

    Returns:
        (n, D) float32, unit rows.

    Raises:
        BundleError: they are malformed.
    """
    golden, dimension = bundle.manifest.golden, bundle.manifest.embedding.dimension
    path = golden.image_embeddings if tower == "image" else golden.text_embeddings
    count = len(golden.images) if tower == "image" else len(golden.texts)
    try:
        rows = np.load(io.BytesIO(bundle.read(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BundleError(f"{bundle.where}: {path}: not a NumPy array: {error}") from error
    if rows.shape != (count, dimension) or rows.dtype != np.float32 or not np.isfinite(rows).all():
        raise BundleError(f"{bundle.where}: {path}: must be finite float32 {(count, dimension)}, is {rows.shape}")
    return cast("npt.NDArray[np.float32]", rows)


def check(bundle: Bundle, name: TowerName, tower: DeviceTower, tolerance: Tolerance) -> GoldenCheck:
    """Run the golden inputs through an opened tower and compare.

    Args:
        bundle: holds the golden vectors.
        name: which tower.
        tower: opened.
        tolerance: what the manifest demands of this variant.

    Returns:
        The figures, passed or not.

    Raises:
        GoldenError: the rows have not length one.
    """
    batch = inputs(bundle, name)
    rows = np.concatenate([tower.embed(batch[i : i + 1]) for i in range(len(batch))])
    # A cosine does not see a row's length, and everything after this counts on unit rows.
    lengths = np.linalg.norm(rows, axis=1)
    if np.abs(lengths - 1).max() > LENGTH_LIMIT:
        raise GoldenError(f"{name} tower: rows have lengths {lengths.min():.3f} to {lengths.max():.3f}, not 1")
    return GoldenCheck(name, agreement(rows, reference(bundle, name)), tolerance)


def _pixels(bundle: Bundle, path: str) -> npt.NDArray[np.uint8]:
    from edgekit.preprocess import decode

    image, spec = decode(bytes(bundle.read(path))), bundle.manifest.image
    if image.shape != (spec.height, spec.width, 3):
        raise BundleError(f"{bundle.where}: {path}: is {image.shape}, the manifest's image size is not")
    return image


def _token_ids(bundle: Bundle) -> npt.NDArray[np.int32]:
    spec, texts = bundle.text, bundle.manifest.golden.texts
    ids = np.full((len(texts), spec.context_length), spec.pad_id, np.int32)
    for row, golden in zip(ids, texts, strict=True):
        row[: len(golden.token_ids)] = golden.token_ids
    return ids
