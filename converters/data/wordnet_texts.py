"""``wordnet-texts``: WordNet's definitions and examples, as texts alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.converters.data import writing
from edgekit.converters.data.records import DataSource, Package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgekit.converters.data.records import Contents

_FILES = tuple(f"usr/share/wordnet/data.{part}" for part in ("noun", "verb", "adj", "adv"))
_COPYRIGHT = "usr/share/doc/wordnet-base/copyright"
_EXAMPLE = re.compile(r'"([^"]+)"')
_PACKAGE = Package(
    manager="apt",
    name="wordnet-base",
    version="1:3.0-37",
    sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    size=6_467_132,
    wanted=(*_FILES, _COPYRIGHT),
    licenses=(_COPYRIGHT,),
)


def glosses(lines: str) -> Iterator[str]:
    """Yield the definitions and examples of one of WordNet's data files (wndb(5WN)).

    A line is a synset: its fields, ``|``, the definition, and examples in quotation marks. The licence at the top is
    indented.

    Args:
        lines: the file's text.

    Yields:
        Each definition, followed by its examples.
    """
    for line in lines.splitlines():
        fields, bar, gloss = line.partition(" | ")
        if not bar or fields.startswith(" "):
            continue
        examples = _EXAMPLE.findall(gloss)
        yield gloss.partition('"')[0].strip(" ;:")
        yield from examples


def build(packages: Mapping[str, Path], out: Path) -> Contents:
    """Write nouns, verbs, adjectives and adverbs, in this order."""
    root = packages[_PACKAGE.name]
    return writing.texts(out, (text for name in _FILES for text in glosses((root / name).read_text(encoding="utf-8"))))


SOURCE = DataSource(
    name="wordnet-texts",
    description="WordNet's definitions and example sentences, one a line",
    task="texts",
    license="WordNet 3.0, Princeton University, WordNet licence: any use, with its notice on every copy.",
    packages=(_PACKAGE,),
    build=build,
)
