"""A view of an image: moved, recoloured and brought to a model's size, a batch at a time.

Teacher and student see the same view: both apply the same parameters to the same stored pixels, and only then resize
to their own size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgekit.converters.distill.data.parameters import COLUMNS, IDENTITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    from edgekit.bundle.manifest import ImageSpec

# Rec. 601, as Pillow's conversion to grey.
_LUMINANCE = (0.299, 0.587, 0.114)
_ERASED = 128.0
# Pixels of the images that are worked on together: what they need stays in a processor's cache.
_AT_ONCE = 1 << 17
_FLIP, _MOVED, _COLOURED = slice(0, 1), slice(1, 6), slice(6, 11)
_X, _Y, _WIDE, _HIGH = (COLUMNS.index(name) for name in ("erase_x", "erase_y", "erase_width", "erase_height"))


@torch.no_grad()
def apply(pixels: npt.NDArray[np.uint8], parameters: npt.NDArray[np.float32], size: tuple[int, int]) -> Tensor:
    """Make one view of each image.

    Parameters that change nothing leave the pixels exactly as they are, and a mirror image is exact. What lies outside
    the picture is the median colour of its edge: the background of a drawing, something near it for a photo.

    Args:
        pixels: uint8 (N, H, W, 3) RGB.
        parameters: float32 (N, `COLUMNS`), see `parameters.draw`.
        size: height and width of the result.

    Returns:
        float32 (N, 3, *size) RGB planes in 0..255.
    """
    result = torch.empty((len(pixels), 3, *size))
    step = max(1, _AT_ONCE // (pixels.shape[1] * pixels.shape[2]))
    for start in range(0, len(pixels), step):
        part = slice(start, start + step)
        result[part] = resize(_viewed(pixels[part], torch.from_numpy(parameters[part])), size)
    return result


@torch.no_grad()
def resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize float32 (N, 3, H, W) planes in 0..255 by an antialiased bicubic filter; those of that size stay."""
    if planes.shape[2:] == torch.Size(size):
        return planes
    return functional.interpolate(planes, size, mode="bicubic", antialias=True, align_corners=False).clamp_(0, 255)


@torch.no_grad()
def normalize(planes: Tensor, spec: ImageSpec) -> Tensor:
    """Scale float32 (N, 3, H, W) planes in 0..255 to 0..1, subtract the spec's mean, divide by its deviation."""
    scale, shift = _per_channel([1 / (255 * s) for s in spec.std]), _per_channel(_ratios(spec))
    return torch.addcmul(-shift, planes, scale)


@torch.no_grad()
def to_pixels(planes: Tensor) -> npt.NDArray[np.uint8]:
    """Round float32 (N, 3, H, W) planes in 0..255 to uint8 (N, H, W, 3), as a bundle's image tower takes them."""
    pixels: npt.NDArray[np.uint8] = planes.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return pixels


def _ratios(spec: ImageSpec) -> list[float]:
    return [mean / std for mean, std in zip(spec.mean, spec.std, strict=True)]


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None]


def _viewed(pixels: npt.NDArray[np.uint8], given: Tensor) -> Tensor:
    changed = given != torch.tensor(IDENTITY)
    flipped = changed[:, _FLIP].any(1).numpy()
    if flipped.any():
        pixels = np.where(flipped[:, None, None, None], pixels[:, :, ::-1], pixels)
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
    if changed[:, _MOVED].any():
        outside = _edge_colour(planes)
        # Zeros are sampled outside: of the differences from the colour there.
        grid = _grid(given[:, _MOVED], *planes.shape[2:])
        planes = functional.grid_sample(planes.sub_(outside), grid, mode="bilinear", align_corners=False).add_(outside)
    if changed[:, _COLOURED].any():
        planes = _recolour(planes, given[:, _COLOURED])
    return _erase(planes, given) if (given[:, _WIDE] > 0).any() else planes


def _grid(given: Tensor, height: int, width: int) -> Tensor:
    """Return where each pixel of the views comes from, (N, height, width, 2) in -1..1."""
    wide, high, right, down, degrees = given.unbind(1)
    cosine, sine = (degrees * (math.pi / 180)).cos(), (degrees * (math.pi / 180)).sin()
    x = _centres(width)[None, None, :] - 2 * right[:, None, None]
    y = _centres(height)[None, :, None] - 2 * down[:, None, None]
    # A turn has to mind the ratio of the sides, since both are 2 long here.
    ratio = height / width
    grid = torch.empty((len(given), height, width, 2))
    torch.sub((cosine / wide)[:, None, None] * x, (ratio * sine / wide)[:, None, None] * y, out=grid[..., 0])
    torch.add((sine / high / ratio)[:, None, None] * x, (cosine / high)[:, None, None] * y, out=grid[..., 1])
    return grid


def _centres(count: int) -> Tensor:
    """Return where the centres of a row's pixels lie in -1..1."""
    return (2 * torch.arange(count, dtype=torch.float32) + 1) / count - 1


def _edge_colour(planes: Tensor) -> Tensor:
    edge = torch.cat((planes[:, :, 0], planes[:, :, -1], planes[:, :, :, 0], planes[:, :, :, -1]), dim=2)
    return edge.median(dim=2).values[:, :, None, None]


def _recolour(planes: Tensor, given: Tensor) -> Tensor:
    """Multiply channels, mix them towards grey, and move all away from the mean grey: one linear map per image."""
    gains, contrast, lost = given[:, :3], given[:, 3, None], given[:, 4, None, None]
    luminance = torch.tensor(_LUMINANCE)
    mixed = (1 - lost) * torch.eye(3) + lost * luminance
    mean = (planes.mean(dim=(2, 3)) * gains * luminance).sum(dim=1)
    matrix = contrast[:, :, None] * mixed * gains[:, None, :]
    offset = (1 - contrast) * mean[:, None]
    flat = torch.baddbmm(offset[:, :, None], matrix, planes.flatten(2))
    return flat.clamp_(0, 255).view_as(planes)


def _erase(planes: Tensor, given: Tensor) -> Tensor:
    height, width = planes.shape[2:]
    x, y = (_centres(width)[None] + 1) / 2, (_centres(height)[None] + 1) / 2
    inside_x = (x >= given[:, _X, None]) & (x < (given[:, _X] + given[:, _WIDE])[:, None])
    inside_y = (y >= given[:, _Y, None]) & (y < (given[:, _Y] + given[:, _HIGH])[:, None])
    return planes.masked_fill((inside_y[:, :, None] & inside_x[:, None, :])[:, None], _ERASED)
