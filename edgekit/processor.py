"""Which instructions this processor multiplies 8-bit integers with, as its own list of instruction sets says.

An engine picks its int8 kernels by the same list. What it then runs is shown by counting instructions under an
emulator: ``tests/chips/test_arm_kernels.py``.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Int8Class:
    """One way to multiply 8-bit integers.

    Attributes:
        name: short name, such as ``arm-dotprod``; what ``edgekit quantize --target`` takes.
        flag: the instruction set by its name in ``/proc/cpuinfo``; empty for what every processor of the family has.
        words: what it does, for people.
        saturates: whether the usual kernels add two products of unsigned by signed bytes in 16 bits, which overflow.
    """

    name: str
    flag: str
    words: str
    saturates: bool


# From best to least. Names of instruction sets: the Linux kernel, Documentation/arch/arm64/elf_hwcaps.rst and
# arch/x86/include/asm/cpufeatures.h. That VPMADDUBSW of SSE and AVX2 saturates: Intel's Software Developer's Manual.
_X86 = (
    Int8Class("x86-amx", "amx_int8", "matrices of bytes (AMX: TDPBUSD)", False),
    Int8Class("x86-vnni", "avx512_vnni", "dot products of four bytes, 512 bits wide (AVX-512 VNNI: VPDPBUSD)", False),
    Int8Class("x86-avxvnni", "avx_vnni", "dot products of four bytes, 256 bits wide (AVX-VNNI: VPDPBUSD)", False),
    Int8Class("x86-avx512", "avx512bw", "no dot product: pairs in 16 bits, 512 bits wide (VPMADDUBSW)", True),
    Int8Class("x86-avx2", "avx2", "no dot product: pairs in 16 bits, 256 bits wide (VPMADDUBSW)", True),
    Int8Class("x86-sse", "", "no dot product: pairs in 16 bits, 128 bits wide (PMADDUBSW)", True),
)
_ARM = (
    Int8Class("arm-i8mm", "i8mm", "matrices of 2 by 8 bytes (i8mm: SMMLA, UMMLA)", False),
    Int8Class("arm-dotprod", "asimddp", "dot products of four bytes (asimddp: SDOT, UDOT)", False),
    Int8Class("arm-neon", "", "no dot product: widening multiplications (SMULL, SMLAL)", False),
)
_FAMILIES = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM, "armv8l": _ARM, "armv7l": _ARM}

INT8_CLASSES = (*_X86, *_ARM)
"""Every class that has a name."""


def instruction_sets(cpuinfo: str) -> frozenset[str]:
    """Return the instruction sets that every processor has, for a thread may run on any.

    Args:
        cpuinfo: text as Linux gives it in ``/proc/cpuinfo``.

    Returns:
        The words of the lines ``flags`` (x86) or ``Features`` (ARM) that all of these lines share.
    """
    lists = []
    for line in cpuinfo.splitlines():
        name, _, words = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            lists.append(frozenset(words.split()))
    return frozenset.intersection(*lists) if lists else frozenset()


def int8_class(machine: str, sets: frozenset[str]) -> Int8Class | None:
    """Return how a processor multiplies 8-bit integers at best.

    Args:
        machine: its type as `platform.machine` calls it.
        sets: its instruction sets, see `instruction_sets`.

    Returns:
        The best of its family; None for a family that edgekit has no list of, such as RISC-V.
    """
    family = _FAMILIES.get(machine.lower(), ())
    return next((kind for kind in family if not kind.flag or kind.flag in sets), None)


def int8_here() -> Int8Class | None:
    """Return this processor's class; None where the system does not list its instruction sets, or see `int8_class`."""
    sets = sets_here()
    return int8_class(platform.machine(), sets) if sets else None


def sets_here() -> frozenset[str]:
    """Return the instruction sets of this machine; empty where the system lists none."""
    try:
        return instruction_sets(CPUINFO.read_text(errors="replace"))
    except OSError:
        return frozenset()
