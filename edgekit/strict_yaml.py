"""Strict YAML: plain mappings, lists and scalars, each with its line; what other readers take differently is refused.

Scalars follow YAML 1.2: ``1e-3`` is a number, ``true`` and ``false`` are the only booleans. What YAML 1.1 reads
differently without a word (``no``, ``012``, ``1_000``, ``1:30``) is refused with what to write instead.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 1 << 20
_DEEPEST = 20
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NULLS = ("null", "Null", "NULL", "~")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Booleans, octal, grouped and sexagesimal numbers in YAML 1.1, texts in 1.2.
_AMBIGUOUS = re.compile(
    r"(?i:yes|no|on|off|y|n)|[-+]?0[0-9_]+|0[xob][0-9a-fA-F_]+|[-+]?[0-9]+(_[0-9_]*|(:[0-5]?[0-9])+)"
)


@dataclass(frozen=True)
class Document:
    """A file's content.

    Attributes:
        value: dictionaries, lists, texts, numbers, booleans and None.
        lines: line of each value, from 1, by its path, such as ``data.images[0]``.
    """

    value: Any
    lines: dict[str, int]


@dataclass(frozen=True)
class Kind:
    """What a document is, for messages.

    Attributes:
        name: of one, such as ``recipe``.
        plural: of several.
        extra: of edgekit that installs PyYAML for it.
        start: a sentence that says how to get a first one.
    """

    name: str
    plural: str
    extra: str
    start: str


def load(path: Path, kind: Kind) -> Document:
    """Read one YAML document.

    Args:
        path: the file, UTF-8.
        kind: what it is.

    Returns:
        Its content.

    Raises:
        InputError: the file cannot be read, is no YAML, names a key twice, or uses an anchor, an alias, a tag or a
            scalar that readers of YAML disagree about.
        MissingDependencyError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError(
            f"PyYAML, which reads {kind.plural}, is not installed: pip install 'edgekit[{kind.extra}]'"
        ) from error

    text = _text(path, kind)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _plain(event, path, kind)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise InputError(f"{path}: line {event.start_mark.line + 1}: is nested too deeply")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {_short(error)}") from error
    if node is None:
        raise InputError(f"{path}: is empty; {kind.start}")
    reader = _Reader(path, kind, {})
    return Document(reader.value(node, ""), reader.lines)


class _Reader:
    """Turns PyYAML's nodes into plain values."""

    def __init__(self, path: Path, kind: Kind, lines: dict[str, int]) -> None:
        self._path, self._kind = path, kind
        self.lines = lines

    def value(self, node: Any, where: str) -> Any:
        self.lines[where] = node.start_mark.line + 1
        if node.id == "mapping":
            return self._mapping(node, where)
        if node.id == "sequence":
            return [self.value(item, f"{where}[{i}]") for i, item in enumerate(node.value)]
        return self._scalar(node, where)

    def _mapping(self, node: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                raise InputError(f"{self._path}: line {line}: a field's name must be a text, not a list or a mapping")
            name = key.value
            inner = f"{where}.{name}" if where else name
            if name in found:
                raise InputError(
                    f"{self._path}: {inner}: is given twice, in lines {self.lines[inner]} and {line}; remove one"
                )
            found[name] = self.value(item, inner)
            # For messages about the field itself, as one that is unknown.
            self.lines[inner] = line
        return found

    def _scalar(self, node: Any, where: str) -> Any:
        text = node.value
        if node.style is not None:
            return _joined(text)
        if text in _NULLS:
            return None
        if text == "":
            raise InputError(self._at(where, "has no value; give one, or leave the line out"))
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _AMBIGUOUS.fullmatch(text):
            raise InputError(
                self._at(where, f"readers of YAML disagree about {text}; put a text in quotes, write a number plainly")
            )
        if _INTEGER.fullmatch(text):
            return self._integer(text, where)
        if _NUMBER.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                raise InputError(self._at(where, f"{text} is too large a number"))
            return number
        return text

    def _integer(self, text: str, where: str) -> int:
        if len(text) > 18:
            raise InputError(self._at(where, f"{text[:20]}… is too large a number"))
        return int(text)

    def _at(self, where: str, problem: str) -> str:
        return f"{self._path}: {where or f'the {self._kind.name}'}: {problem} (line {self.lines[where]})"


def _joined(text: str) -> str:
    """Join surrogate pairs, as JSON escapes characters beyond the basic plane; PyYAML leaves them apart."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _plain(event: Any, path: Path, kind: Kind) -> None:
    line = event.start_mark.line + 1
    if event.__class__.__name__ == "AliasEvent" or getattr(event, "anchor", None):
        raise InputError(
            f"{path}: line {line}: anchors and aliases (& and *) are not used in {kind.plural}; write it out"
        )
    tag = getattr(event, "tag", None)
    if tag is not None and tag != "!":
        raise InputError(f"{path}: line {line}: tags ({tag}) are not used in {kind.plural}; leave it out")


def _text(path: Path, kind: Kind) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path}: is larger than a {kind.name} can be ({_MOST_BYTES} bytes)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from error


def _short(error: Exception) -> str:
    """PyYAML's message in one line: the problem and where it is."""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).split("\n")[0]
    mark = getattr(error, "problem_mark", None)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(problem)
