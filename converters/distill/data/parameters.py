"""What each stored view does to its image: a pure function of the seed, the image's content and the view's number."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.distill.recipe import Augmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

# One row of parameters. Amounts, not chances: a row can be applied without knowing the `Augmentation` it came from.
COLUMNS = (
    *("flip", "width", "height", "shift_x", "shift_y", "turn"),
    *("red", "green", "blue", "contrast", "grey"),
    *("erase_x", "erase_y", "erase_width", "erase_height"),
)
IDENTITY = (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
NONE = Augmentation(**{field.name: 0.0 for field in fields(Augmentation)})
_DRAWS = 16
_LARGEST_ERASED = 1 / 3


def draw(augmentation: Augmentation, seed: int, digests: Sequence[str], views: int) -> npt.NDArray[np.float32]:
    """Draw the parameters of every view.

    Sizes, gains and contrasts are drawn evenly on a logarithmic scale, the others evenly.

    Args:
        augmentation: how far a view may go.
        seed: another one gives other views.
        digests: SHA-256 of each encoded image, hexadecimal.
        views: of each image.

    Returns:
        float32 (images, views, `COLUMNS`): ``flip`` 0 or 1; ``width`` and ``height`` factors on the picture's size;
        ``shift_x`` and ``shift_y`` shares of the side, to the right and down; ``turn`` degrees, anticlockwise; ``red``,
        ``green``, ``blue`` and ``contrast`` factors; ``grey`` the share of colour that is lost; ``erase_…`` a rectangle
        in shares of the sides, of no size where there is none.
    """
    text = (f"view {seed} {digest} {view}".encode() for digest in digests for view in range(views))
    bits = b"".join(hashlib.shake_256(one).digest(4 * _DRAWS) for one in text)
    uniform = np.frombuffer(bits, "<u4").reshape(len(digests), views, _DRAWS) / 2.0**32
    return np.stack(_columns(augmentation, np.moveaxis(uniform, -1, 0)), axis=-1).astype(np.float32)


def _columns(given: Augmentation, u: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    def around(most: float, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return most * (2 * draws - 1)

    def factor(most: float, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.exp(around(np.log1p(most), draws))

    zoom, stretch = factor(given.zoom, u[1]), np.sqrt(factor(given.stretch, u[2]))
    erased = (u[11] < given.erase) * _LARGEST_ERASED
    wide, high = erased * u[12], erased * u[13]
    return [
        (u[0] < given.flip).astype(np.float64),
        zoom * stretch,
        zoom / stretch,
        around(given.shift, u[3]),
        around(given.shift, u[4]),
        around(given.turn, u[5]),
        *(factor(given.brightness, u[channel]) for channel in (6, 7, 8)),
        factor(given.contrast, u[9]),
        np.where(u[10] < given.grey, u[10] / max(given.grey, 1e-12), 0.0),
        (1 - wide) * u[14] * (wide > 0),
        (1 - high) * u[15] * (high > 0),
        wide,
        high,
    ]
