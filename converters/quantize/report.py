"""What a search found, for a person and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import pareto
from edgekit.converters.quantize import candidates
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from edgekit.converters.quantize.candidates import Candidate, Seen
    from edgekit.converters.quantize.search import Outcome
    from edgekit.converters.quantize.sensitivity import Measured, Scale
    from edgekit.ratios import Ratio

_DIRECTIONS = ("photo→text", "text→photo")
_LEGEND = (
    "time: share of float's on this device, 95 % interval; cos: mean centred cosine; arrows: top-1 agreement, queries "
    "whose best match is float's; task: in brackets the change in points"
)


@dataclass(frozen=True)
class Report:
    """What `edgekit quantize` did.

    Attributes:
        bundle: that was quantized.
        out: the bundle that was written.
        folder: of the search: its journal, and these figures.
        delivered: a candidate passed and is in `out`; otherwise `out` holds float.
        variant: id of the variant that was delivered or kept.
        winner: name of the candidate that was delivered; empty where float was kept.
        reason: why float was kept; empty where a candidate was delivered.
        litert: why there is no LiteRT variant though one was asked for; empty otherwise.
        interrupted: the user stopped the search; the best until then was delivered.
        looks: how often the held-out data was looked at.
        notes: what the user has to know about the data.
        data: name of the set.
        data_digest: of the set.
        scale: speed and size of the float towers.
        candidates: every whole candidate, float first.
        measured: every kind and group under every method that was measured.
        seconds: wall time of this run.
        peak: largest memory of the main process, in bytes.
        worker_peak: largest memory of a worker, in bytes.
        bytes_written: size of `out`.
    """

    bundle: str
    out: str
    folder: str
    delivered: bool
    variant: str
    winner: str
    reason: str
    litert: str
    interrupted: bool
    looks: int
    notes: tuple[str, ...]
    data: str
    data_digest: str
    scale: Scale
    candidates: tuple[Candidate, ...]
    measured: tuple[Measured, ...]
    seconds: float
    peak: int
    worker_peak: int
    bytes_written: int


def best_trades(outcome: Outcome) -> tuple[Candidate, ...]:
    """Return float, the candidates that none beats in time, size and fidelity, and the winner; fastest last."""
    ran = [one for one in outcome.candidates if one.on_search.fidelity is not None]
    kept = {ran[i].name for i in pareto.front([_point(one, outcome.scale) for one in ran])}
    if outcome.winner is not None:
        kept.add(outcome.winner.name)
    kept.update(one.name for one in ran if is_float(one))
    found = [one for one in ran if one.name in kept]
    return tuple(
        sorted(found, key=lambda one: (not is_float(one), -candidates.cost(one, outcome.scale, "latency"), one.name))
    )


def is_float(candidate: Candidate) -> bool:
    """Say whether nothing is changed."""
    return not (candidate.decision.image.methods or candidate.decision.text.methods)


def rows(trades: tuple[Candidate, ...], winner: str) -> list[tuple[str, ...]]:
    """Return the head and a row for each candidate, as text cells."""
    head = (
        "candidate",
        "image MB",
        "text MB",
        "image time",
        "text time",
        "image cos",
        "text cos",
        *_DIRECTIONS,
        "task",
    )
    found: list[tuple[str, ...]] = [head]
    for one in trades:
        seen = one.on_held_out or one.on_search
        if seen.fidelity is None:
            continue
        ways = (seen.fidelity.image_to_text.top1, seen.fidelity.text_to_image.top1)
        mark = " *" if one.name == winner else ""
        where = "" if one.on_held_out else " °"
        found.append(
            (
                one.name + mark,
                *(f"{one.size[tower] / 1e6:.3g}" for tower in TOWERS),
                *(_ratio(one.ratio[tower]) for tower in TOWERS),
                f"{seen.fidelity.image.centred_mean:.4f}",
                f"{seen.fidelity.text.centred_mean:.4f}",
                *(f"{share.value:.1%} ± {share.error:.1%}{where}" for share in ways),
                _metric(seen),
            )
        )
    return found


def table(report: Report, trades: tuple[Candidate, ...]) -> str:
    """Return the report as text for a terminal."""
    cells = rows(trades, report.winner)
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines += ["", *legend(report.winner, report.looks), *(f"note: {note}" for note in report.notes)]
    if report.interrupted:
        lines.append("interrupted: this is the best that had passed until then")
    if report.delivered:
        lines.append(f"{report.out}  {report.bytes_written / 1e6:.1f} MB  variant {report.variant}")
    else:
        lines.append(f"float was kept: {report.reason}")
        lines.append(f"{report.out}  {report.bytes_written / 1e6:.1f} MB  variant {report.variant}")
    if report.litert:
        lines.append(f"no LiteRT variant: {report.litert}")
    memory = max(report.peak, report.worker_peak) / 1e6
    lines.append(f"{report.seconds:.0f} s, at most {memory:.0f} MB in one process; every figure is in {report.folder}")
    return "\n".join(lines)


def legend(winner: str, looks: int) -> list[str]:
    """Return what the marks in the table mean."""
    delivered = ["* delivered"] if winner else []
    times = f"held-out data looked at {looks} time{'' if looks == 1 else 's'}"
    return ["; ".join([*delivered, "° on the data the search chooses by", times]), _LEGEND]


def markdown(trades: tuple[Candidate, ...], winner: str) -> list[str]:
    """Return the table as lines of Markdown."""
    head, *body = rows(trades, winner)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    # An asterisk would begin an emphasis.
    return lines + [f"| {' | '.join(row)} |".replace(" * |", " \\* |") for row in body]


def _point(one: Candidate, scale: Scale) -> tuple[float, ...]:
    found = one.on_search.fidelity
    agreed = min(found.image_to_text.top1.value, found.text_to_image.top1.value) if found else 0.0
    # Rounded: hundreds of candidates that differ by the noise of a timing are no trades.
    return round(candidates.cost(one, scale, "latency"), 2), round(sum(one.size.values()) / scale.size, 2), -agreed


def _ratio(found: Ratio | None) -> str:
    return str(found) if found else "–"


def _metric(seen: Seen) -> str:
    found = seen.metric
    if found is None:
        return "–"
    return f"{found.name} {found.value.value:.1%} ({0 - found.drop:+.2f} ± {found.error:.2f})"
