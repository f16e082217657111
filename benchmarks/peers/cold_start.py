"""Cold start and peak memory, each measured from outside on a fresh process."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from edgekit.ratios import ratio

if TYPE_CHECKING:
    from edgekit.benchmarks.peers.material import Material

_ROUNDS = 7
_BARE = """
import numpy, onnxruntime
session = onnxruntime.InferenceSession({visual!r})
session.run(None, {{session.get_inputs()[0].name: numpy.zeros((1, 3, 224, 224), numpy.float32)}})
"""
_EDGEKIT = """
import edgekit
edgekit.load({bundle!r}, towers=("image",)).embed_images([{photo!r}])
"""
_MODERN = """
from PIL import Image
from onnx_clip import OnnxClip
OnnxClip(model_dir={folder!r}, device="cpu").get_image_embedding(Image.open({photo!r}))
"""
# The kernel's own high-water mark of this process; the one in `getrusage` starts at that of the parent.
_PEAK = """
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def cold_starts(material: Material) -> dict[str, dict[str, object]]:
    """Time import + load + first embedding in fresh processes, in turn, and read their peak resident memory.

    The bare session is onnxruntime alone on the peer's float graph: no digests, no preprocessing, no checks.

    Args:
        material: the bundle, the peer's folder and the photos.

    Returns:
        Per contender, median seconds, median peak MiB, and both as ratios over the bare session.
    """
    photo = str(min(material.photos["640x480"].glob("*.jpg")))
    programs = {
        "bare onnxruntime": _BARE.format(visual=str(material.folder / "visual.onnx")),
        "edgekit": _EDGEKIT.format(bundle=str(material.bundle), photo=photo),
        "modern-onnx-clip": _MODERN.format(folder=str(material.folder), photo=photo),
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    peaks: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(_ROUNDS + 1):
        for name, program in programs.items():
            seconds, peak = _run(program, str(material.bundle.parent))
            if turn:  # the first round fills the page cache and edgekit's decision
                times[name].append(seconds)
                peaks[name].append(peak)
    return {
        name: {
            "seconds": round(statistics.median(times[name]), 3),
            "peak_MiB": round(statistics.median(peaks[name]), 1),
            "time_ratio": asdict(ratio(times[name], times["bare onnxruntime"])),
            "peak_ratio": asdict(ratio(peaks[name], peaks["bare onnxruntime"])),
        }
        for name in programs
    }


def _run(program: str, folder: str) -> tuple[float, float]:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program + _PEAK], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - start
    return seconds, float(done.stdout.splitlines()[-1]) / 1024
