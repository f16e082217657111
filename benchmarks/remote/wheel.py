"""The wheel of this very edgekit, made from the files that are imported here, whether installed or in a checkout.

Made by hand, as a wheel is a plain zip (PyPA specification "Binary distribution format"): no build tool is needed, and
the same files always give the same bytes. Packaged bundles are left out: the board gets the one it measures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import locations
from edgekit.atomic import write_bytes
from edgekit.errors import ExecutionError, InputError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_PACKAGE = "edgekit"
# In a checkout these are folders beside the package (pyproject's package-dir).
_ELSEWHERE = ("benchmarks", "converters", "runtimes", "samples")
_SKIPPED = frozenset({".pyc", ".pyo", locations.SUFFIX, ".so"})
_SKIPPED_FOLDERS = frozenset({"__pycache__"})
# The least date that a zip can hold, so that the same files give the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16


def build(cache: Path) -> Path:
    """Make the wheel, or find it where it was made before.

    Args:
        cache: folder for wheels; made where it is missing. The wheel is in a folder named by its content.

    Returns:
        Path of ``edgekit-VERSION-py3-none-any.whl``.

    Raises:
        ExecutionError: this edgekit was not installed by a package installer, so that it has no metadata.
        InputError: the cache cannot be written to.
    """
    try:
        found = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise ExecutionError("edgekit: has no metadata here; install it by pip, from its folder or a wheel") from error
    data = pack(files(), found)
    path = cache / hashlib.sha256(data).hexdigest()[:16] / f"{_PACKAGE}-{found.version}-py3-none-any.whl"
    if not path.is_file() or path.read_bytes() != data:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent}: the folder for wheels cannot be made: {error.strerror}") from error
        write_bytes(path, data)
    return path


def files() -> dict[str, bytes]:
    """Return the content of every file of this edgekit, without bundles and compiled ones, by its path in a wheel."""
    names = (_PACKAGE, *(f"{_PACKAGE}.{name}" for name in _ELSEWHERE))
    found: dict[str, bytes] = {}
    for name in names:
        for folder in import_module(name).__path__:
            _walk(Path(folder), name.replace(".", "/"), found)
    return found


def pack(content: dict[str, bytes], metadata: Distribution) -> bytes:
    """Write a wheel.

    Args:
        content: bytes of each file by its path.
        metadata: of the installed package.

    Returns:
        The wheel, the same for the same content.
    """
    info = f"{_PACKAGE}-{metadata.version}.dist-info"
    entries = dict(sorted(content.items()))
    # An egg-info, as an editable install may have it, names its metadata PKG-INFO.
    described = metadata.read_text("METADATA") or metadata.read_text("PKG-INFO") or ""
    entries[f"{info}/METADATA"] = described.encode()
    entries[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: edgekit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    entries[f"{info}/entry_points.txt"] = (metadata.read_text("entry_points.txt") or "").encode()
    rows = [f"{_field(name)},sha256={_digest(data)},{len(data)}" for name, data in entries.items()]
    entries[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type, member.external_attr, member.create_system = zipfile.ZIP_DEFLATED, _MODE, 3
            archive.writestr(member, data)
    return stream.getvalue()


def _walk(folder: Path, prefix: str, found: dict[str, bytes]) -> None:
    for entry in sorted(folder.iterdir()):
        name = f"{prefix}/{entry.name}"
        if entry.name in _SKIPPED_FOLDERS or entry.name.startswith(".") or entry.suffix in _SKIPPED:
            continue
        if entry.is_dir():
            _walk(entry, name, found)
        else:
            found[name] = entry.read_bytes()


def _field(name: str) -> str:
    """A field of RECORD, which is CSV."""
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\n') else name


def _digest(data: bytes) -> str:
    # As RECORD wants it: URL-safe base64 without padding.
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
