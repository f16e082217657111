"""The plan of a static text tower, and the teacher's vectors that it starts from."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgekit.text.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from torch import Tensor

    from edgekit.bundle.manifest import Cleaning
    from edgekit.converters.distill.students.plan import TextPlan

_BATCH = 4096


def token_counts(tokenizer_json: str, cleaning: Cleaning, texts: Sequence[str], rows: int) -> npt.NDArray[np.int64]:
    """Count how often texts use each token.

    Args:
        tokenizer_json: of the `tokenizers` library.
        cleaning: what is done to a text before.
        texts: any number.
        rows: one more than the largest id.

    Returns:
        int64 (rows,).
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    found: Counter[int] = Counter()
    for start in range(0, len(texts), _BATCH):
        for encoding in tokenizer.encode_batch([clean(text, cleaning) for text in texts[start : start + _BATCH]]):
            found.update(encoding.ids)
    return np.array([found[i] for i in range(rows)], np.int64)


def teacher_start(
    plan: TextPlan, tokenizer_json: str, counts: npt.NDArray[np.int64], teacher: Path
) -> dict[str, Tensor]:
    """Return the weights of a static tower that sums up the teacher's embeddings of single tokens.

    Args:
        plan: of the tower.
        tokenizer_json: the student's.
        counts: int64 (vocabulary,), how often the training texts use each token.
        teacher: bundle.

    Returns:
        Weights by name.
    """
    import edgekit
    from edgekit.converters.distill.students import static
    from edgekit.converters.distill.students.text_kinds import build_static

    with edgekit.load(teacher) as model:
        rows = static.token_rows(model.embed_texts, tokenizer_json, plan.vocabulary, lambda done, of: None)
    module = build_static(plan)
    static.initialize(module, rows, counts)
    return dict(module.state_dict())
