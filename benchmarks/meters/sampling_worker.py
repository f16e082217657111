"""The process behind `edgekit.benchmarks.meters.sampling_process`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from edgekit.benchmarks.meters import registry
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.bundle.schema import to_plain


def main(interval: float, root: Path, specs: list[str]) -> None:
    """Sample until the input ends, then write everything as one line of JSON.

    Args:
        interval: seconds between two readings.
        root: folder that holds ``sys``, ``proc`` and ``dev``.
        specs: of the meters, see `registry.create`.
    """
    # What meters print is no part of the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    with Sampler([registry.create(spec, root) for spec in specs], interval) as sampler:
        answer.write("ready\n")
        answer.flush()
        sys.stdin.read()
    found = {
        "series": [
            {**to_plain(series), "times": [round(seconds * 1e9) for seconds in series.times]}
            for series in sampler.series(0)
        ],
        "channels": [
            {"meter": meter, "series": name, "channel": to_plain(channel)}
            for (meter, name), channel in sampler.channels.items()
        ],
        "rates": to_plain(sampler.rates),
        # Of this process and of the commands that meters started.
        "cpu": sum(os.times()[:4]),
    }
    answer.write(json.dumps(found) + "\n")
    answer.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
