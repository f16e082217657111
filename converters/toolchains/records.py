"""What a toolchain is: plain data, one JSON file each under ``locks``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Packages that are installed together, each with its exact version, without asking for dependencies.

    Attributes:
        note: why they come in a step of their own, for a person.
        packages: such as ``numpy==1.26.4``; all of the step, dependencies of dependencies included.
    """

    note: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Toolchain:
    """A vendor's tool and the environment it needs.

    Attributes:
        name: such as ``rknn``.
        purpose: one sentence.
        license: of the tool, one sentence; shown before it is installed.
        pythons: versions it runs on, the best first, such as ``3.11``.
        platform: ``linux-x86_64``, or ``any``.
        disk_mb: what the environment takes.
        minutes: what building it takes on a fast network.
        steps: in order.
        probe: a statement that only works when the tool is complete.
    """

    name: str
    purpose: str
    license: str
    pythons: tuple[str, ...]
    platform: str
    disk_mb: int
    minutes: int
    steps: tuple[Step, ...]
    probe: str


@dataclass(frozen=True)
class Installed:
    """What was built, as the environment's last file says it.

    Attributes:
        name: of the toolchain.
        lock: digest of the toolchain's record.
        python: version of its Python.
        size: in bytes.
        date: when it was built, ISO 8601.
    """

    name: str
    lock: str
    python: str
    size: int
    date: str
