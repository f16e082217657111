"""What the user asks for, and what a specialization did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.converters.specialize.heads import Choice
    from edgekit.converters.specialize.selection import Trial, Wanted


@dataclass(frozen=True)
class Options:
    """What the user may set.

    Attributes:
        labels: file of labels, see `edgekit.converters.specialize.labels_file`.
        templates: for labels without prompts of their own; empty takes the bundle's.
        keep_text: keep the text tower, so that other labels can be scored beside the frozen ones.
        examples: path or name of a set of labelled examples; None for none.
        head: which head the examples may give.
        variants: ids of the variants to keep; all when empty.
        name: of the new bundle; None keeps the old one's.
    """

    labels: Path
    templates: tuple[str, ...] = ()
    keep_text: bool = False
    examples: str | None = None
    head: Wanted = "auto"
    variants: tuple[str, ...] = ()
    name: str | None = None


@dataclass(frozen=True)
class Report:
    """What was done.

    Attributes:
        bundle: that was specialized.
        out: the new one.
        size_before: in bytes.
        size: of the new bundle, in bytes.
        labels: the frozen labels.
        variants: ids of those kept.
        text_kept: True when the text tower is still there.
        data: name of the examples; empty without.
        examples: number of examples used.
        trials: what each head got right, zero-shot first; empty without examples.
        choice: the head taken; None where the labels' embeddings alone score.
        notes: what the user should know.
        skipped: examples that could not be decoded, each with the reason.
        seconds: what it took.
    """

    bundle: str
    out: str
    size_before: int
    size: int
    labels: tuple[str, ...]
    variants: tuple[str, ...]
    text_kept: bool
    data: str
    examples: int
    trials: tuple[Trial, ...]
    choice: Choice | None
    notes: tuple[str, ...]
    skipped: tuple[str, ...]
    seconds: float
