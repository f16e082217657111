"""A source of models for `edgekit convert` that needs no framework, installed as a third party's package is.

``tiny:good`` converts in a moment; every other name goes wrong in its own way, at its own stage.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tiny_bundle as tiny
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.records import SourceModel, TextPipeline
from edgekit.errors import UnsupportedModelError
from tiny_towers import DIMENSION, MEAN, PAD_ID, SIZE, STD, embed_ids, embed_pixels, save_image_tower, save_text_tower
from tiny_towers import weights as tiny_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest
    from PIL import Image

    from edgekit.converters.records import SourceOptions
    from tiny_towers import Weights

MARKER = "EDGEKIT_TEST_MARKER"


@dataclass(frozen=True)
class ImageTower:
    weights: Weights
    wrong: str = ""

    def export(self, path: Path) -> None:
        if self.wrong == "hang":
            Path(os.environ[MARKER]).write_text(str(os.getpid()))
            time.sleep(600)
        if self.wrong == "malformed":
            path.write_bytes(b"\x08not a model")
            return
        save_image_tower(path, self.weights, not_a_number=self.wrong == "nan")

    def reference(self, batch: Any) -> Any:
        rows = embed_pixels(self.weights, batch)
        return rows[:, ::-1] if self.wrong == "disagree" else rows


@dataclass(frozen=True)
class TextTower:
    weights: Weights
    wrong: str = ""

    def export(self, path: Path) -> None:
        save_text_tower(path, self.weights)

    def reference(self, batch: Any) -> Any:
        rows = embed_ids(self.weights, batch)
        return rows[:, ::-1] if self.wrong == "disagree_text" else rows


def load(spec: str, options: SourceOptions) -> Any:
    """Return the model, or go wrong as `spec` says."""
    _go_wrong(spec)
    tokenizer = tiny.make_tokenizer()
    weights = tiny_weights(0, tokenizer.get_vocab_size())

    def encode(texts: Sequence[str]) -> Any:
        ids = np.array([tokenizer.encode(text).ids for text in texts], np.int32)
        return ids + (spec == "ids")

    def squash(image: Image.Image) -> Any:
        # Half a turn is as far from the right pixels as can be.
        pixels = np.asarray(image.resize((SIZE, SIZE), 3), np.uint8)
        return pixels[::-1] if spec == "pixels" else pixels

    model = SourceModel(
        name="tiny",
        license="Apache-2.0" if spec != "bare" else "unknown",
        description=f"For tests; tokenizer {options.tokenizer.name if options.tokenizer else 'its own'}.",
        weights_sha256="ab" * 32,
        dimension=DIMENSION,
        logit_scale=20.0,
        logit_bias=0.0,
        scores="softmax",
        image=ImageSpec(SIZE, SIZE, "squash", 0, "bicubic", (0, 0, 0), MEAN, STD),
        image_tower=ImageTower(weights, spec),
        image_reference=squash,
        text=TextPipeline(tokenizer.to_str(), tiny.CONTEXT_LENGTH, PAD_ID, "none", encode),
        text_tower=TextTower(weights, spec),
        templates=("a photo of {}",),
        toolchain={"tiny": "1"},
    )
    return "no model" if spec == "nothing" else replace(model, storage={"image": "int8"}) if spec == "int8" else model


def _go_wrong(spec: str) -> None:
    if spec == "noise":
        sys.stdout.write('{"not": "ours"}\n[1]\nno end of line')
        sys.stdout.flush()
        os.write(1, b"\xff\xfe\n half a line")
    ways: dict[str, Callable[[], object]] = {
        "segfault": lambda: ctypes.string_at(0),
        "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "crash": lambda: 1 / 0,
        "exit": lambda: os._exit(7),
        "refused": lambda: _raise(UnsupportedModelError("tiny: the layer Frobnicate is not supported")),
        "refused_noisily": lambda: (os.write(1, b"50% done"), _raise(UnsupportedModelError("tiny: no"))),
        "full": lambda: _raise(OSError(errno.ENOSPC, "No space left on device", "weights.bin")),
        "memory": lambda: _raise(MemoryError()),
    }
    if spec in ways:
        sys.stderr.write("about to go wrong\n")
        sys.stderr.flush()
        ways[spec]()


def _raise(error: Exception) -> None:
    raise error


def install(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the source ``tiny`` for child processes, until the test ends."""
    info = site / "tiny_source-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-source\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[edgekit.sources]\ntiny = tiny_source:load\n")
    # Whatever stood there first stays, behind: a run against another engine is asked for that way.
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(Path(__file__).parent), *before]))
