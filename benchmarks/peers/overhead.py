"""What the SDK adds to a bare `session.run` on pixels that need no work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import edgekit
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from edgekit.benchmarks.peers.material import Material


def sdk_overhead(material: Material, rounds: int) -> Ratio:
    """Time `Clip.embed_images` on one ready array against `session.run` on the same graph, interleaved.

    Args:
        material: the bundle is used.
        rounds: number of pairs.

    Returns:
        Time of the SDK over time of the bare session, both with one thread, so that no pool waits for the other.
    """
    import onnxruntime

    from edgekit.bundle.reader import open_bundle

    bundle = open_bundle(material.bundle)
    tower = bundle.manifest.variants[0].image
    folder = material.bundle.parent / "bare"
    folder.mkdir(exist_ok=True)
    for path in (tower.artifact, *tower.sidecars):
        (folder / Path(path).name).write_bytes(bundle.read(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / Path(tower.artifact).name), options)
    spec = bundle.manifest.image
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    settings = edgekit.SessionSettings(threads=1)
    with edgekit.load(material.bundle, settings=settings, towers=("image",)) as clip:
        ours, bare = [], []
        for turn in range(rounds + 2):
            start = time.perf_counter()
            clip.embed_images([pixels[0]])
            middle = time.perf_counter()
            session.run(None, {tower.input.name: pixels})
            end = time.perf_counter()
            if turn >= 2:
                ours.append(middle - start)
                bare.append(end - middle)
    return ratio(ours, bare)
