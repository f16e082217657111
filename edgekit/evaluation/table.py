"""A CSV that names images and their labels or captions, as spreadsheets and scripts write it."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import Entry, Listing
from edgekit.evaluation.files import read_text
from edgekit.evaluation.records import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.evaluation.records import Task

IMAGE_COLUMNS = ("path", "filepath", "image", "filename")
LABEL_COLUMNS = ("label",)
CAPTION_COLUMNS = ("caption", "title", "text")
_DELIMITERS = (",", "\t", ";")


@dataclass(frozen=True)
class _Columns:
    """Where the cells are; `text` is None where texts are not wanted."""

    delimiter: str
    width: int
    image: int
    text: int | None
    task: Task


def is_table(path: Path) -> bool:
    """Tell whether a file's first line names an image column and a label or caption column."""
    header = _header(read_text(path), path)
    return header is not None and bool(_named(header[1], (*LABEL_COLUMNS, *CAPTION_COLUMNS)))


def table(path: Path, task: Task | None = None) -> Listing:
    """List the images that a CSV names, in the order of their first rows.

    Args:
        path: UTF-8, with or without a byte-order mark; cells separated by commas, tabs or semicolons; a header with
            one of `IMAGE_COLUMNS` and one of `LABEL_COLUMNS` or `CAPTION_COLUMNS`, in any case. Images are relative
            to the CSV and below its folder. Several rows may give captions to one image.
        task: which column to take where there is a label and a caption; ``unlabelled`` takes neither.

    Returns:
        The images; classes in the order of their first rows.

    Raises:
        InputError: a column, a file or a text is missing, an image lies outside, or has two labels; the message
            names the line.
    """
    text = read_text(path)
    columns = _columns(text, path, task)
    images: dict[str, Path] = {}
    texts: dict[str, list[str]] = {}
    for where, cells in _rows(text, path, columns):
        name, image = _image(path, cells[columns.image].strip(), where)
        images.setdefault(name, image)
        given = texts.setdefault(name, [])
        if columns.text is None:
            continue
        found = cells[columns.text].strip()
        if not found:
            what = "label" if columns.task == "classification" else "caption"
            raise InputError(f"{where}: the {what} of {name} is empty")
        if columns.task == "classification" and given and given[0] != found:
            raise InputError(f"{where}: {name} has the label {found!r} here and {given[0]!r} above; an image has one")
        given.append(found)
    if not images:
        raise InputError(f"{path}: has a header and no rows")
    entries = tuple(Entry(Item(name, image), tuple(texts[name])) for name, image in images.items())
    classes = tuple(dict.fromkeys(entry.texts[0] for entry in entries)) if columns.task == "classification" else ()
    return Listing(columns.task, entries, classes)


def _rows(text: str, path: Path, columns: _Columns) -> Iterator[tuple[str, list[str]]]:
    """Yield where each row below the header ends, for messages, and its cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=columns.delimiter, strict=True)
    try:
        for number, cells in enumerate(reader):
            where = f"{path}: line {reader.line_num}"
            if not number or not any(cell.strip() for cell in cells):
                continue
            if len(cells) != columns.width:
                raise InputError(
                    f"{where}: has {len(cells)} cells, the header has {columns.width}; put double quotes around a cell"
                    f" that holds {columns.delimiter!r}"
                )
            yield where, cells
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from error


def _image(table_path: Path, cell: str, where: str) -> tuple[str, Path]:
    if not cell or "\0" in cell:
        raise InputError(f"{where}: the image's path is empty or unusable")
    # By the path's text alone: a link that the user made below the folder is the user's own choice.
    home = os.path.normpath(table_path.parent.absolute())
    target = Path(os.path.normpath(Path(home) / cell))
    if not target.is_relative_to(home):
        raise InputError(f"{where}: {cell} lies outside the CSV's folder; move the image or the CSV")
    # Unlike the method of Path, this answers for a name that is too long.
    if not os.path.isfile(target):  # noqa: PTH113
        raise InputError(f"{where}: {cell}: no such file beside the CSV")
    return target.relative_to(home).as_posix(), target


def _header(text: str, path: Path) -> tuple[str, list[str]] | None:
    """Return the delimiter and the column names in lower case; None when no column is an image's."""
    for delimiter in _DELIMITERS:
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error as error:
            raise InputError(f"{path}: line 1: {error}") from error
        names = [cell.strip().lower() for cell in cells]
        if _named(names, IMAGE_COLUMNS):
            return delimiter, names
    return None


def _columns(text: str, path: Path, task: Task | None) -> _Columns:
    header = _header(text, path)
    if header is None:
        raise InputError(f"{path}: line 1: names no image column; looked for {', '.join(IMAGE_COLUMNS)}")
    delimiter, names = header
    image = _one(names, IMAGE_COLUMNS, path)
    labels, captions = _named(names, LABEL_COLUMNS), _named(names, CAPTION_COLUMNS)
    if task is None and labels and captions:
        raise InputError(f"{path}: has labels and captions; give --task classification or --task retrieval")
    if task is None and not labels and not captions:
        looked = ", ".join((*LABEL_COLUMNS, *CAPTION_COLUMNS))
        raise InputError(f"{path}: line 1: names no text column; looked for {looked}, or give --task unlabelled")
    chosen: Task = task or ("classification" if labels else "retrieval")
    wanted = {"classification": LABEL_COLUMNS, "retrieval": CAPTION_COLUMNS, "unlabelled": ()}[chosen]
    return _Columns(delimiter, len(names), image, _one(names, wanted, path) if wanted else None, chosen)


def _named(names: list[str], wanted: tuple[str, ...]) -> list[int]:
    return [index for index, name in enumerate(names) if name in wanted]


def _one(names: list[str], wanted: tuple[str, ...], path: Path) -> int:
    found = _named(names, wanted)
    if len(found) != 1:
        raise InputError(f"{path}: line 1: needs exactly one column of {', '.join(wanted)}; has {len(found)}")
    return found[0]
