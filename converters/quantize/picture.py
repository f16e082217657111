"""The picture of the trade: fidelity against time and size, both towers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from edgekit.converters.quantize.report import is_float
from edgekit.errors import MissingDependencyError
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from edgekit.converters.quantize.search import Outcome

_LEAST_LOSS = 1e-6
_MOST = 1.5
_INSTALL = 'pip install "edgekit[quantize]"'


def require() -> None:
    """Say at once, and not after the search, that pictures cannot be drawn.

    Raises:
        MissingDependencyError: matplotlib is absent.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"matplotlib, which draws the card's picture, is not installed; {_INSTALL}"
        ) from error


def draw(outcome: Outcome) -> bytes:
    """Draw the candidates of a search.

    Args:
        outcome: of the search.

    Returns:
        A PNG: for each tower, 1 - centred cosine against the time and the size relative to float.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 7.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharey="row")
    for row, tower in enumerate(TOWERS):
        _time(axes[row][0], outcome, tower)
        _size(axes[row][1], outcome, tower)
        axes[row][0].set_ylabel(f"{tower} tower\n1 − centred cosine (up is better)")
        for axis in axes[row]:
            axis.set_yscale("log")
            axis.invert_yaxis() if axis is axes[row][0] else None
            axis.grid(alpha=0.3)
            axis.set_xlim(0, _MOST)
    axes[1][0].set_xlabel("time, share of float (left is better)")
    axes[1][1].set_xlabel("size, share of float (left is better)")
    found = {
        label: mark
        for row in axes
        for axis in row
        for mark, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=len(found), fontsize=8)
    stream = io.BytesIO()
    # Without a fixed text the file would differ with every release of matplotlib.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _time(axis: Any, outcome: Outcome, tower: str) -> None:
    kinds = [one for one in outcome.measured if one.tower == tower and not one.group and one.ratio]
    points = [(one.ratio.median, _lost(one.loss)) for one in kinds if one.ratio and one.ratio.median <= _MOST]
    _points(axis, points, f"one method on one kind of group (slower than {_MOST:g}: not shown)", "o", "0.75", 16)
    found = [(one, one.ratio[tower]) for one in outcome.candidates if one.on_search.fidelity]
    for label, marker, colour, size, wanted in _styles(outcome):
        points = [(r.median, _loss_of(one, tower)) for one, r in found if r and wanted(one)]
        _points(axis, points, label, marker, colour, size)
    axis.axvline(1, color="0.5", linewidth=0.8, linestyle="--")


def _size(axis: Any, outcome: Outcome, tower: str) -> None:
    whole = outcome.scale.tower_size[tower]
    kinds = [one for one in outcome.measured if one.tower == tower and not one.group and not one.failed]
    points = [(1 + one.bytes / whole, _lost(one.loss)) for one in kinds]
    _points(axis, points, "", "o", "0.75", 16)
    found = [one for one in outcome.candidates if one.on_search.fidelity]
    for _, marker, colour, size, wanted in _styles(outcome):
        points = [(one.size[tower] / whole, _loss_of(one, tower)) for one in found if wanted(one)]
        _points(axis, points, "", marker, colour, size)
    axis.axvline(1, color="0.5", linewidth=0.8, linestyle="--")


def _styles(outcome: Outcome) -> list[tuple[str, str, str, int, Any]]:
    name = outcome.winner.name if outcome.winner else ""
    return [
        ("refused", "x", "#c44e52", 36, lambda one: not is_float(one) and not one.passed and one.name != name),
        ("passed", "o", "#4c72b0", 36, lambda one: not is_float(one) and one.passed and one.name != name),
        ("float", "s", "black", 36, is_float),
        ("delivered", "*", "#2ca02c", 170, lambda one: one.name == name),
    ]


def _points(axis: Any, points: list[tuple[float, float]], label: str, marker: str, colour: str, size: int) -> None:
    if points:
        xs, ys = zip(*points, strict=True)
        axis.scatter(xs, ys, s=size, marker=marker, color=colour, label=label or None, zorder=3)


def _loss_of(one: Any, tower: str) -> float:
    return _lost(1 - getattr(one.on_search.fidelity, tower).centred_mean)


def _lost(loss: float) -> float:
    return max(loss, _LEAST_LOSS)
