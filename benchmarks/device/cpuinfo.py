"""Processors as ``/proc/cpuinfo`` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.device.arm_cores import IMPLEMENTERS, PARTS
from edgekit.benchmarks.meters import sysfs

if TYPE_CHECKING:
    from pathlib import Path

# Instruction sets that decide which kernels of an engine run. ARM by the kernel's names of hardware capabilities
# (Documentation/arch/arm64/elf_hwcaps.rst), x86 by its flags.
FEATURES = (
    *("neon", "asimd", "asimdhp", "asimddp", "asimdfhm", "i8mm", "bf16", "sve", "sve2", "svei8mm", "svebf16", "sme"),
    *("sme2", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx_vnni_int8", "avx512f", "avx512bw"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
)


def processors(root: Path) -> tuple[dict[str, str], ...]:
    """Return the fields of each processor in the order of the file; names in lower case."""
    found: list[dict[str, str]] = []
    for block in (sysfs.text(root / "proc/cpuinfo") or "").split("\n\n"):
        fields = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip().lower()] = value.strip()
        if "processor" in fields and fields["processor"].isdecimal():
            found.append(fields)
        elif fields and found:
            # ARM ends with fields of the board, and old kernels with those that all processors share.
            found = [{**fields, **processor} for processor in found]
    return tuple(found)


def features(root: Path) -> tuple[str, ...]:
    """Return the instruction sets of `FEATURES` that every processor has, in that order."""
    sets = [frozenset((p.get("flags") or p.get("features") or "").split()) for p in processors(root)]
    common = frozenset.intersection(*sets) if sets else frozenset()
    return tuple(name for name in FEATURES if name in common)


def core_kinds(root: Path) -> dict[str, int]:
    """Return how many processors there are of each kind, by name; empty where ``/proc/cpuinfo`` does not tell."""
    hybrid = _hybrid(root)
    kinds: dict[str, int] = {}
    for fields in processors(root):
        name = _arm(fields) or fields.get("model name", "")
        share = hybrid.get(int(fields["processor"]))
        name = f"{name} {share}" if name and share else name
        if name:
            kinds[name] = kinds.get(name, 0) + 1
    return kinds


def _arm(fields: dict[str, str]) -> str:
    try:
        implementer, part = int(fields["cpu implementer"], 0), int(fields["cpu part"], 0)
    except (KeyError, ValueError):
        return ""
    known = PARTS.get((implementer, part))
    return known or f"{IMPLEMENTERS.get(implementer, f'implementer {implementer:#x}')} part {part:#05x}"


def _hybrid(root: Path) -> dict[int, str]:
    """Intel's processors of two kinds have one performance monitor for each kind, which lists its processors."""
    found = {}
    for folder, name in (("cpu_core", "P-core"), ("cpu_atom", "E-core"), ("cpu_lowpower", "LPE-core")):
        for processor in sysfs.listed(sysfs.text(root / "sys/devices" / folder / "cpus") or ""):
            found[processor] = name
    return found
