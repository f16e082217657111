"""From a recipe to the plan of a text tower, its tokenizer, and the weights it starts from where there are any."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.converters.distill.students import inherit, onnx_files, openclip, static, transformer, vocabulary
from edgekit.converters.distill.students.checks import check_heads, check_train, must_be, unused
from edgekit.converters.distill.students.plan import TextPlan
from edgekit.converters.distill.students.static_plans import teacher_start, token_counts
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from edgekit.bundle.manifest import Cleaning
    from edgekit.converters.distill.recipe import TextStudent
    from edgekit.converters.distill.students.reference import Reference

_WHERE = "student.text"
_LEAST_ROWS = 100  # the export is checked with ids below it


@dataclass(frozen=True)
class Tokens:
    """How texts become ids.

    Attributes:
        json: of the `tokenizers` library.
        context_length: L.
        pad_id: id of the padding token.
        cleaning: what is done to a text before.
    """

    json: str
    context_length: int
    pad_id: int
    cleaning: Cleaning


@dataclass(frozen=True)
class Planned:
    """A text tower.

    Attributes:
        plan: what to build.
        tokenizer_json: of the student.
        start: the weights to start from; None starts from random ones.
    """

    plan: TextPlan
    tokenizer_json: str
    start: dict[str, Tensor] | None = None


def plan_text(
    spec: TextStudent,
    reference: Reference,
    dimension: int,
    folder: Path,
    texts: Callable[[], Sequence[str]],
) -> Planned:
    """Decide everything about a text tower.

    Args:
        spec: what the recipe says.
        reference: the first teacher.
        dimension: D.
        folder: the student's; a graph that the tower is rebuilt from goes there.
        texts: gives the training texts, to choose a vocabulary or what is inherited by.

    Returns:
        The plan, the tokenizer and the weights.

    Raises:
        InputError: an unknown architecture, or a setting that does not fit it; the message names the field.
    """
    kind, _, name = spec.arch.partition(":")
    functions: dict[str, Callable[[], Planned]] = {
        "static": lambda: _static(spec, reference, dimension, texts),
        "transformer": lambda: _transformer(spec, reference, dimension, texts),
        "open_clip": lambda: _open_clip(spec, name, dimension),
        "inherit": lambda: _inherit(spec, reference, dimension, texts),
        "teacher": lambda: _teacher(spec, reference, dimension, folder),
    }
    if kind not in functions or bool(name) != (kind == "open_clip"):
        raise InputError(
            f"{_WHERE}.arch: {spec.arch!r} is none of static, transformer, open_clip:NAME, inherit, teacher"
        )
    found = functions[kind]()
    check_train(_WHERE, spec.train, spec.rank, found.start is not None or found.plan.kind == "onnx")
    return found


def shortened(tokenizer_json: str, length: int) -> str:
    """Make a tokenizer cut and pad texts to another length.

    Args:
        tokenizer_json: of the `tokenizers` library, with truncation and padding.
        length: tokens, special ones included.

    Returns:
        The changed JSON.
    """
    parsed = json.loads(tokenizer_json)
    parsed["truncation"] = {**parsed["truncation"], "max_length": length}
    parsed["padding"] = {**parsed["padding"], "strategy": {"Fixed": length}}
    return json.dumps(parsed, ensure_ascii=False)


def _tokens(spec: TextStudent, reference: Reference) -> Tokens:
    """The first teacher's tokenizer, at the student's length."""
    text, written = reference.texts(f"{_WHERE}.arch {spec.arch}")
    if spec.context_length > text.context_length:
        raise InputError(
            f"{_WHERE}.context_length: {spec.context_length} is longer than the teacher's, {text.context_length}; a "
            "longer text has no teacher"
        )
    if spec.context_length and spec.context_length != text.context_length:
        return Tokens(shortened(written, spec.context_length), spec.context_length, text.pad_id, text.cleaning)
    return Tokens(written, text.context_length, text.pad_id, text.cleaning)


def _chosen(spec: TextStudent, tokens: Tokens, texts: Callable[[], Sequence[str]]) -> tuple[Tokens, tuple[int, ...]]:
    """The tokenizer with the vocabulary that the recipe asks for, and the old ids of the tokens left."""
    if not spec.vocabulary:
        return tokens, ()
    smaller = vocabulary.reduce(tokens.json, tokens.pad_id, texts(), spec.vocabulary, cleaning=tokens.cleaning)
    return replace(tokens, json=smaller.tokenizer_json, pad_id=smaller.pad_id), smaller.kept


def _rows(tokens: Tokens) -> int:
    """One more than the largest id, since ids may have gaps."""
    from tokenizers import Tokenizer

    largest = max(Tokenizer.from_str(tokens.json).get_vocab(with_added_tokens=True).values())
    return max(_LEAST_ROWS, int(largest) + 1)


def _base(kind: str, spec: TextStudent, tokens: Tokens, dimension: int) -> TextPlan:
    return TextPlan(
        kind=kind,
        name=spec.arch,
        dimension=dimension,
        context_length=tokens.context_length,
        pad_id=tokens.pad_id,
        cleaning=tokens.cleaning,
        vocabulary=_rows(tokens),
        width=0,
        layers=0,
        heads=0,
        factor=0,
        full_length=False,
        config="",
        cut=None,
        train=spec.train,
        rank=spec.rank,
    )


def _static(spec: TextStudent, reference: Reference, dimension: int, texts: Callable[[], Sequence[str]]) -> Planned:
    unused(_WHERE, spec.arch, {"weights": spec.weights})
    tokens, _ = _chosen(spec, _tokens(spec, reference), texts)
    base = _base("static", spec, tokens, dimension)
    plan = replace(base, width=spec.width or static.WIDTH, layers=spec.layers, heads=spec.heads or static.HEADS)
    if reference.bundle is None:
        # Only the teacher itself can say what single tokens mean to it: without it, the vectors start at random.
        return Planned(plan, tokens.json)
    counts = token_counts(tokens.json, tokens.cleaning, texts(), plan.vocabulary)
    return Planned(plan, tokens.json, teacher_start(plan, tokens.json, counts, reference.path(f"{_WHERE}.arch static")))


def _transformer(
    spec: TextStudent, reference: Reference, dimension: int, texts: Callable[[], Sequence[str]]
) -> Planned:
    unused(_WHERE, spec.arch, {"weights": spec.weights})
    width = spec.width or transformer.WIDTH
    heads = spec.heads or max(1, width // transformer.HEAD_DIM)
    check_heads(_WHERE, width, heads)
    tokens, _ = _chosen(spec, _tokens(spec, reference), texts)
    base = _base("transformer", spec, tokens, dimension)
    plan = replace(
        base,
        width=width,
        layers=spec.layers or transformer.LAYERS,
        heads=heads,
        factor=transformer.default_factor(base.vocabulary, width),
    )
    return Planned(plan, tokens.json)


def _open_clip(spec: TextStudent, name: str, dimension: int) -> Planned:
    unused(_WHERE, spec.arch, _sizes(spec) | {"vocabulary": spec.vocabulary})
    request = openclip.request_of(f"{name}:{spec.weights}" if spec.weights else name)
    pipeline = openclip.tokenizer_of(request)
    tokens = Tokens(pipeline.tokenizer_json, pipeline.context_length, pipeline.pad_id, pipeline.cleaning)
    if request.is_random:
        length = spec.context_length or tokens.context_length
        tokens = replace(tokens, json=shortened(tokens.json, length), context_length=length)
        config = openclip.text_config(request, dimension, length)
        start = None
    else:
        must_be(f"{_WHERE}.context_length", spec.context_length, tokens.context_length)
        config = openclip.text_config(request, 0, 0)
        must_be("student.dimension", dimension, int(json.loads(config)["embed_dim"]))
        start = openclip.text_of(openclip.whole_model(request)).state_dict()
    plan = replace(_base("open_clip", spec, tokens, dimension), config=config)
    return _padded(Planned(plan, tokens.json, start))


def _inherit(spec: TextStudent, reference: Reference, dimension: int, texts: Callable[[], Sequence[str]]) -> Planned:
    unused(_WHERE, spec.arch, {"weights": spec.weights})
    request = openclip.request_of(inherit.source_of(reference, _WHERE))
    config = openclip.text_config(request, 0, 0)
    must_be("student.dimension", dimension, int(json.loads(config)["embed_dim"]))
    tower = openclip.text_of(openclip.whole_model(request))
    own = _tokens(spec, reference)
    if tower.full_length:
        must_be(f"{_WHERE}.context_length", own.context_length, int(json.loads(config)["text_cfg"]["context_length"]))
    tokens, kept = _chosen(spec, own, texts)
    if kept:
        config = openclip.renumbered(config, kept)
    sizes = inherit.sizes_of(tower, _WHERE, spec.width, spec.layers, spec.heads)
    # Ranked with the teacher's own ids, before its table is cut.
    inherit.cut(
        tower, inherit.rank(tower, sizes, spec.importance, lambda: inherit.id_batches(own.json, own.cleaning, texts()))
    )
    if kept:
        inherit.cut_table(tower, kept)
        sizes = replace(sizes, vocabulary=len(kept))
    plan = replace(_base("open_clip", spec, tokens, dimension), config=config, cut=sizes)
    return _padded(Planned(plan, tokens.json, tower.state_dict()))


def _teacher(spec: TextStudent, reference: Reference, dimension: int, folder: Path) -> Planned:
    unused(_WHERE, spec.arch, _sizes(spec) | {"vocabulary": spec.vocabulary, "weights": spec.weights})
    field = f"{_WHERE}.arch teacher"
    manifest = reference.needed(field).manifest
    must_be("student.dimension", dimension, manifest.embedding.dimension)
    tokens = _tokens(spec, reference)
    if openclip.has_own_text(reference.open_clip()):
        request = openclip.request_of(reference.open_clip())
        start = openclip.text_of(openclip.whole_model(request)).state_dict()
        config = openclip.text_config(request, 0, 0)
        plan = replace(_base("open_clip", spec, tokens, dimension), config=config)
        return _padded(Planned(plan, tokens.json, start))
    onnx_files.take(reference, "text", field, folder)
    base = _base("onnx", spec, tokens, dimension)
    # Where padding takes part in the embedding, or the graph has one length, every text is padded to it.
    text = reference.needed(field).text
    if not text.trim_padding or isinstance(reference.text_tower(field).input.shape[1], int):
        must_be(f"{_WHERE}.context_length", spec.context_length, text.context_length)
        base = replace(base, full_length=True)
    return Planned(base, tokens.json)


def _padded(planned: Planned) -> Planned:
    """Pad texts to the whole length where padding takes part in the tower's result."""
    if not openclip.text_module(planned.plan.config).full_length:
        return planned
    start = planned.start
    if start is not None:
        start = {f"base.{name}": value for name, value in start.items()}
    return replace(planned, plan=replace(planned.plan, full_length=True), start=start)


def _sizes(spec: TextStudent) -> dict[str, int | str]:
    return {"width": spec.width, "layers": spec.layers, "heads": spec.heads}
