"""What may be given as an image: its name in errors, and its bytes, read without ever blocking."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Literal, TypeAlias

from edgekit.errors import ImageError, InputError
from edgekit.preprocess.signature import SIGNATURE_LENGTH, detect

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

ChannelOrder = Literal["rgb", "bgr"]

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | npt.NDArray[np.uint8] | Image.Image"
"""A path, the bytes of an encoded file, an array, or a Pillow image.

Arrays are uint8: (H, W, 3) in the channel order the caller states, or (H, W) grey. Strings are always paths.
"""


def check_channel_order(channel_order: ChannelOrder) -> None:
    """Refuse a channel order other than ``rgb`` and ``bgr`` with an `InputError`."""
    if channel_order not in ("rgb", "bgr"):
        raise InputError(f"channel_order is {channel_order!r}; give 'rgb' or 'bgr'")


def read_file(path: str) -> bytes:
    """Read one image file, whole.

    Args:
        path: the file; only a regular file is read, so that a pipe or a device can never block the caller.

    Returns:
        The file's bytes, which begin like an image of a known format.

    Raises:
        ImageError: the path does not exist, may not be read, is not a regular file, or does not hold an image.
    """
    try:
        return _read_regular(path)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path") from error
    except PermissionError as error:
        raise ImageError(f"{path}: permission denied; make the file readable for this user") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}; check the path and the disk") from error
    except (ValueError, UnicodeError) as error:
        raise ImageError(f"{path!r}: not a usable path: {error}; give the path of an image file") from error
    except MemoryError as error:
        raise ImageError(f"{path}: the file does not fit into memory; give a smaller image") from error


def _read_regular(path: str) -> bytes:
    """Open, check that it is a regular file that begins like an image, and read."""
    _require_regular(os.stat(path).st_mode, path)  # noqa: PTH116
    # What the path names may have changed since: without O_NONBLOCK, opening a pipe could wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            # A wrong file can be huge; its first bytes tell.
            detect(file.read(SIGNATURE_LENGTH), path)
            file.seek(0)
            return file.read()
    finally:
        os.close(descriptor)


def _require_regular(mode: int, path: str) -> None:
    """Refuse what is not a regular file with an `ImageError`."""
    if stat.S_ISDIR(mode):
        raise ImageError(f"{path}: is a directory; give an image file")
    if not stat.S_ISREG(mode):
        raise ImageError(f"{path}: is not a regular file but a pipe, socket or device; give an image file")
