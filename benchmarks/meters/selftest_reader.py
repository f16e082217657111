"""The process that umockdev shows its devices to: it samples the meters named and writes what they say."""

from __future__ import annotations

import json
import os
import sys
import time

from edgekit.benchmarks.meters import registry
from edgekit.benchmarks.meters.energy import energy
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.bundle.schema import to_plain

_SETTLE = 0.3


def main(seconds: float, interval: float, specs: list[str]) -> None:
    """Tell where umockdev keeps its files, wait until they change, sample, and write a line of JSON.

    Args:
        seconds: length of the measured part.
        interval: seconds between two readings.
        specs: of the meters, see `registry.create`.
    """
    _ask(os.environ.get("UMOCKDEV_DIR", ""))
    with Sampler([registry.create(spec) for spec in specs], interval) as sampler:
        time.sleep(_SETTLE)
        _ask("begin")
        begin = time.perf_counter_ns()
        time.sleep(seconds)
        _ask("end")
        end = time.perf_counter_ns()
        time.sleep(_SETTLE)
    found = {}
    for meter in sampler.rates:
        series = [one for one in sampler.series(begin) if one.meter == meter]
        found[meter] = energy(series, 0.0, (end - begin) / 1e9, 1, {}, {}, sampler.channels)[0]
    answer = {
        "begin": begin,
        "end": end,
        "energy": to_plain(found),
        "rates": to_plain(sampler.rates),
        "cpu": sampler.cpu_seconds,
    }
    # umockdev takes its files away when this process ends, and the writer may still write: its answer is waited for.
    _ask(json.dumps(answer))


def _ask(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
