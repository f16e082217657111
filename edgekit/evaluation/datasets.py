"""Open a set of images, whichever way it is stored: what it is shows in what it holds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import Listing, assemble
from edgekit.evaluation.caption_folder import caption_folder
from edgekit.evaluation.class_folders import class_folders
from edgekit.evaluation.files import CAPTION_SUFFIX, is_image, walk
from edgekit.evaluation.image_folder import image_folder
from edgekit.evaluation.shards import expand, is_pattern, shards
from edgekit.evaluation.splitting import split
from edgekit.evaluation.table import is_table, table
from edgekit.evaluation.tar_index import read_at, refuse_compressed
from edgekit.locations import cache_dir

if TYPE_CHECKING:
    from edgekit.evaluation.records import Dataset, Task

__all__ = ["locate", "open_dataset", "split"]

# Compressed ones too: each is refused with the command that unpacks it.
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_TABLES = frozenset({".csv", ".tsv"})
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_LAYOUTS = "a sub-folder for each class, images with .txt captions beside them, a CSV, .tar shards, or images"


def locate(path_or_name: str) -> Path:
    """Find a set: a path, or the name of one that ``edgekit data fetch`` has fetched.

    Args:
        path_or_name: a file, a folder, a pattern of shards such as ``data/{000..003}.tar``, or a name.

    Returns:
        The path.

    Raises:
        InputError: there is none; the message tells the command that fetches it.
    """
    path = Path(path_or_name)
    if not path_or_name:
        raise InputError("the data's path is empty; give a file, a folder, or a name of 'edgekit data list'")
    # The functions of os.path, unlike the methods of Path, answer for a name that is too long.
    if os.path.exists(path) or is_pattern(path_or_name) or len(path.parts) != 1:  # noqa: PTH110
        return path
    fetched = cache_dir() / "data" / path_or_name
    if os.path.isdir(fetched):  # noqa: PTH112
        return fetched
    raise InputError(
        f"{path_or_name}: no such file or folder, and not fetched yet; for a set of 'edgekit data list':"
        f" edgekit data fetch {path_or_name}"
    )


def open_dataset(path: Path, *, task: Task | None = None, limit: int | None = None) -> Dataset:
    """Open a set of images; every file is checked to be there, and hashed, but no image is decoded.

    Args:
        path: a folder with a sub-folder for each class; a folder of images with ``.txt`` captions beside them; a CSV,
            or a folder that holds one; a WebDataset shard, a folder of shards, or a pattern such as
            ``a-{000..003}.tar``; or a folder of images.
        task: what to take where the set holds classes and captions; ``unlabelled`` takes no texts at all.
        limit: keep so many images, chosen by a hash of their names; all when None.

    Returns:
        The set, named by its file or folder.

    Raises:
        InputError: nothing of that kind is there, or an entry is broken; the message names the file and line or
            member.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}; give at least 1")
    listing = _listing(path, task)
    if task == "unlabelled":
        listing = Listing("unlabelled", tuple(replace(entry, texts=()) for entry in listing.entries))
    if task not in (None, listing.task):
        raise InputError(f"{path}: holds data for {listing.task}, not for {task}")
    return assemble(path.name or str(path), listing, limit)


def _listing(path: Path, task: Task | None) -> Listing:
    if os.path.isdir(path):  # noqa: PTH112
        return _folder(path, task)
    if is_pattern(str(path)) and not os.path.exists(path):  # noqa: PTH110
        return shards(_all_there(expand(str(path))), task)
    if not os.path.isfile(path):  # noqa: PTH113
        raise InputError(f"{path}: no such file or folder")
    refuse_compressed(path)
    if path.suffix.lower() == ".tar" or read_at(path, _TAR_MAGIC_AT, len(_TAR_MAGIC)) == _TAR_MAGIC:
        return shards([path], task)
    if is_image(path):
        raise InputError(f"{path}: is a single image; give the folder it is in, or a CSV that names it")
    return table(path, task)


def _folder(folder: Path, task: Task | None) -> Listing:
    try:
        here = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be searched: {error.strerror}") from error
    archives = [path for path in here if path.name.lower().endswith(_ARCHIVES)]
    if archives:
        return shards(archives, task)
    tables = [path for path in here if path.suffix.lower() in _TABLES and is_table(path)]
    if len(tables) > 1:
        raise InputError(f"{folder}: holds {len(tables)} tables; give one of {', '.join(map(str, tables))}")
    if tables:
        return table(tables[0], task)
    return _loose_files(folder, here, task)


def _loose_files(folder: Path, here: list[Path], task: Task | None) -> Listing:
    files = list(walk(folder))
    images = [path for path in files if is_image(path)]
    if not images:
        raise InputError(f"{folder}: holds no data; looked for {_LAYOUTS}")
    if task == "unlabelled":
        return image_folder(folder)
    captioned = {path.with_suffix("") for path in files if path.suffix.lower() == CAPTION_SUFFIX}
    if any(path.with_suffix("") in captioned for path in images):
        return caption_folder(folder)
    direct = [path for path in here if is_image(path)]
    if not direct:
        return class_folders(folder)
    if len(direct) == len(images):
        return image_folder(folder)
    raise InputError(
        f"{folder}: holds images itself ({direct[0].name}) and in sub-folders"
        f" ({next(path for path in images if path.parent != folder).relative_to(folder)}); move the former into a class"
        " folder, or give --task unlabelled"
    )


def _all_there(paths: list[Path]) -> list[Path]:
    missing = next((path for path in paths if not os.path.isfile(path)), None)  # noqa: PTH113
    if missing is not None:
        raise InputError(f"{missing}: no such shard; the pattern names {len(paths)}")
    return paths
