"""A file of labels: one a line, each with prompts of its own where the templates would not do."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.bundle.label_rules import name_problem
from edgekit.errors import TextError
from edgekit.evaluation.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

_SLOT = "{}"


@dataclass(frozen=True)
class Vocabulary:
    """Labels in the file's order.

    Attributes:
        names: distinct.
        prompts: of each label that has its own, complete texts.
    """

    names: tuple[str, ...]
    prompts: dict[str, tuple[str, ...]]


def read_labels(path: Path) -> Vocabulary:
    """Read a file of labels.

    A line is a label, or a label, a tab, and prompts between semicolons: complete texts that are embedded as they are
    and averaged. White space around labels and prompts, and blank lines, mean nothing.

    Args:
        path: UTF-8, with or without a byte-order mark; lines end as on Unix, Windows or an old Mac.

    Returns:
        At least one label.

    Raises:
        InputError: the file cannot be read or is not UTF-8.
        TextError: a line is malformed, a label stands in it twice, or there is none; the message names file and line.
    """
    seen: dict[str, int] = {}
    names: list[str] = []
    prompts: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        label, own = _parsed(line, where)
        # The same letters may be written in two ways that look alike.
        first = seen.setdefault(normal(label), number)
        if first != number:
            raise TextError(f"{where}: the label {label!r} stands on line {first} already; remove one")
        names.append(label)
        if own:
            prompts[label] = own
    if not names:
        raise TextError(f"{path}: holds no label; write one on each line")
    return Vocabulary(tuple(names), prompts)


def normal(label: str) -> str:
    """Return a label in Unicode's composed form (NFC), in which labels are compared."""
    return unicodedata.normalize("NFC", label)


def _parsed(line: str, where: str) -> tuple[str, tuple[str, ...]]:
    name, tab, rest = line.partition("\t")
    label = name.strip()
    if tab and not label:
        raise TextError(f"{where}: begins with a tab; write the label before it")
    if problem := name_problem(label):
        raise TextError(f"{where}: the label {problem}")
    if not tab or not rest.strip():
        return label, ()
    own = tuple(part.strip() for part in rest.split(";"))
    for prompt in own:
        if problem := name_problem(prompt):
            raise TextError(f"{where}: a prompt of {label!r} {problem}; write LABEL<tab>PROMPT;PROMPT")
        if _SLOT in prompt:
            raise TextError(
                f"{where}: the prompt {prompt!r} holds {_SLOT}; write it out, or give --template {prompt!r}"
            )
    return label, tuple(dict.fromkeys(own))
