"""``python -m edgekit.benchmarks.meters.merge RESULT.json LOG.csv``: energy from a log that came after the run.

USB meters keep their log to themselves until the run is over. The clock of the day joins the two: a result says when
its measured part began, and the log has times of its own, which may be ahead by a stated offset.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from edgekit.benchmarks.meters import csv_log
from edgekit.benchmarks.meters.energy import energy
from edgekit.benchmarks.meters.protocol import Channel
from edgekit.benchmarks.meters.samples import series_name
from edgekit.benchmarks.results import files
from edgekit.benchmarks.results.energy_records import Series
from edgekit.benchmarks.results.records import Result
from edgekit.errors import EdgekitError, InputError

# Seconds of the log that are kept on both sides of the measured part.
_MARGIN = 10.0


def merged(result: Result, log: csv_log.Log, how: csv_log.Settings) -> Result:
    """Put the energy of a log into a result.

    Args:
        result: of a run whose begin is known and whose last query ended within the log.
        log: as `csv_log.read_log` gave it.
        how: its settings; their offset is told in the name of the rail.

    Returns:
        The result with the log's power among its series and its energy in place of what was there; reasons of the
        energy are those of the log. The idle device is not in it: `above_idle` stays unknown.

    Raises:
        InputError: the result does not know when its measured part began, or the log does not cover it.
    """
    if result.began <= 0:
        raise InputError(f"{result.id}: does not say when its measured part began; run again with this edgekit")
    seconds = _length(result)
    rail = f"{how.path.name} (clock offset {how.offset:+.3f} s)"
    channel = Channel(rail, "power", "W", scope="device", error=how.error)
    near = [
        (time - result.began, watts)
        for time, watts in zip(log.times, log.watts, strict=True)
        if -_MARGIN <= time - result.began <= seconds + _MARGIN
    ]
    if not near:
        first, last = (f"{t - result.began:+.1f} s" for t in (log.times[0], log.times[-1])) if log.times else ("", "")
        told = f"it runs from {first} to {last} of the begin" if log.times else "it is empty"
        raise InputError(f"{how.path}: has nothing of the {seconds:.1f} s measured part: {told}; is its offset right?")
    times, watts = zip(*near, strict=True)
    series = Series(series_name(channel), "power", "W", "csv-log", times, watts)
    samples = round(result.throughput.value * seconds)
    channels = {("csv-log", series.name): channel}
    found, reasons = energy((series,), 0.0, seconds, samples, {}, {}, channels, result.subject.device)
    kept = (*(reason for reason in result.reasons if not reason.startswith("energy: ")), *reasons)
    return replace(
        result,
        energy=found,
        series=(*(one for one in result.series if one.meter != "csv-log"), series),
        reasons=kept,
        verdict="INVALID" if kept else "VALID",
    )


def _length(result: Result) -> float:
    # Minutes follow each other without a gap to the end of the measured part.
    last = result.minutes[-1] if result.minutes else None
    if last is None:
        raise InputError(f"{result.id}: has no minutes, so its length is unknown")
    return last.start + last.seconds


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.argument("log")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; default is RESULT itself.")
def main(result: Path, log: str, output: Path | None) -> None:
    """Put the energy of LOG (a CSV file, with options as in ``csv-log=``: FILE,offset=SECONDS) into RESULT."""
    try:
        how = csv_log.settings(log)
        found = merged(files.read(result), csv_log.read_log(how), how)
        files.write(output or result, found)
    except EdgekitError as error:
        raise click.ClickException(str(error)) from error
    energy_of = found.energy
    measured = energy_of.joules is not None
    shown = f"{energy_of.joules:.3f} J, {energy_of.per_inference:.6f} J an inference" if measured else "none"
    click.echo(f"energy: {shown}; {found.verdict}{''.join(f'; {reason}' for reason in found.reasons)}")


if __name__ == "__main__":
    main()
