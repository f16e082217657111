"""What a target must offer: chips it compiles for, and a tower compiled and proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Built, Chip, TowerJob


class Target(Protocol):
    """One vendor's compiler."""

    @property
    def format(self) -> str:
        """Artifact format it writes; a runtime says which formats it opens."""

    @property
    def toolchain(self) -> str:
        """Name of the toolchain it needs; empty where it needs none."""

    def chips(self) -> tuple[Chip, ...]:
        """Return the chips it compiles for."""

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return the towers that are compiled in the precision asked for where the user names none."""

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Compile a tower, and run what was compiled on the job's inputs.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The files, and what they compute.

        Raises:
            UnsupportedModelError: the chip has no form of an operator; the message names the node and what to do.
            ConversionError: the tool failed; the message has its last lines.
        """
