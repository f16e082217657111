"""What must hold between the manifest's fields about frozen labels, beyond their types."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.bundle.label_records import HeadSpec, LabelFiles, LabelSpec
    from edgekit.bundle.manifest import Manifest

MAX_LABELS = 1 << 20
_SHA256 = re.compile("[0-9a-f]{64}")
# Control characters, and those that end a line. Not all that Python calls unprintable: emoji and several scripts need
# characters without a shape of their own.
_BREAKING = frozenset({"Cc", "Zl", "Zp"})
# The arrays of each kind of head, beside `vectors` and `scores`.
_ARRAYS = {"": (), "ridge": ("weights",), "cache": ("keys", "classes")}


def name_problem(name: str) -> str:
    """Say what is wrong with a label's name or prompt; empty when nothing is."""
    if not name.strip():
        return "is empty"
    if name != name.strip():
        return "begins or ends with white space"
    if any(unicodedata.category(letter) in _BREAKING for letter in name):
        return "holds a control character or a line break"
    return ""


def problems(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a manifest's frozen labels.

    Args:
        manifest: parsed.

    Yields:
        The field, and what is wrong with it.
    """
    labels = manifest.labels
    if labels is None:
        if manifest.text is None:
            yield "text", "is null, and there are no frozen labels instead"
        for i, variant in enumerate(manifest.variants):
            if variant.labels is not None:
                yield f"variants[{i}].labels", "are there, though the manifest names no labels"
        return
    yield from _vocabulary_problems(labels)
    kind = ""
    if labels.head is not None:
        kind = labels.head.kind
        yield from _head_problems(labels.head)
    for i, variant in enumerate(manifest.variants):
        if variant.labels is None:
            yield f"variants[{i}].labels", "are missing, though the manifest names labels"
        elif problem := _files_problem(variant.labels, kind):
            yield f"variants[{i}].labels", problem


def _vocabulary_problems(labels: LabelSpec) -> Iterator[tuple[str, str]]:
    if not 1 <= len(labels.names) <= MAX_LABELS or len(set(labels.names)) != len(labels.names):
        yield "labels.names", f"are not 1 to {MAX_LABELS} distinct labels"
    for i, name in enumerate(labels.names):
        if problem := name_problem(name):
            yield f"labels.names[{i}]", problem
    for i, template in enumerate(labels.templates):
        if template.count("{}") != 1:
            yield f"labels.templates[{i}]", f"{template!r} has not exactly one '{{}}'"
    unknown = sorted(set(labels.prompts) - set(labels.names))
    if unknown or not all(labels.prompts.values()):
        yield "labels.prompts", "are empty, or of a name that is not among the labels"


def _head_problems(head: HeadSpec) -> Iterator[tuple[str, str]]:
    if not head.strength > 0 or head.examples < 1:
        yield "labels.head", "its strength or its number of examples is not positive"
    if (head.kind == "cache") != (head.sharpness > 0) or (head.kind == "ridge") != (head.penalty > 0):
        yield "labels.head", f"the sharpness {head.sharpness} or the penalty {head.penalty} does not fit a {head.kind}"
    if not (0 <= head.zero_shot <= 1 and 0 <= head.tuned <= 1):
        yield "labels.head", "a share of right examples is not in 0..1"
    if not _SHA256.fullmatch(head.digest):
        yield "labels.head.digest", "is no SHA-256"


def _files_problem(files: LabelFiles, kind: str) -> str:
    wanted = {"vectors", "scores", *_ARRAYS[kind]}
    if set(files.paths) != wanted:
        return f"holds {', '.join(files.paths)}; needs {', '.join(sorted(wanted))}"
    return ""
