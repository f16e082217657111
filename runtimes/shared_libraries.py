"""What a shared library needs and this machine lacks: why a provider did not load, before it is asked to."""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAGIC_64_LITTLE = b"\x7fELF\x02\x01"
_LOAD, _DYNAMIC = 1, 2
_END, _NEEDED, _STRINGS = 0, 1, 5
# Where packages of NVIDIA put libraries, below a folder of Python's path.
_PACKAGED = ("nvidia/*/lib", "tensorrt_libs")


def needed(path: Path) -> tuple[str, ...]:
    """Return the libraries that a shared library names, in its order; it is read, not loaded.

    Source of the layout: System V ABI, "Object Files" (ELF64).

    Args:
        path: a 64-bit little-endian ELF file, as Linux on x86-64 and ARM64 has.

    Returns:
        Names such as ``libnvinfer.so.10``.

    Raises:
        InputError: the file cannot be read, or is no such library.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _needed(data)
    except (OSError, ValueError, struct.error, IndexError) as error:
        raise InputError(f"{path}: is no shared library for 64-bit Linux ({error})") from error


def missing(names: Iterable[str]) -> tuple[str, ...]:
    """Return those libraries that cannot be loaded, and load the others.

    One that the system's loader does not find is looked for where NVIDIA's packages for Python put theirs, and loaded
    from there: whoever needs it by its name afterwards gets it.

    Args:
        names: such as ``libcudart.so.13``.

    Returns:
        The names that nothing here provides.
    """
    return tuple(name for name in names if not _loads(name) and not any(map(_loads, map(str, packaged(name)))))


def packaged(name: str) -> tuple[Path, ...]:
    """Return where packages of NVIDIA have a library.

    Args:
        name: of the library.

    Returns:
        Files, in the order of Python's path.
    """
    folders = dict.fromkeys(Path(entry) for entry in sys.path if entry)
    return tuple(
        found for folder in folders for pattern in _PACKAGED for found in sorted(folder.glob(f"{pattern}/{name}"))
    )


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def _needed(data: mmap.mmap) -> tuple[str, ...]:
    if data[:6] != _MAGIC_64_LITTLE:
        raise ValueError("it does not begin as one does")
    (table,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    loads = [(address, offset, length) for kind, _, offset, address, _, length in headers if kind == _LOAD]
    entries: list[tuple[int, int]] = []
    for kind, _, offset, _, _, length in headers:
        if kind == _DYNAMIC:
            for at in range(offset, offset + length, 16):
                tag, value = struct.unpack_from("<qQ", data, at)
                if tag == _END:
                    break
                entries.append((tag, value))
    names = [value for tag, value in entries if tag == _NEEDED]
    if not names:
        return ()
    strings = next(value for tag, value in entries if tag == _STRINGS)
    address, offset, _ = next(load for load in loads if load[0] <= strings < load[0] + load[2])
    start = strings - address + offset
    return tuple(data[start + name : data.find(b"\0", start + name)].decode() for name in names)
