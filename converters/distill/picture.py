"""The picture of a training: the losses, and the score on what it did not learn from, beside the teacher's."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes
from edgekit.converters.distill import work
from edgekit.converters.distill.training.metrics_log import read_metrics
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.converters.distill.training.records import Evaluation, Outcome

_TOTAL = "total"
_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#8172b3", "#937860", "#da8bc3")
_INSTALL = 'pip install "edgekit[distill]"'


def require() -> None:
    """Say at once, and not after the training, that pictures cannot be drawn.

    Raises:
        MissingDependencyError: matplotlib is absent.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"matplotlib, which draws the curves, is not installed: {_INSTALL}") from error


def write(folder: Path, outcome: Outcome) -> None:
    """Draw the curves of a work folder's training into ``curves.png`` there."""
    write_bytes(folder / work.PICTURE, draw(read_losses(folder / work.METRICS), outcome))


def read_losses(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file that hold losses, in order; none where there is no file."""
    return [line for line in read_metrics(path) if "losses" in line]


def draw(lines: list[dict[str, Any]], outcome: Outcome) -> bytes:
    """Draw the curves of a training.

    Args:
        lines: each with ``step`` and ``losses``, by name.
        outcome: has the evaluations, and the teacher's figures.

    Returns:
        A PNG: the losses by step on the left, and on the right the first figure with its standard error, beside the
        teacher's; only the losses where nothing was judged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    judged = [one for one in outcome.evaluations if one.figures]
    figure = Figure(figsize=(9.5 if judged else 5.5, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if judged else 1, squeeze=False)[0]
    _losses(axes[0], lines)
    if judged:
        _scores(axes[1], judged, outcome)
    for axis in axes:
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        axis.set_xlim(0, max(outcome.steps, 1))
        axis.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    # Without a fixed text the file would differ with every release of matplotlib.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _losses(axis: Any, lines: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for line in lines for name in line["losses"]))
    parts = [name for name in names if name != _TOTAL]
    # A single loss is the total but for its weight.
    for i, name in enumerate(parts):
        _line(axis, lines, name, _COLOURS[i % len(_COLOURS)], 1.2)
    if len(parts) > 1 and _TOTAL in names:
        _line(axis, lines, _TOTAL, "black", 1.6)
    values = [value for line in lines for value in line["losses"].values()]
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axis.set_yscale("log")
    elif values:
        axis.set_ylim(bottom=min(0.0, *values))
    axis.set_ylabel("loss")
    if values:
        axis.legend(fontsize=8, frameon=False)


def _line(axis: Any, lines: list[dict[str, Any]], name: str, colour: str, width: float) -> None:
    points = [(line["step"], line["losses"][name]) for line in lines if name in line["losses"]]
    axis.plot(*zip(*points, strict=True), color=colour, linewidth=width, label=name)


def _scores(axis: Any, judged: list[Evaluation], outcome: Outcome) -> None:
    name = judged[0].figures[0].name
    shown = [(one.step, one.figures[0].value, one.figures[0].error) for one in judged]
    steps, values, errors = zip(*shown, strict=True)
    axis.errorbar(steps, values, yerr=errors, color=_COLOURS[0], marker="o", markersize=4, capsize=3, label="student")
    rounded = [one.step for one in judged if one.rounded]
    if rounded:
        axis.axvspan(rounded[0], max(outcome.steps, rounded[0]), color="0.92", zorder=0, label="rounded to int8")
    teacher = next((one for one in outcome.teacher if one.name == name), None)
    if teacher is not None:
        axis.axhline(teacher.value, color="black", linewidth=1, linestyle="--", label="teacher")
        low, high = teacher.value - teacher.error, teacher.value + teacher.error
        axis.axhspan(low, high, color="black", alpha=0.07, linewidth=0)
    delivered = [(step, value) for step, value, _ in shown if step == outcome.delivered_step]
    if delivered:
        axis.scatter(*delivered[-1], s=150, marker="*", color="#2ca02c", zorder=4, clip_on=False, label="delivered")
    axis.set_ylabel(f"{name}, held out")
    axis.legend(fontsize=8, frameon=False, loc="best")
