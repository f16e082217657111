"""A folder for each class: ``set/golden_retriever/1.jpg``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import Entry, Listing
from edgekit.evaluation.files import is_image, walk
from edgekit.evaluation.records import Item

if TYPE_CHECKING:
    from pathlib import Path


def class_folders(folder: Path) -> Listing:
    """List the images below each sub-folder; the sub-folder's name, with spaces for underscores, is the class.

    Args:
        folder: holds at least two sub-folders with images, at any depth, and no image of its own.

    Returns:
        Images by class and path; classes sorted by name.

    Raises:
        InputError: a class holds no image, two have the same name, or there is only one.
    """
    entries: list[Entry] = []
    classes: dict[str, Path] = {}
    for home in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        name = home.name.replace("_", " ").strip()
        if not name:
            raise InputError(f"{home}: its name is no class name; rename the folder")
        if name in classes:
            raise InputError(f"{home}: is the class {name!r}, and so is {classes[name]}; rename one of them")
        classes[name] = home
        images = [path for path in walk(home) if is_image(path)]
        if not images:
            raise InputError(f"{home}: this class folder holds no image; remove it, or move it out of {folder}")
        entries += [Entry(Item(path.relative_to(folder).as_posix(), path), (name,)) for path in images]
    if len(classes) < 2:
        raise InputError(
            f"{folder}: holds a single class folder, {', '.join(classes)}; classification needs two or more, and a set"
            " without labels is named by the folder that holds the images"
        )
    return Listing("classification", tuple(entries), tuple(classes))
