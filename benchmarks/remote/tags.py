"""Whether a wheel fits a board's interpreter, by the tags in its file name.

The rules are those of the Python packaging user guide, "Platform compatibility tags" (PEPs 425, 600, 656).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.benchmarks.remote.records import Facts

# PEP 600: what the older names stand for.
_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_PLATFORM = re.compile(r"(manylinux|musllinux)_([0-9]+)_([0-9]+)_(\w+)")
# Names of wheels begin with this processor's older sibling too.
_SIBLINGS = {"armv8l": ("armv8l", "armv7l")}
# No manylinux tag names a C library older than these.
_OLDEST = {"x86_64": (2, 5), "i686": (2, 5)}
_OLDEST_ELSEWHERE = (2, 17)


def problem(name: str, facts: Facts) -> str:
    """Say why a wheel does not fit.

    Args:
        name: of its file.
        facts: of the board.

    Returns:
        The reason, as the end of a sentence; empty when it fits.
    """
    parts = name.removesuffix(".whl").split("-")
    if not name.endswith(".whl") or len(parts) not in (5, 6):
        return "is no name of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    fitting = [platform for platform in platforms if platform == "any" or _platform_fits(platform, facts)]
    if not fitting:
        libc, (major, minor) = facts.libc
        return f"is for {parts[-1]}; the board is {facts.machine} with {libc} {major}.{minor}"
    if not any(_python_fits(p, a, f == "any", facts) for p in pythons for a in abis for f in fitting):
        major, minor = facts.python
        return f"is for {parts[-3]}-{parts[-2]}; the board has {facts.implementation} {major}.{minor}"
    return ""


def _platform_fits(platform: str, facts: Facts) -> bool:
    machines = _SIBLINGS.get(facts.machine, (facts.machine,))
    kind, version = facts.libc
    for machine in machines:
        if platform == f"linux_{machine}":
            return True
        base = platform.removesuffix(f"_{machine}")
        if base != platform and base in _OLD_NAMES:
            return kind == "glibc" and _OLDEST.get(machine, _OLDEST_ELSEWHERE) <= _OLD_NAMES[base] <= version
    found = _PLATFORM.fullmatch(platform)
    if not found or found[4] not in machines:
        return False
    asked = int(found[2]), int(found[3])
    if found[1] == "musllinux":
        return kind == "musl" and asked[0] == version[0] and asked <= version
    return (
        kind == "glibc"
        and asked[0] == version[0]
        and _OLDEST.get(found[4], _OLDEST_ELSEWHERE) <= asked
        and asked <= version
    )


def _python_fits(python: str, abi: str, anywhere: bool, facts: Facts) -> bool:
    major, minor = facts.python
    generic = re.fullmatch(rf"py{major}([0-9]*)", python)
    if generic:
        return abi == "none" and (not generic[1] or int(generic[1]) <= minor)
    own = re.fullmatch(rf"cp{major}([0-9]+)", python)
    if not own or facts.implementation != "cpython":
        return False
    asked = int(own[1])
    if abi == "abi3":
        # PEP 384's stable ABI began with 3.2.
        return not anywhere and 2 <= asked <= minor
    return asked == minor and (abi == "none" or (abi == f"cp{major}{minor}" and not anywhere))
