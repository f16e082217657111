"""From whatever the caller has to upright RGB pixels, and on to the image tower's input."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgekit.errors import ImageError, InputError
from edgekit.preprocess.arrays import array_to_image
from edgekit.preprocess.dct_scaling import dct_scale, request_scale
from edgekit.preprocess.encoded import DEFAULT_MAX_PIXELS, check_pixels, load_pixels, open_encoded, refusing
from edgekit.preprocess.geometry import plan
from edgekit.preprocess.orientation import apply_turn, turn_of, upright_box, upright_size
from edgekit.preprocess.parallel import in_parallel
from edgekit.preprocess.resample import resample, to_rgb
from edgekit.preprocess.source import check_channel_order, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.preprocess.orientation import Box
    from edgekit.preprocess.source import ChannelOrder, ImageSource

Decoding = Literal["fast", "exact"]


@dataclass(frozen=True)
class Decoded:
    """A photo between its decoding and its resize; made by `decode_for`, used up by `fit`.

    Attributes:
        name: for messages.
        image: decoded Pillow image, as it is stored: not yet upright, of any mode.
        size: stored width and height in full pixels, whatever size it was decoded at.
        content: the region of `image` that is the photo.
    """

    name: str
    image: Image.Image
    size: tuple[int, int]
    content: Box


def decode(
    source: ImageSource, *, channel_order: ChannelOrder = "rgb", max_pixels: int = DEFAULT_MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode one image at its full size.

    Args:
        source: path, bytes of a JPEG, PNG, WebP, BMP or TIFF (told by content), uint8 array (H, W, 3) or (H, W),
            or Pillow image. Of several frames or pages, the first.
        channel_order: order of the channels of an array; files and Pillow images carry their own.
        max_pixels: largest width x height of a file or Pillow image, checked before it is decoded.

    Returns:
        uint8 (H, W, 3) RGB in 0..255, upright (EXIF orientation applied), alpha dropped: the pixels of
        ``ImageOps.exif_transpose(Image.open(source)).convert("RGB")``. Always a new array.

    Raises:
        ImageError: the image cannot be read; the message starts with its path, ``<bytes>``, ``<array>`` or
            ``<image>``.
        InputError: `channel_order` or `max_pixels` is not usable.
    """
    name, image = _open(source, channel_order, max_pixels)
    load_pixels(image, name)
    with refusing(name, f"mode {image.mode} cannot be converted to RGB"):
        return to_rgb(apply_turn(image, turn_of(image)))


