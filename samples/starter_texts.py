"""Write the texts that the starter's text tower learns from: WordNet's nouns, alone or in phrases, and its glosses.

``python samples/starter_texts.py TEXTS`` needs timm (for the nouns, whose files it carries) and the fetched sets
``wordnet-texts`` and ``emoji-names``. The same packages give the same texts on every machine. No caption of a set that
anything is measured on is among them.
"""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.converters.sources import starter_parts
from edgekit.errors import EdgekitError, MissingDependencyError
from edgekit.evaluation.datasets import locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COUNT = 110_000
"""Texts written. The teacher takes some milliseconds for each."""

_NAMES = "imagenet_synset_to_lemma.txt"
_SETS = ("emoji-names", "wordnet-texts")
_OFTEN = 10
_WORD = re.compile("[a-z]+")
_LONGEST = 11  # words of a gloss; labels and captions are short, and the teacher's time grows with the length
_KINDS = (
    "red,orange,yellow,green,blue,purple,pink,brown,black,white,grey,golden,silver,dark,bright,pale,colorful,"
    "small,tiny,big,large,huge,long,short,tall,round,flat,old,new,young,ancient,modern,wooden,metal,plastic,"
    "glass,stone,paper,leather,wet,dry,dirty,clean,broken,shiny,empty,full,open,closed,wild,tame,sleeping,"
    "running,flying,swimming,hungry,happy,sad,angry,cute,beautiful,ugly,fresh,ripe,cooked,raw,sliced,frozen,hot,"
    "cold,soft,fluffy,striped,spotted,toy,antique,single"
)
_PLACES = (
    "in the grass,on a table,in the water,in the snow,on a white background,in a tree,on the street,in the sky,"
    "at night,in a field,on the beach,in the forest,on a rock,in a kitchen,in the garden,at the zoo,"
    "in the desert,on a branch,from above,from the side,in the rain,by the river,on the road,in a box,on a plate,"
    "in the mountains,in the city,near a house"
)
_VIEWS = (
    "the head of a {},the face of a {},a close-up of a {},part of a {},the back of a {},a group of {}s,two {}s,"
    "three {}s,a pair of {}s,many {}s,a drawing of a {},a baby {},a piece of {},a bowl of {},some {},"
    "a picture of a {},the {},a photo of the {},a statue of a {},a painting of a {}"
)
_BETWEEN = ("on", "with", "under", "in", "near", "next to")


def phrases(names: Sequence[str], draw: random.Random) -> Iterator[str]:
    """Yield each name once, alone or in a phrase such as a label or a caption is.

    Args:
        names: nouns, at least one.
        draw: where chance comes from.

    Yields:
        A text for each name.
    """
    for name in names:
        other, kind, place = draw.choice(names), draw.choice(_KINDS.split(",")), draw.choice(_PLACES.split(","))
        choices = (
            (40, name),
            (20, f"a photo of {_a(name)}"),
            (15, f"{_capital(_a(name))}."),
            (15, _a(f"{kind} {name}")),
            (10, f"{_a(name)} {place}"),
            (8, f"{_capital(_a(f'{kind} {name}'))} {place}."),
            (15, draw.choice(_VIEWS.split(",")).format(name)),
            (8, f"{_a(name)} and {_a(other)}"),
            (5, f"{name}, {other}"),
            (4, f"{_a(name)} {draw.choice(_BETWEEN)} {_a(other)}"),
        )
        yield draw.choices([text for _, text in choices], [weight for weight, _ in choices])[0]


def common(names: Sequence[str], glosses: Sequence[str]) -> list[str]:
    """Return the names made of words that people use: those that `_OFTEN` glosses or more have.

    Args:
        names: nouns.
        glosses: definitions and examples.

    Returns:
        Some of the names, in their order.
    """
    used = Counter(word for gloss in glosses for word in set(_WORD.findall(gloss.lower())))
    return [name for name in names if min((used[word] for word in _WORD.findall(name.lower())), default=0) >= _OFTEN]


def texts(
    classes: Sequence[str], synsets: Sequence[str], emoji: Sequence[str], glosses: Sequence[str], count: int
) -> list[str]:
    """Choose texts: classes, nouns (common ones in several phrases), emoji, and short glosses for the room left.

    Args:
        classes: of the photo tower.
        synsets: synonyms of one meaning each, joined by ``, ``.
        emoji: names and keywords.
        glosses: definitions and examples.
        count: how many at most.

    Returns:
        Distinct texts in an order of chance, the same for the same input.
    """
    draw = random.Random(0)  # noqa: S311 - nothing secret
    names = sorted({name.strip() for synonyms in synsets for name in synonyms.split(",") if name.strip()})
    short = [gloss for gloss in glosses if 0 < len(gloss.split()) <= _LONGEST]
    draw.shuffle(short)
    # A class's prompt as the photo tower was made with.
    found = [f"a photo of a {name}" for name in classes]
    found += phrases(names, draw)
    known = sorted({name.strip() for synonyms in classes for name in synonyms.split(",")})
    for more, times in ((common(names, glosses), 3), (known, 6)):
        for _ in range(times):
            found += phrases(more, draw)
    chosen = list(dict.fromkeys([*found, *emoji, *short]))[:count]
    draw.shuffle(chosen)
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the texts to the file that the one argument names; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1:
        sys.stderr.write("usage: python samples/starter_texts.py TEXTS\n")
        return 2
    try:
        classes = starter_parts.class_names()
        synsets = [line.partition("\t")[2] for line in _lines(_names_file())]
        emoji, glosses = (_lines(locate(name) / "texts.txt") for name in _SETS)
    except EdgekitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    chosen = texts(classes, synsets, emoji, glosses, COUNT)
    write_bytes(Path(given[0]), "".join(f"{text}\n" for text in chosen).encode())
    return 0


def _names_file() -> Path:
    """Find timm's file of WordNet nouns without importing timm."""
    found = importlib.util.find_spec("timm")
    for folder in found.submodule_search_locations or () if found else ():
        path = Path(folder) / "data" / "_info" / _NAMES
        if path.is_file():
            return path
    raise MissingDependencyError(f'the nouns are in timm\'s {_NAMES}; install it with: pip install "edgekit[starter]"')


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _a(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    sys.exit(main())
