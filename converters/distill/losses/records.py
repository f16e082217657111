"""What a loss is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pair:
    """Embeddings of the same inputs by the student and by a teacher, gathered over all processes.

    Attributes:
        student: float32 (N, D) unit rows; with a gradient for this process's own part.
        teacher: float32 (N, D_t) unit rows.
        mapped: float32 (N, D_t): `student` itself where D = D_t, else through a linear map that is trained along and
            thrown away; not of unit length.
    """

    student: Tensor
    teacher: Tensor
    mapped: Tensor


@dataclass(frozen=True)
class Inputs:
    """One batch for one teacher. A part that the batch or the recipe does not have is None.

    Attributes:
        image: of the batch's images; None in a batch of texts, and where the image tower is kept.
        text: of the batch's texts; None in a batch of images, and where the text tower is kept.
        images: float32 (N, D) unit rows of the batch's images: the student's, or the teacher's where its tower is kept.
        bank: float32 (K, D) unit rows of the texts that the images can belong to, likewise.
        teacher_images: float32 (N, D_t).
        teacher_bank: float32 (K, D_t).
        labels: int64 (N,), an index into the bank; -1 where there is none.
        scale: the student's factor on cosines, with a gradient; 0-dimensional.
        bias: added to scaled cosines, with a gradient; 0-dimensional.
        teacher_scale: the teacher's factor on cosines.
    """

    image: Pair | None
    text: Pair | None
    images: Tensor | None
    bank: Tensor | None
    teacher_images: Tensor | None
    teacher_bank: Tensor | None
    labels: Tensor | None
    scale: Tensor
    bias: Tensor
    teacher_scale: float


@dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
        compute: to a 0-dimensional tensor; None where the inputs have nothing that it applies to.
        teacher: whether it depends on the teacher; one that does not is counted once, however many teachers there are.
        description: one line.
        source: where the formula comes from.
    """

    compute: Callable[[Inputs], Tensor | None]
    teacher: bool
    description: str
    source: str
