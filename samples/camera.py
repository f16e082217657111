"""Name what a camera or a video file shows, a frame a second, with the starter bundle.

Run: pip install "edgekit[onnx,video]"; python samples/camera.py 0 --label "a cat" --label "a dog"
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import cv2

import edgekit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt


def frames(source: str, seconds: float) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
    """Yield (seconds since the start, BGR frame uint8 (H, W, 3)) every so many seconds of a camera or video file."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise SystemExit(f"{source}: no such camera or video file")
    step = max(1, round(seconds * (capture.get(cv2.CAP_PROP_FPS) or 30)))
    rate, index = capture.get(cv2.CAP_PROP_FPS) or 30, 0
    try:
        while capture.grab():
            if index % step == 0:
                ok, frame = capture.retrieve()
                if ok:
                    yield index / rate, frame
            index += 1
    finally:
        capture.release()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the best label of each frame."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", help="number of a camera, or a video file")
    parser.add_argument("--label", action="append", required=True, help="a label; repeatable")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often to look")
    options = parser.parse_args(arguments)
    with edgekit.load("starter") as clip:
        for at, frame in frames(options.source, options.every):
            # OpenCV's frames are BGR; edgekit is told so and never guesses.
            best = clip.classify(frame, options.label, channel_order="bgr").best
            sys.stdout.write(f"{at:7.1f} s  {best}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
