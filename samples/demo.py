"""Classify the sample photos with the starter bundle and draw them with their scores.

Run: python samples/demo.py [-o demo.png]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

import edgekit

HERE = Path(__file__).parent
PHOTOS = ("cat", "coffee", "rocket", "temple", "flower", "astronaut")
LABELS = (
    "a cat", "a dog", "a cup of coffee", "a rocket", "a temple", "a church", "a flower", "an astronaut",
    "a motorcycle", "a bicycle", "a pizza", "a mountain",
)  # fmt: skip
TILE, BAR, LINES = 256, 22, 3


def main() -> None:
    """Classify, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("demo.png"), help="picture to write")
    output = parser.parse_args().output
    photos = [HERE / "photos" / f"{name}.jpg" for name in PHOTOS]
    start = time.perf_counter()
    with edgekit.load("starter") as clip:
        loaded = time.perf_counter()
        results = clip.classify_many(photos, LABELS, top=LINES)
        done = time.perf_counter()
        sys.stdout.write("\n".join(map(str, results)) + f"\n\n{clip.explain()}\n")
    sys.stdout.write(
        f"\nloaded in {loaded - start:.1f} s, {len(photos)} photos and {len(LABELS)} labels in {done - loaded:.1f} s\n"
    )
    draw(results).save(output)
    sys.stdout.write(f"the photos with their scores: {output}\n")


def draw(results: list[edgekit.Classification]) -> Image.Image:
    """Return one picture: each photo over bars for its best labels."""
    font = ImageFont.load_default(14)
    sheet = Image.new("RGB", (3 * TILE, -(-len(results) // 3) * (TILE + LINES * BAR)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, result in enumerate(results):
        x, y = i % 3 * TILE, i // 3 * (TILE + LINES * BAR)
        with Image.open(result.image) as photo:
            sheet.paste(ImageOps.fit(photo.convert("RGB"), (TILE, TILE)), (x, y))
        for line, label in enumerate(result):
            top = y + TILE + line * BAR
            pen.rectangle((x, top, x + label.score * TILE, top + BAR - 2), fill="#9ad0b5" if line == 0 else "#d7dde3")
            pen.text((x + 6, top + 2), f"{label.label}  {label.score:.0%}", fill="#16202a", font=font)
    return sheet


if __name__ == "__main__":
    main()
