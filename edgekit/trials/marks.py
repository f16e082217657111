"""Notice a candidate that ended the whole process when it was judged, so that an app crashes at most once.

While a candidate is judged, a small file stands in the cache and the judging process holds a lock on it. The system
drops the lock when the process ends, however it ends: a file that nobody holds is what a crash left behind. Process ids
would not do, for they start again in every container. A file of an earlier boot proves nothing, for the power may have
failed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import locations
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.runtimes.protocol import SessionSettings

CRASHED = "ended the process when an earlier load here tried it"
_FRESH = ".new"


def mark_of(bundle: Bundle, choice: Choice, settings: SessionSettings, names: tuple[TowerName, ...]) -> str:
    """Return the name of a candidate's marks: a digest of all that a crash depends on (threads are not)."""
    candidate = choice.variant.id, choice.runtime.name, choice.version, choice.device
    parts = [bundle.digest, candidate, settings.options, settings.allow_cpu, names]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def crashed(mark: str) -> bool:
    """Say whether a process ended, during this boot, while it judged the candidate."""
    boot = _boot()
    for path in _marks(mark):
        try:
            with path.open("rb") as file:
                # Shared: whoever else looks at this moment must not take this look for a judgement.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                standing = os.fstat(file.fileno()).st_nlink > 0
                if standing and file.read().decode(errors="replace") == boot:
                    return True
        except OSError:
            # Another load judges it at this moment, or has just removed its mark.
            continue
    return False


@contextmanager
def judging(mark: str) -> Iterator[None]:
    """Leave a mark behind if the process ends within the block; without a writable cache, do nothing.

    Args:
        mark: of the candidate.

    Yields:
        Nothing.
    """
    standing = _begin(mark)
    try:
        yield
    finally:
        if standing is not None:
            path, handle = standing
            path.unlink(missing_ok=True)
            os.close(handle)


def forget(mark: str) -> None:
    """Remove a candidate's marks, because it was tried since and did well."""
    for path in _marks(mark):
        with suppress(OSError):
            path.unlink()


def _begin(mark: str) -> tuple[Path, int] | None:
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{mark}.{secrets.token_hex(8)}"
        fresh = path.with_suffix(f"{path.suffix}{_FRESH}")
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except (OSError, InputError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, _boot().encode())
        # It gets its name once it is locked: between the two, another load would take it for a crash.
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        os.close(handle)
        return None
    return path, handle


def _marks(mark: str) -> list[Path]:
    try:
        return [path for path in _folder().glob(f"{mark}.*") if path.suffix != _FRESH]
    except (OSError, InputError):
        return []


def _folder() -> Path:
    return locations.cache_dir() / "judging"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
