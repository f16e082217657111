"""Texts to distill a text tower on: one a line, from files or fetched sets, or a column of a table."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.datasets import locate
from edgekit.evaluation.files import decode_text
from edgekit.evaluation.table import CAPTION_COLUMNS, LABEL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TEXTS = "texts.txt"
_TABLES = {".csv": ",", ".tsv": "\t"}
_GZIP = b"\x1f\x8b"


def read_texts(paths_or_names: Sequence[str]) -> tuple[str, ...]:
    """Read texts.

    Args:
        paths_or_names: each a UTF-8 file with one text a line; a ``.csv`` or ``.tsv`` with a header, whose column
            ``caption``, ``title``, ``text`` or ``label`` is taken, or the one named as in ``table.csv:COLUMN``; a
            folder that holds ``texts.txt`` or one table; or the name of a fetched set. Files may be compressed by gzip.

    Returns:
        Each distinct text once, in the order of its first appearance, without surrounding white space; none is empty.

    Raises:
        InputError: a file cannot be read, is not UTF-8 or holds no text; the message names it.
    """
    found: dict[str, None] = {}
    for name in paths_or_names:
        path, column = _located(name)
        texts = dict.fromkeys(filter(None, map(str.strip, _texts(path, column))))
        if not texts:
            raise InputError(f"{path}: holds no text; write one a line")
        found.update(texts)
    return tuple(found)


def _located(name: str) -> tuple[Path, str]:
    """Return the file that a path or name stands for, and the column wanted."""
    before, colon, column = name.rpartition(":")
    if colon and column and _delimiter(Path(before)) and not os.path.exists(name):  # noqa: PTH110
        return locate(before), column
    path = locate(name)
    return (_in_folder(path) if os.path.isdir(path) else path), ""  # noqa: PTH112


def _in_folder(folder: Path) -> Path:
    if (folder / TEXTS).is_file():
        return folder / TEXTS
    tables = sorted(path for path in folder.iterdir() if _delimiter(path))
    if len(tables) == 1:
        return tables[0]
    what = f"{len(tables)} tables" if tables else "no table"
    raise InputError(f"{folder}: holds no {TEXTS} and {what}; give the file that holds the texts")


def _texts(path: Path, column: str) -> Iterator[str]:
    text = decode_text(_read(path), str(path))
    delimiter = _delimiter(path)
    return _column(text, path, delimiter, column) if delimiter else iter(text.splitlines())


def _column(text: str, path: Path, delimiter: str, column: str) -> Iterator[str]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        wanted = (column.lower(),) if column else (*CAPTION_COLUMNS, *LABEL_COLUMNS)
        place = next((header.index(name) for name in wanted if name in header), None)
        if place is None:
            raise InputError(f"{path}: line 1: names no column {' or '.join(wanted)}; it has {', '.join(header)}")
        for cells in reader:
            if cells and len(cells) != len(header):
                raise InputError(f"{path}: line {reader.line_num}: has {len(cells)} cells, the header {len(header)}")
            yield cells[place] if cells else ""
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from error


def _delimiter(path: Path) -> str:
    """Return what parts a table's cells; empty where the file is no table."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return _TABLES.get(suffixes[-1], "") if suffixes else ""


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        # By content: a fetched file may have lost its suffix.
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
