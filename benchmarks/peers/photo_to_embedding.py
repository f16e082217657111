"""edgekit against its peers: photo file to embedding, same weights, same cores, one interleaved run.

Run: ``make bench``, or ``python -m edgekit.benchmarks.peers.photo_to_embedding``. Needs edgekit[convert,bench] and, for
the peer, modern-onnx-clip. It is the run of ``edgekit bench --vs-peer``: every contender in a process of its own with
its default threads (one per core for all), in interleaved blocks. With ``--quantized``, the subject is a variant that
``edgekit quantize`` made of the same weights, which takes some minutes the first time; ``--prepare`` makes everything
and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.peers.cold_start import cold_starts
from edgekit.benchmarks.peers.material import MODEL, Material, prepare, quantized
from edgekit.benchmarks.peers.overhead import sdk_overhead
from edgekit.benchmarks.running.refusing import not_above_zero
from edgekit.benchmarks.versus.records import Contender
from edgekit.benchmarks.versus.request import VersusRequest
from edgekit.benchmarks.versus.run import run
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.schema import to_plain
from edgekit.errors import EdgekitError
from edgekit.ratios import Ratio

if TYPE_CHECKING:
    from edgekit.benchmarks.versus.records import Comparison, Side, Versus

_OVERHEAD_ROUNDS = 25


def contenders(material: Material, small: Path | None) -> tuple[Contender, ...]:
    """Return who takes part.

    Args:
        material: the weights in each contender's own format.
        small: a quantized bundle, which is then the subject; None for edgekit's float32.

    Returns:
        The subject first.
    """
    bundle = str(material.bundle)
    found = [
        Contender("edgekit", "edgekit", bundle),
        Contender("edgekit, exact decoding", "edgekit", bundle, decoding="exact"),
        Contender("modern-onnx-clip", "modern-onnx-clip", str(material.folder)),
        Contender("open_clip", "open-clip", f"{MODEL}:{material.weights}"),
    ]
    if small is None:
        return tuple(found)
    variant = next(v.id for v in open_bundle(small).manifest.variants if v.quantization)
    return (Contender("edgekit, quantized", "edgekit", str(small), variant=variant), found[0], *found[2:])


def compare(material: Material, small: Path | None, seconds: float, goal: float) -> dict[str, Versus]:
    """Run every contender on the photos of each size.

    Args:
        material: weights and photos.
        small: a quantized bundle, or None.
        seconds: of each size, at most.
        goal: width of the intervals that ends a size earlier.

    Returns:
        What was found, by size.
    """
    command = shlex.join(["python", "-m", "edgekit.benchmarks.peers.photo_to_embedding", *sys.argv[1:]])
    taking_part = contenders(material, small)
    return {
        size: run(
            VersusRequest(taking_part, data=str(folder), seconds=seconds, goal=goal, command=command),
            lambda event: None,
        )
        for size, folder in material.photos.items()
    }


def main() -> None:
    """Run everything and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="at most, for each photo size")
    parser.add_argument("--goal", type=float, default=0.04, help="width of the intervals that ends a size earlier")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench"), help="where weights and photos are made")
    parser.add_argument("--quantized", action="store_true", help="put a quantized variant in front")
    parser.add_argument("--prepare", action="store_true", help="make everything, measure nothing")
    parser.add_argument("--only-photos", action="store_true", help="leave overhead and cold start out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    for name in ("seconds", "goal"):
        # Before minutes are spent on making what is compared.
        for problem in not_above_zero(f"--{name}", getattr(arguments, name)):
            parser.error(problem)
    try:
        _made(arguments)
    except EdgekitError as error:
        parser.exit(1, f"{error}\n")


def _made(arguments: argparse.Namespace) -> None:
    material = prepare(arguments.cache.absolute())
    small = quantized(material) if arguments.quantized else None
    if arguments.prepare:
        return
    result: dict[str, Any] = {"photo to embedding": compare(material, small, arguments.seconds, arguments.goal)}
    if not arguments.only_photos:
        result["SDK over a bare session.run"] = asdict(sdk_overhead(material, _OVERHEAD_ROUNDS))
        result["cold start"] = cold_starts(material)
    sys.stdout.write((json.dumps(_plain(result), indent=2) if arguments.json else report(result)) + "\n")


def report(result: dict[str, Any]) -> str:
    """Return the result as Markdown tables."""
    lines = []
    for size, found in result["photo to embedding"].items():
        lines += [f"{size}: {found.rounds} rounds of {found.queries}, {found.verdict}", ""]
        lines += ["| photo to embedding | time over the first's | ms | threads | cosine to the first |"]
        lines += ["|---|---|---|---|---|", _row(found.subject, None)]
        lines += [_row(side, one) for side, one in zip(found.others, found.comparisons, strict=True)]
        lines += ["", *(f"- {reason}" for reason in found.reasons), *([""] if found.reasons else [])]
    if "cold start" not in result:
        return "\n".join(lines).rstrip()
    lines += [f"SDK over a bare session.run: {Ratio(**result['SDK over a bare session.run'])}", ""]
    lines += ["| cold start | time over a bare session's | s | peak memory over it | MiB |", "|---|---|---|---|---|"]
    for name, row in result["cold start"].items():
        time_ratio, peak_ratio = Ratio(**row["time_ratio"]), Ratio(**row["peak_ratio"])
        lines.append(f"| {name} | {time_ratio} | {row['seconds']:.2f} | {peak_ratio} | {row['peak_MiB']:.0f} |")
    return "\n".join(lines)


def _row(side: Side, comparison: Comparison | None) -> str:
    ratio, cosine = Ratio(1.0, 1.0, 1.0, side.p50.n), "1"
    if comparison is not None:
        found, alike = comparison.ratio, comparison.agreement.cosine_min
        ratio = Ratio(found.value, found.low, found.high, found.n)
        cosine = comparison.agreement.reason if alike is None else f"{alike:.6f}"
    threads = "?" if side.running is None else str(side.running)
    return f"| {side.name} | {ratio} | {side.p50.value:.0f} | {threads} | {cosine} |"


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    runs = {size: to_plain(found) for size, found in result["photo to embedding"].items()}
    return {**result, "photo to embedding": runs}


if __name__ == "__main__":
    main()
