"""Make the sample photos from those that scikit-image and scikit-learn carry in their wheels.

Run from anywhere, with both packages and Pillow installed: ``python docs/make_photos.py [FOLDER]``. LICENSES.md
names the author and licence of each. The bytes may differ between releases of libjpeg; the photos do not.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from PIL import Image

LONG_SIDE = 512
MAX_BYTES = 60_000
QUALITIES = (90, 85, 80, 75, 70, 60, 50)

# Name of the sample, package that carries the original, and its path there.
PHOTOS = (
    ("astronaut", "skimage", "data/astronaut.png"),
    ("cat", "skimage", "data/chelsea.png"),
    ("coffee", "skimage", "data/coffee.png"),
    ("flower", "sklearn", "datasets/images/flower.jpg"),
    ("galaxies", "skimage", "data/hubble_deep_field.jpg"),
    ("rocket", "skimage", "data/rocket.jpg"),
    ("temple", "sklearn", "datasets/images/china.jpg"),
)


def original(package: str, path: str) -> Path:
    """Return the file inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed; run: pip install scikit-image scikit-learn")
    return Path(spec.origin).parent / path


def make(source: Path, target: Path) -> None:
    """Write a JPEG of at most LONG_SIDE pixels and MAX_BYTES bytes, without metadata."""
    with Image.open(source) as opened:
        photo = opened.convert("RGB")
    photo.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS, reducing_gap=None)
    photo.info.clear()
    for quality in QUALITIES:
        photo.save(target, "JPEG", quality=quality, optimize=True)
        if target.stat().st_size <= MAX_BYTES:
            return
    raise SystemExit(f"{target} stays above {MAX_BYTES} bytes even at quality {QUALITIES[-1]}")


def main() -> None:
    """Make every photo in the folder given, or in samples/photos."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "samples" / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    for name, package, path in PHOTOS:
        make(original(package, path), folder / f"{name}.jpg")


if __name__ == "__main__":
    main()
