"""What a set of data is made of, told as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgekit.bundle.manifest import FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ManagerName = Literal["apt", "npm", "pip"]
DataTask = Literal["classification", "retrieval", "texts"]


@dataclass(frozen=True)
class Package:
    """One package, at one version, as its package manager delivers it.

    Attributes:
        manager: which one.
        name: as the manager knows it.
        version: exact.
        sha256: of the archive that is downloaded, 64 lower-case hexadecimal digits.
        size: of that archive, in bytes.
        wanted: prefixes of the paths inside the archive that are unpacked.
        licenses: paths inside the archive of the licence texts; below `wanted`.
    """

    manager: ManagerName
    name: str
    version: str
    sha256: str
    size: int
    wanted: tuple[str, ...]
    licenses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """How much a builder wrote: images (0 for a set of texts) and distinct texts."""

    images: int
    texts: int


@dataclass(frozen=True)
class DataSource:
    """A set of data that packages carry.

    Attributes:
        name: what ``edgekit data fetch`` calls it; the name of its folder.
        description: one line.
        task: ``classification`` for a CSV of ``path,label``, ``retrieval`` for one of ``path,caption``, ``texts`` for
            ``texts.txt``, one text a line.
        license: who owns what, under which terms; shown before and after the fetch.
        packages: where it comes from.
        build: given the folder of each unpacked package by its name, writes the set into an empty folder.
        needs: Python packages that `build` imports beside those of the core; each is imported by its own name.
    """

    name: str
    description: str
    task: DataTask
    license: str
    packages: tuple[Package, ...]
    build: Callable[[Mapping[str, Path], Path], Contents]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackageRecord:
    """A package that a fetched set was made of."""

    manager: str
    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """What was fetched, written last: a folder without it is no set.

    Attributes:
        name: of the set.
        task: see `DataSource`.
        images: number of images.
        texts: number of distinct texts.
        packages: what it was made of.
        files: every other file of the folder, by path.
    """

    name: str
    task: DataTask
    images: int
    texts: int
    packages: tuple[PackageRecord, ...]
    files: tuple[FileRecord, ...]
