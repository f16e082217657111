"""`specialize`: freeze a vocabulary into a bundle, tuned on examples where they help."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.reader import open_bundle
from edgekit.converters.specialize.embedding import embed_all, prompts_of
from edgekit.converters.specialize.examples import Examples
from edgekit.converters.specialize.examples_set import open_examples
from edgekit.converters.specialize.labels_file import read_labels
from edgekit.converters.specialize.packing import Job, pack
from edgekit.converters.specialize.records import Report
from edgekit.converters.specialize.selection import WANTED, select
from edgekit.errors import InputError, TextError
from edgekit.locations import SUFFIX, resolve
from edgekit.scoring import logits
from edgekit.text import fill_templates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.bundle.manifest import EmbeddingSpec, VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.specialize.embedding import Made
    from edgekit.converters.specialize.examples_set import ExamplesSet
    from edgekit.converters.specialize.records import Options
    from edgekit.converters.specialize.selection import Selection

_FLOAT = frozenset({"fp32", "float32"})


def specialize(bundle: str, out: Path, options: Options, on_stage: Callable[[str], None] = lambda name: None) -> Report:
    """Freeze labels into a bundle.

    Each variant that stays embeds the labels with its own text tower, so that its scores are those of the full bundle.
    Examples choose a head on the first float variant, else the first; every variant's head is fitted to its own
    embeddings of them.

    Args:
        bundle: path of a bundle with a text tower, or the name of a packaged one.
        out: the ``.edge`` file to create or replace; untouched unless everything succeeds.
        options: see `Options`.
        on_stage: called with the name of each stage.

    Returns:
        What was done.

    Raises:
        InputError: the bundle, the labels, the examples, an option or `out` cannot be used.
        ConversionError: a variant gives wrong numbers here.
    """
    start = time.monotonic()
    _check(out, options)
    opened = open_bundle(resolve(bundle))
    templates = options.templates or opened.text.templates
    fill_templates("label", templates)
    vocabulary = read_labels(options.labels)
    if len(vocabulary.names) == 1 and opened.manifest.embedding.scores == "softmax":
        raise TextError(
            f"{options.labels}: holds one label, and a softmax over one is always 1; add what else a photo may show, "
            "such as 'something else' with prompts of its own"
        )
    variants = _variants(opened, options.variants)
    prompts = prompts_of(vocabulary, templates)
    if options.examples:
        on_stage("checking the examples")
    data = open_examples(options.examples, vocabulary.names) if options.examples else None
    # The head is chosen on the variant nearest to the float model.
    ordered = sorted(variants, key=lambda variant: variant.precision not in _FLOAT)
    made = embed_all(opened, ordered, prompts, data.items if data else (), on_stage)
    examples = tuple(_examples(one, data, opened.manifest.embedding) for one in made) if data else ()
    selection: Selection | None = None
    if examples:
        on_stage("choosing a head")
        selection = select(examples[0], options.head)
    places = [ordered.index(variant) for variant in variants]
    job = Job(
        opened,
        options,
        vocabulary,
        templates,
        tuple(made[place] for place in places),
        tuple(examples[place] for place in places) if examples else (),
        data,
        selection,
    )
    on_stage("packing")
    # Before: `out` may be the bundle itself.
    size_before = _size(Path(opened.where))
    pack(job, out)
    return Report(
        bundle=bundle,
        out=str(out),
        size_before=size_before,
        size=out.stat().st_size,
        labels=vocabulary.names,
        variants=tuple(variant.id for variant in variants),
        text_kept=options.keep_text,
        data=data.name if data else "",
        examples=len(examples[0]) if examples else 0,
        trials=selection.trials if selection else (),
        choice=selection.choice if selection else None,
        notes=_notes(data, selection, len(variants), made[0].variant.id),
        skipped=made[0].skipped,
        seconds=round(time.monotonic() - start, 1),
    )


def _check(out: Path, options: Options) -> None:
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: a bundle's name ends in {SUFFIX}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file to write")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    if options.head not in WANTED:
        raise InputError(f"head: {options.head!r} is not one of {', '.join(WANTED)}")
    if options.head not in ("auto", "none") and options.examples is None:
        raise InputError(f"a {options.head} head is fitted to examples; give --examples SET")
    if options.name is not None and not (options.name and options.name.isprintable()):
        raise InputError(f"name: {options.name!r} is empty, or holds a control character")


def _variants(bundle: Bundle, wanted: Sequence[str]) -> tuple[VariantRecord, ...]:
    variants = bundle.manifest.variants
    known = [variant.id for variant in variants]
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        raise InputError(f"{bundle.where}: has no variant {unknown!r}; it has {', '.join(known)}")
    return tuple(variant for variant in variants if not wanted or variant.id in wanted)


def _examples(made: Made, data: ExamplesSet, spec: EmbeddingSpec) -> Examples:
    classes = np.array([data.classes[place] for place in made.kept], np.int64)
    return Examples(made.rows.astype(np.float64), classes, logits(made.rows, made.vectors, spec))


def _notes(data: ExamplesSet | None, selection: Selection | None, variants: int, reference: str) -> tuple[str, ...]:
    if data is None or selection is None:
        return ()
    notes = list(data.notes)
    tried = [trial for trial in selection.trials if trial.against is not None]
    if tried and selection.choice is None:
        notes.append("no head was right on more examples than the labels' embeddings alone, so nothing was tuned")
    if variants > 1 and selection.choice is not None:
        notes.append(f"the head was chosen on {reference}; the others' is fitted to their own embeddings")
    return tuple(notes)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
