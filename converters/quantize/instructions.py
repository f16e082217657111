"""Which instruction set this processor multiplies integers with, under the names of `methods.SATURATES`."""

from __future__ import annotations

import platform
from pathlib import Path

_X86 = (
    ("amx_int8", "x86-amx"),
    ("avx512_vnni", "x86-vnni"),
    ("avx_vnni", "x86-avxvnni"),
    ("avx512bw", "x86-avx512"),
    ("avx2", "x86-avx2"),
    ("", "x86-sse"),
)
_ARM = (("i8mm", "arm-i8mm"), ("asimddp", "arm-dotprod"), ("", "arm-neon"))
_MACHINES = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM, "armv7l": _ARM}
_FLAGS = Path("/proc/cpuinfo")


def here() -> str:
    """Return this processor's instruction set, or an empty string where it cannot be told."""
    known = _MACHINES.get(platform.machine().lower())
    try:
        flags = set(_FLAGS.read_text(errors="replace").split())
    except OSError:
        return ""
    return named(flags, known) if known else ""


def named(flags: set[str], known: tuple[tuple[str, str], ...]) -> str:
    """Return the first of `known`, (flag, name) from best to least, whose flag is there."""
    return next(name for flag, name in known if not flag or flag in flags)
