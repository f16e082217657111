"""edgekit against its peers: photo file to embedding, same weights, same cores, one interleaved run.

Run: ``make bench``, or ``python -m edgekit.benchmarks.peers.photo_to_embedding``. Needs edgekit[convert] and, for the
peer, modern-onnx-clip. Every contender runs in a process of its own with its default threads (one per core for all),
and takes its turn on the same photo in every round, in an order drawn anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.peers.cold_start import cold_starts
from edgekit.benchmarks.peers.contenders import CONTENDERS
from edgekit.benchmarks.peers.material import Material, prepare
from edgekit.benchmarks.peers.overhead import sdk_overhead
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from typing_extensions import Self

BASE = "edgekit_fast"
# An engine's threads go on spinning after their work; the next contender must not pay for it, nor always the same one.
PAUSE = 0.1


class Contender:
    """A contender in its own process."""

    def __init__(self, name: str, material: Path) -> None:
        command = [sys.executable, "-m", "edgekit.benchmarks.peers.contenders", name, str(material)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=material.parent
        )
        while self._line() != "ready":
            pass

    def embed(self, photo: Path) -> tuple[float, list[float]]:
        """Return seconds and the embedding."""
        if self._process.stdin is None:
            raise RuntimeError("the contender has no standard input")
        self._process.stdin.write(f"{photo}\n")
        self._process.stdin.flush()
        answer = json.loads(self._line())
        return answer["ns"] / 1e9, answer["embedding"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"a contender ended: exit code {self._process.wait()}")
        return line.strip()


def compare(material: Material, description: Path, rounds: int) -> dict[str, dict[str, object]]:
    """Time every contender on every photo, interleaved; returns a table per photo size."""
    contenders: dict[str, Contender] = {}
    order = np.random.default_rng(0)
    table: dict[str, dict[str, object]] = {}
    try:
        for name in CONTENDERS:
            contenders[name] = Contender(name, description)
        for size, photo in material.photos.items():
            times: dict[str, list[float]] = {name: [] for name in contenders}
            rows: dict[str, list[float]] = {}
            for turn in range(rounds + 2):
                for name in order.permutation(list(contenders)).tolist():
                    time.sleep(PAUSE)
                    seconds, rows[name] = contenders[name].embed(photo.absolute())
                    if turn >= 2:  # the first two rounds warm up
                        times[name].append(seconds)
            table[size] = {
                name: {
                    "ms": round(1e3 * float(np.median(times[name])), 2),
                    "times_edgekit": asdict(ratio(times[name], times[BASE])),
                    "cosine": round(float(np.dot(rows[name], rows["open_clip"])), 6),
                }
                for name in contenders
            }
    finally:
        for contender in contenders.values():
            contender.__exit__()
    return table


def main() -> None:
    """Run everything and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="interleaved rounds per photo size")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench"), help="where weights and photos are made")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    material = prepare(arguments.cache.absolute())
    description = arguments.cache.absolute() / "material.json"
    paths = {name: str(getattr(material, name)) for name in ("bundle", "folder", "weights")}
    description.write_text(json.dumps(paths))
    result = {
        "photo to embedding": compare(material, description, arguments.rounds),
        "SDK over a bare session.run": asdict(sdk_overhead(material, arguments.rounds)),
        "cold start": cold_starts(material),
    }
    sys.stdout.write((json.dumps(result, indent=2) if arguments.json else report(result)) + "\n")


def report(result: dict[str, Any]) -> str:
    """Return the result as Markdown tables."""
    lines = ["| photo to embedding | time over edgekit's | ms | cosine to open_clip |", "|---|---|---|---|"]
    for size, rows in result["photo to embedding"].items():
        for name, row in rows.items():
            lines.append(f"| {size}: {name} | {Ratio(**row['times_edgekit'])} | {row['ms']:.0f} | {row['cosine']} |")
    lines += ["", f"SDK over a bare session.run: {Ratio(**result['SDK over a bare session.run'])}", ""]
    lines += ["| cold start | time over a bare session's | s | peak memory over it | MiB |", "|---|---|---|---|---|"]
    for name, row in result["cold start"].items():
        time_ratio, peak_ratio = Ratio(**row["time_ratio"]), Ratio(**row["peak_ratio"])
        lines.append(f"| {name} | {time_ratio} | {row['seconds']:.2f} | {peak_ratio} | {row['peak_MiB']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
