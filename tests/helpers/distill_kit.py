"""Small things to distill with: pictures in class folders, recipes, and the command in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

COLOURS = {"red cup": (200, 40, 40), "green flower": (40, 200, 40), "blue car": (40, 40, 200)}
_START = "import sys; sys.path[:] = [p for p in sys.path if p]; from edgekit.cli.main import main; main()"


def pictures(folder: Path, each: int = 10, side: int = 20) -> Path:
    """Write noisy pictures of one colour for each class, in a folder for each; return `folder`."""
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = np.clip(np.array(colour) + random.normal(0, 25, (side, side, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def recipe(teacher: object, images: object, **changes: Any) -> dict[str, Any]:
    """Return a recipe that takes seconds; `changes` replace whole parts of it."""
    made: dict[str, Any] = {
        "teacher": teacher if isinstance(teacher, dict) else str(teacher),
        "data": {"images": str(images), "held_out": 0.4, "views": 2, "store": "store"},
        "student": {"name": "small", "image": {"arch": "conv", "size": 16, "width": 4}},
        "losses": {"feature": 1, "labels": 0.5},
        "training": {"steps": 12, "batch": 8, "evaluate": 3, "checkpoint": 0},
    }
    return {**made, **changes}


def write(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a recipe; JSON is YAML. Return `path`."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def command(*arguments: object) -> subprocess.Popen[str]:
    """Start ``edgekit distill`` with these arguments, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", _START, "distill", *map(str, arguments)]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str], code: int = 0, seconds: float = 600) -> tuple[str, str]:
    """Wait for a command, check its exit code, and return what it printed on both streams."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == code, f"{out}\n{err}"
    return out, err


def signalled_when(
    process: subprocess.Popen[str], ready: Callable[[], bool], number: int = signal.SIGKILL, seconds: float = 600
) -> None:
    """Send a signal to a command, and to it alone, as soon as `ready` says so."""
    limit = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "it never came that far"
        time.sleep(0.005)
    process.send_signal(number)


def nobody_writes(folder: Path, quiet: float = 1.0, seconds: float = 60) -> None:
    """Wait until no file below a folder has changed for a moment."""
    limit = time.monotonic() + seconds
    before, since = _state(folder), time.monotonic()
    while time.monotonic() - since < quiet:
        assert time.monotonic() < limit, "a process goes on writing"
        time.sleep(0.05)
        now = _state(folder)
        if now != before:
            before, since = now, time.monotonic()


def _state(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for path in folder.rglob("*"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path), state.st_mtime_ns, state.st_size))
    return sorted(found)
