"""MNN: Alibaba's engine for phones and boards; files made by its own converter and proven by the engine itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.converters.targets import portable
from edgekit.converters.targets.records import Chip

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Built, Precision, TowerJob

_WORKER = Path(__file__).with_name("mnn_worker.py")
_PRECISIONS: tuple[Precision, ...] = ("fp16", "w8", "fp32")


class Mnn:
    """MNN 3.6.1. The batch and the length of texts stay free; one file serves every processor that MNN runs on.

    ``fp16`` stores the weights in 16 bits and computes in float32; ``w8`` stores them in 8 bits with a scale a channel,
    tables of words too, which MNN's converter would leave in float32.
    """

    @property
    def format(self) -> str:
        """``mnn``."""
        return "mnn"

    @property
    def toolchain(self) -> str:
        """``mnn``."""
        return "mnn"

    def chips(self) -> tuple[Chip, ...]:
        """Return the engine itself: its files are the same for every processor."""
        note = "MNN's engine on any processor; proven on this machine's"
        return (Chip("mnn", "mnn", _PRECISIONS, "hardware", note),)

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Convert a tower and run it with MNN; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file, and what MNN computes.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the converter failed, or MNN computes a batch otherwise than its rows.
        """
        precision, asked = job.precision or "fp16", {"out": f"{job.tower}.mnn"}
        small = precision == "w8"
        return portable.build(job, self.toolchain, _WORKER, precision, asked, on_stage, small_tables=small)
