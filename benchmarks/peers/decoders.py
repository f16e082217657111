"""JPEG to a model's pixels: Pillow's decoder against OpenCV's, both in front of the same resize, interleaved.

Run: ``python -m edgekit.benchmarks.peers.decoders`` with edgekit[video]. It is why edgekit decodes with Pillow.
"""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit.benchmarks.peers.material import SIZES, jpeg
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

_TARGET = (299, 224)


def _pillow(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        resized: Image.Image = image.convert("RGB").resize(_TARGET, Image.Resampling.BICUBIC)
    return resized


def _opencv(data: bytes) -> Image.Image:
    import cv2

    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags))
    return Image.fromarray(pixels).resize(_TARGET, Image.Resampling.BICUBIC)


def compare(rounds: int) -> dict[str, Ratio]:
    """Return, per photo size, the time of OpenCV's path over that of Pillow's; both give the same pixels."""
    table = {}
    for name, size in SIZES.items():
        data = jpeg(size)
        if not np.array_equal(np.asarray(_pillow(data)), np.asarray(_opencv(data))):
            raise RuntimeError(f"{name}: the two decoders give different pixels")
        times: dict[str, list[float]] = {"pillow": [], "opencv": []}
        steps: dict[str, Callable[[bytes], Image.Image]] = {"pillow": _pillow, "opencv": _opencv}
        for _ in range(rounds):
            for step, run in steps.items():
                start = time.perf_counter()
                run(data)
                times[step].append(time.perf_counter() - start)
        table[name] = ratio(times["opencv"], times["pillow"])
    return table


if __name__ == "__main__":
    for photo, found in compare(20).items():
        sys.stdout.write(f"{photo}: OpenCV takes {found} times as long as Pillow\n")