def preprocess(
    source: ImageSource,
    spec: ImageSpec,
    *,
    decoding: Decoding = "fast",
    channel_order: ChannelOrder = "rgb",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> npt.NDArray[np.uint8]:
    """Make the image tower's pixels from one image, as the checkpoint's own transform does.

    The reference is open_clip's ``image_transform`` on the upright Pillow image, before scaling to 0..1 and
    normalization, which are in the graph. Padding has `spec.fill` as its RGB value in every mode.

    Args:
        source: as for `decode`.
        spec: the bundle's preprocessing.
        decoding: ``exact`` gives the reference's pixels bit for bit, by the same release of Pillow (at most 2
            levels apart for a strip that the resize alone would make larger than 8 million pixels). ``fast``
            decodes large JPEGs at a fraction of their size, within `FAST_MAX_LEVELS` on photographs; for every
            other image both give the same pixels.
        channel_order: order of the channels of an array.
        max_pixels: largest width x height of a file or Pillow image, checked before it is decoded.

    Returns:
        uint8 (spec.height, spec.width, 3) RGB in 0..255.

    Raises:
        ImageError: the image cannot be read, or is too thin for ``longest``.
        InputError: `decoding`, `channel_order` or `max_pixels` is not usable.
    """
    return fit(decode_for(source, spec, decoding=decoding, channel_order=channel_order, max_pixels=max_pixels), spec)


def decode_for(
    source: ImageSource,
    spec: ImageSpec,
    *,
    decoding: Decoding = "fast",
    channel_order: ChannelOrder = "rgb",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Decoded:
    """Do the first half of `preprocess`: read and decode.

    Args:
        source: as for `decode`.
        spec: the bundle's preprocessing, which says how small a JPEG may be decoded.
        decoding: as for `preprocess`.
        channel_order: order of the channels of an array.
        max_pixels: largest width x height of a file or Pillow image, checked before it is decoded.

    Returns:
        The photo, for `fit`.

    Raises:
        ImageError: the image cannot be read.
        InputError: `decoding`, `channel_order` or `max_pixels` is not usable.
    """
    _check_decoding(decoding)
    name, image = _open(source, channel_order, max_pixels)
    # A caller's own Pillow image is never told to decode smaller: that would change it for the caller.
    scaled = decoding == "fast" and image.format == "JPEG" and image is not source
    size, content = _load(image, name, spec, scaled=scaled)
    return Decoded(name, image, size, content)


def fit(photo: Decoded, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Do the second half of `preprocess`: turn upright, resize, crop, pad, convert to RGB.

    Args:
        photo: as `decode_for` gives it for the same `spec`.
        spec: the bundle's preprocessing.

    Returns:
        uint8 (spec.height, spec.width, 3) RGB in 0..255.

    Raises:
        ImageError: the image is too thin for ``longest``, or of a mode that cannot be resized.
    """
    image, size = photo.image, photo.size
    turn = turn_of(image)
    axes = plan(upright_size(size, turn), spec, photo.name)
    region = upright_box(photo.content, image.size, turn)
    with refusing(photo.name, f"mode {image.mode} cannot be resized"):
        return resample(apply_turn(image, turn), region, axes, spec, whole=image.size == size)


def preprocess_batch(
    sources: Iterable[ImageSource],
    spec: ImageSpec,
    *,
    decoding: Decoding = "fast",
    channel_order: ChannelOrder = "rgb",
    threads: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    first: int = 0,
) -> npt.NDArray[np.uint8]:
    """Make the image tower's pixels from many images, in parallel; decoding releases the interpreter lock.

    Args:
        sources: N images, each as for `decode`.
        spec: the bundle's preprocessing.
        decoding: as for `preprocess`.
        channel_order: order of the channels of every array among them.
        threads: images decoded at once; by default one for each core this process may use.
        max_pixels: largest width x height of one image.
        first: position of the first image in a longer list, for messages.

    Returns:
        uint8 (N, spec.height, spec.width, 3) RGB in 0..255, in the order given; N may be 0.

    Raises:
        ImageError: the first image, in the order given, that cannot be used; with its position, counted from
            0, where it has no path.
        InputError: a setting is not usable.
    """
    _check_decoding(decoding)
    check_channel_order(channel_order)
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; give at least 1, or None for one per core")
    photos = list(sources)
    output = np.empty((len(photos), spec.height, spec.width, 3), np.uint8)

    def fill(index: int) -> None:
        try:
            output[index] = preprocess(
                photos[index], spec, decoding=decoding, channel_order=channel_order, max_pixels=max_pixels
            )
        except ImageError as error:
            if isinstance(photos[index], str | os.PathLike):
                raise  # the message starts with its path already
            raise ImageError(f"{error} (image {first + index})") from error

    in_parallel(fill, len(photos), threads)
    return output


def _check_decoding(decoding: Decoding) -> None:
    """Refuse a decoding other than ``fast`` and ``exact``."""
    if decoding not in ("fast", "exact"):
        raise InputError(f"decoding is {decoding!r}; give 'fast' or 'exact'")


def _open(source: ImageSource, channel_order: ChannelOrder, max_pixels: int) -> tuple[str, Image.Image]:
    """Return the image's name for errors, and a Pillow image, which is not decoded yet if it comes from a file."""
    check_channel_order(channel_order)
    if isinstance(source, np.ndarray):
        return "<array>", array_to_image(source, channel_order)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>", open_encoded(bytes(source), "<bytes>", max_pixels)
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        return path, open_encoded(read_file(path), path, max_pixels)
    from PIL import Image

    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "<image>")
        check_pixels(source, name, max_pixels)
        return name, source
    raise ImageError(
        f"<{type(source).__name__}>: is not an image; give a path, the bytes of an image file, a uint8 array or a"
        " Pillow image"
    )


def _load(image: Image.Image, name: str, spec: ImageSpec, *, scaled: bool) -> tuple[tuple[int, int], Box]:
    """Decode; return the photo's stored size in full pixels, and the region of the decoded image it covers."""
    if not scaled:
        load_pixels(image, name)
        # Only now: a TIFF is turned upright while it is decoded, which may swap its sides.
        return image.size, (0.0, 0.0, *image.size)
    size = image.size
    content = request_scale(image, dct_scale(image, upright_size(size, turn_of(image)), spec))
    load_pixels(image, name)
    return size, content
