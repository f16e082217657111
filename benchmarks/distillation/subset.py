"""The labelled images as a set of their own, for a student that learns from nothing else."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.converters.distill.data.sets import collect
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.converters.distill.recipe import DataSpec

_TABLE = "labels.csv"


def labelled_only(data: DataSpec, folder: Path) -> Path:
    """Copy the images whose labels a recipe may use.

    Args:
        data: of the recipe; its sets hold classes.
        folder: to write; one that is complete is taken as it is.

    Returns:
        The folder: images, and a table of their labels.

    Raises:
        InputError: the recipe has no labelled image.
    """
    if (folder / _TABLE).exists():
        return folder
    sets = collect(data)
    if sets is None or not any(sets.labelled):
        raise InputError(f"data.labelled: {data.labelled} leaves no image with a label; raise it")
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("path", "label"))
    train = sets.train
    for item, target, labelled in zip(train.items, train.targets, sets.labelled, strict=True):
        if labelled:
            name = f"{item.sha256}{Path(item.name).suffix}"
            write_bytes(folder / name, item.read())
            rows.writerow((name, train.texts[target[0]]))
    # Last: a folder with a table is complete.
    write_bytes(folder / _TABLE, table.getvalue().encode())
    return folder
