"""Each variant embeds the prompts and the examples, in a process of its own and after its golden check."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.choices import list_choices
from edgekit.errors import ConversionError, EdgekitError, InputError, RuntimeUnavailableError
from edgekit.evaluation.child import embed_apart
from edgekit.evaluation.job import Job
from edgekit.evaluation.records import Dataset
from edgekit.runtimes.protocol import SessionSettings
from edgekit.text import fill_templates
from edgekit.text_embedder import unit_means

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.specialize.labels_file import Vocabulary
    from edgekit.evaluation.job import Embedded
    from edgekit.evaluation.records import Item


@dataclass(frozen=True)
class Made:
    """What one variant made of the labels and the examples.

    Attributes:
        variant: the variant.
        vectors: (K, D) float32, unit rows: the labels.
        rows: (n, D) float32, unit rows: the examples that could be decoded.
        kept: (n,) their places among the examples.
        skipped: the others, each with the reason.
    """

    variant: VariantRecord
    vectors: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    kept: tuple[int, ...]
    skipped: tuple[str, ...]


def embed_all(
    bundle: Bundle,
    variants: Sequence[VariantRecord],
    prompts: Sequence[Sequence[str]],
    items: tuple[Item, ...],
    on_stage: Callable[[str], None],
) -> tuple[Made, ...]:
    """Embed labels and examples with every variant.

    Args:
        bundle: opened from a file or folder, with a text tower.
        variants: in order; the first one settles which examples can be decoded.
        prompts: of each label, at least one.
        items: the examples; none when empty.
        on_stage: called with what is done next.

    Returns:
        One record for each variant.

    Raises:
        BundleError: a file of the bundle is damaged.
        InputError: no runtime here opens a variant.
        ConversionError: a variant gives wrong numbers here, or its engine fails.
    """
    texts = tuple(dict.fromkeys(prompt for own in prompts for prompt in own))
    dataset = Dataset("labels and examples", "", "retrieval", items, texts, ((),) * len(items))
    job = Job(dataset, (), SessionSettings(), "fast", strict=False)
    made: list[Made] = []
    for variant in variants:
        on_stage(f"{variant.id}: {len(texts)} prompts" + (f", {len(items)} examples" if items else ""))
        found = _embed(bundle, variant, job)
        kept = found.images.kept
        if items and not kept:
            raise found.images.broken[0]
        skipped = tuple(str(error) for error in found.images.broken)
        if made:
            kept, skipped = made[0].kept, made[0].skipped
        else:
            left = tuple(items[place] for place in kept)
            job = replace(job, dataset=replace(dataset, items=left, targets=((),) * len(left)), strict=True)
        made.append(Made(variant, _labels(prompts, texts, found.texts), found.images.rows, kept, skipped))
    return tuple(made)


def prompts_of(vocabulary: Vocabulary, templates: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return each label's prompts: its own, or its name in every template; a `TextError` for a malformed template."""
    return tuple(
        vocabulary.prompts[name] if name in vocabulary.prompts else tuple(fill_templates(name, templates))
        for name in vocabulary.names
    )


def _embed(bundle: Bundle, variant: VariantRecord, job: Job) -> Embedded:
    """Let the first runtime and device that passes do the job."""
    try:
        choices, _ = list_choices(bundle, variant.id, None, "auto")
    except RuntimeUnavailableError as error:
        others = [other.id for other in bundle.manifest.variants if other.id != variant.id]
        leave = f", or keep only others: {' '.join(f'--variant {name}' for name in others)}" if others else ""
        raise InputError(
            f"variant {variant.id} cannot be opened here, so its labels cannot be embedded; install its runtime{leave}"
            f"\n{error}"
        ) from error
    refused = []
    for choice in choices:
        try:
            return embed_apart(Path(bundle.where), choice, job, None)
        except InputError:
            # A damaged bundle or photo: no other runtime would do better.
            raise
        except EdgekitError as error:
            refused.append(str(choice.candidate(str(error))))
    raise ConversionError(f"{bundle.where}: variant {variant.id} works on no runtime here:\n" + "\n".join(refused))


def _labels(
    prompts: Sequence[Sequence[str]], texts: tuple[str, ...], rows: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return each label's embedding as `edgekit.clip.Clip.embed_labels` has it."""
    numbers = {text: number for number, text in enumerate(texts)}
    found = []
    for own in prompts:
        part = rows[[numbers[prompt] for prompt in own]]
        found.append(part[0] if len(own) == 1 else unit_means(part[None])[0])
    return np.stack(found).astype(np.float32)
