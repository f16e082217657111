"""Measure the error of the fast path; the bounds in `edgekit.preprocess.dct_scaling` come from here.

``python tests/edgekit/preprocess/measure_fast.py [PHOTO...]``, by default on the sample photos. Each photo is enlarged
until its shorter side is just above ratio x scale x 224, where the error is largest, saved as JPEG in several ways,
and preprocessed both ways. The bounds were set on the originals in scikit-image's and scikit-learn's wheels.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.bundle.manifest import ImageSpec
from edgekit.preprocess import dct_scaling, preprocess

SIDE = 224
SPEC = ImageSpec(SIDE, SIDE, "shortest", SIDE, "bicubic", (0, 0, 0), (0, 0, 0), (1, 1, 1))
SAVES = (
    {"quality": 75, "subsampling": 2},
    {"quality": 75, "subsampling": 2, "progressive": True},
    {"quality": 95, "subsampling": 0},
)


def error(image: Image.Image, options: dict[str, object]) -> tuple[int, float]:
    """Return the largest and the mean difference between fast and exact, in levels."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    fast, exact = (preprocess(buffer.getvalue(), SPEC, decoding=way).astype(int) for way in ("fast", "exact"))
    difference = np.abs(fast - exact)
    return int(difference.max()), float(difference.mean())


def patterns(width: int, height: int) -> dict[str, Image.Image]:
    """Return patterns made to hurt: noise, checkerboards and bars of several periods, a zone plate, edges."""
    y, x = np.mgrid[:height, :width]
    levels = {f"checker {n}": (x // n + y // n) % 2 * 255 for n in (1, 2, 3, 5, 7, 11, 17)}
    levels |= {f"bars {n}": x // n % 2 * 255 for n in (5, 9, 13, 19)}
    levels["zone plate"] = 127.5 + 127.5 * np.cos(((x - width / 2) ** 2 + (y - height / 2) ** 2) * np.pi / width)
    levels["edges"] = (0.37 * x + 0.21 * y) // 61 % 2 * 255
    images = {name: Image.fromarray(np.asarray(level, np.uint8)).convert("RGB") for name, level in levels.items()}
    images["noise"] = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    return images


def main() -> None:
    """Print, for each ratio and scale, the worst photo and the worst pattern."""
    samples = Path(__file__).parents[3] / "samples" / "photos"
    paths = [Path(name) for name in sys.argv[1:]] or sorted(samples.glob("*.jpg"))
    for ratio in (2.0, 3.0, 4.0):
        dct_scaling.FAST_RATIO = ratio
        for scale in (2, 4, 8):
            short = int(ratio * scale * SIDE) + 1
            if short > 4000:
                continue
            size = (short * 4 // 3 + 3, short)
            errors = {}
            for path in paths:
                with Image.open(path) as photo:
                    image = photo.convert("RGB").resize(size, Image.Resampling.BICUBIC)
                errors[path.name] = [error(image, options) for options in SAVES]
            report(f"ratio {ratio} scale 1/{scale} photos  ", errors)
            if scale < 8:
                found = {n: [error(image, options) for options in SAVES] for n, image in patterns(*size).items()}
                report(f"ratio {ratio} scale 1/{scale} patterns", found)


def report(title: str, errors: dict[str, list[tuple[int, float]]]) -> None:
    """Print the largest difference with its image, and the largest mean difference with its image."""
    largest = max(errors, key=lambda name: max(pair[0] for pair in errors[name]))
    mean = max(errors, key=lambda name: max(pair[1] for pair in errors[name]))
    top, average = max(pair[0] for pair in errors[largest]), max(pair[1] for pair in errors[mean])
    sys.stdout.write(f"{title} largest {top:3d} ({largest}), mean {average:.2f} ({mean})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
