"""``python -m edgekit.benchmarks.meters.selftest``: meters on faked devices, against the energy that was really shown.

umockdev gives an unmodified process a ``/sys`` of its own. A writer changes its values as a known power goes up and
down, and keeps when it wrote what: that is the truth, however late the machine lets it write.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from edgekit.benchmarks.meters.faked import FAKED, Faked
from edgekit.benchmarks.meters.selftest_writer import Writer
from edgekit.errors import EdgekitError, ExecutionError

TOOL = "umockdev-run"
_PATIENCE = 60.0


@dataclass(frozen=True)
class Row:
    """What one faked device showed, and what its meter made of it.

    Attributes:
        title: of the device.
        meter: that read it.
        rail: that was taken for the energy.
        scope: of it.
        true: joules that were shown during the measured part.
        measured: joules; None where the meter's samples were refused.
        reason: why they were; empty otherwise.
        rate: samples a second.
        jitter: standard deviation of the intervals over their mean.
        longest: seconds between two samples at most.
    """

    title: str
    meter: str
    rail: str
    scope: str
    true: float
    measured: float | None
    reason: str
    rate: float
    jitter: float
    longest: float

    @property
    def error(self) -> float | None:
        """Relative error of the measured energy."""
        return None if self.measured is None else self.measured / self.true - 1


@dataclass(frozen=True)
class Report:
    """All rows, and the share of one processor that sampling took."""

    rows: tuple[Row, ...]
    cost: float


def run(seconds: float = 4.0, interval: float = 0.02) -> Report:
    """Measure all faked devices at once.

    Args:
        seconds: length of the measured part.
        interval: seconds between two readings.

    Returns:
        One row a device.

    Raises:
        ExecutionError: umockdev is not installed, or the reading process failed.
    """
    if shutil.which(TOOL) is None:
        raise ExecutionError(f"{TOOL} is not installed: apt install umockdev")
    with tempfile.TemporaryDirectory(prefix="edgekit-meters-") as folder:
        description = Path(folder) / "devices.umockdev"
        description.write_text("".join(faked.description for faked in FAKED))
        reader = ("-m", "edgekit.benchmarks.meters.selftest_reader", str(seconds), str(interval))
        command = [TOOL, f"--device={description}", "--", sys.executable, *reader, *(f.meter for f in FAKED)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                writer, answer = _show(process)
            except BaseException:
                process.kill()
                raise
    cost = answer["cpu"] / ((answer["end"] - answer["begin"]) / 1e9)
    return Report(tuple(_row(faked, writer, answer) for faked in FAKED), cost)


def table(report: Report) -> str:
    """Return a report as a Markdown table."""
    lines = [
        "| faked device | rail, scope | true J | measured J | error | samples/s | jitter | longest gap |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report.rows:
        shown = f"refused: {row.reason} | " if row.measured is None else f"{row.measured:.3f} | {row.error:+.3%}"
        rate = f"{row.rate:.1f} | {row.jitter:.0%} | {1000 * row.longest:.0f} ms"
        lines.append(f"| {row.title} | {row.rail}, {row.scope} | {row.true:.3f} | {shown} | {rate} |")
    return "\n".join([*lines, "", f"Sampling took {report.cost:.1%} of one processor."])


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Length of the measured part.")
@click.option("--interval", default=0.02, show_default=True, help="Seconds between two readings.")
def main(seconds: float, interval: float) -> None:
    """Measure faked devices and print their true energy, the measured one, and the error."""
    try:
        click.echo(table(run(seconds, interval)))
    except EdgekitError as error:
        raise click.ClickException(str(error)) from error


def _show(process: subprocess.Popen[str]) -> tuple[Writer, dict[str, Any]]:
    commands, output = process.stdin, process.stdout
    if commands is None or output is None:
        raise ExecutionError("the reading process has no pipes")
    # Whatever hangs is ended, and then its pipe ends too.
    alarm = threading.Timer(_PATIENCE, process.kill)
    alarm.start()
    try:
        root = output.readline().strip()
        if not root:
            raise ExecutionError(f"{TOOL} did not start the reading process (exit status {process.wait()})")
        writer = Writer(Path(root))
        writer.start()
        try:
            line = _answer(commands, output)
            while line in ("begin\n", "end\n"):
                # The ends of the measured part fall on fresh values, however late the thread may be.
                writer.write()
                line = _answer(commands, output)
        finally:
            writer.stop()
    finally:
        alarm.cancel()
    commands.close()
    if not line:
        raise ExecutionError(f"the reading process failed (exit status {process.wait()}); its message is above")
    return writer, json.loads(line)


def _answer(commands: IO[str], output: IO[str]) -> str:
    with suppress(OSError):
        commands.write("go\n")
        commands.flush()
    return output.readline()


def _row(faked: Faked, writer: Writer, answer: dict[str, Any]) -> Row:
    name = faked.meter.partition("=")[0]
    energy, rate = answer["energy"][name], answer["rates"][name]
    return Row(
        faked.title,
        name,
        energy["rail"],
        energy["scope"],
        writer.joules(FAKED.index(faked), answer["begin"], answer["end"]),
        energy["joules"],
        energy["reason"],
        rate["real"],
        rate["jitter"],
        rate["longest"],
    )


if __name__ == "__main__":
    main()
