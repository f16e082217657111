"""What `edgekit distill` did: the report, as typed records."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bundle.manifest import Agreement
from edgekit.converters.distill.data.store_records import Cost
from edgekit.converters.distill.training.records import Outcome


@dataclass(frozen=True)
class Score:
    """A share of the validation images, or a mean over them.

    Attributes:
        name: such as ``recall@1``: images that have a right text among their k best.
        value: in 0..1; a mean cosine in -1..1.
        low: lower end of the interval that covers 95 %.
        high: upper end.
        n: cases.
    """

    name: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class TowerFigures:
    """One tower beside the first teacher's.

    Attributes:
        kept: it is the teacher's own.
        parameters: numbers in the weights of its graph.
        size: of its files, in bytes.
        teacher_parameters: of the teacher's; None where its bundle is not at hand.
        teacher_size: likewise.
        fidelity: agreement of the graph with PyTorch, or with the teacher's graph where it is kept.
    """

    kept: bool
    parameters: int
    size: int
    teacher_parameters: int | None
    teacher_size: int | None
    fidelity: Agreement


@dataclass(frozen=True)
class Report:
    """A distillation.

    Attributes:
        bundle: that was written.
        size: of it, in bytes.
        folder: what stays of the work folder: metrics, picture, trained weights, this report.
        teachers: as the recipe names them.
        teacher_digests: of their bundles.
        recipe: digest of the recipe.
        validation: name of the set; empty where there are no images.
        validation_digest: of the set; empty likewise.
        scores: of the student, through the bundle; through PyTorch where the set has no labels or there is none.
        teacher_scores: of the first teacher, on its stored rows of the same images.
        image: the image tower.
        text: the text tower.
        embedding: what the teachers' embeddings cost, whenever they were computed.
        training: how it went.
        seconds: wall time of this run of the command.
        notes: what the user should know.
    """

    bundle: str
    size: int
    folder: str
    teachers: tuple[str, ...]
    teacher_digests: tuple[str, ...]
    recipe: str
    validation: str
    validation_digest: str
    scores: tuple[Score, ...]
    teacher_scores: tuple[Score, ...]
    image: TowerFigures
    text: TowerFigures
    embedding: Cost
    training: Outcome
    seconds: float
    notes: tuple[str, ...] = ()
