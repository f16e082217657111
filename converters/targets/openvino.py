"""OpenVINO's own files (IR): smaller than ONNX, with 16-bit or 8-bit weights, proven by the engine itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.converters.targets import portable
from edgekit.converters.targets.records import Chip

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Built, Precision, TowerJob

_WORKER = Path(__file__).with_name("openvino_worker.py")
_PRECISIONS: tuple[Precision, ...] = ("fp16", "w8", "w8a8", "fp32")


class OpenVino:
    """OpenVINO 2026.4.1 and NNCF 3.4.0. The batch and the length of texts stay free; one file serves CPUs and GPUs.

    ``fp16`` stores weights in 16 bits and computes in the device's own type; ``w8`` stores them in 8 bits with a scale
    a channel; ``w8a8`` computes in 8 bits too, with ranges of NNCF, and is chosen among several by few rows.
    """

    @property
    def format(self) -> str:
        """``openvino``."""
        return "openvino"

    @property
    def toolchain(self) -> str:
        """``openvino``."""
        return "openvino"

    def chips(self) -> tuple[Chip, ...]:
        """Return the engine itself: its files are the same for every processor and GPU that it runs on."""
        note = "OpenVINO's engine on x86 and ARM processors and Intel GPUs; proven on this machine's processor"
        return (Chip("openvino", "openvino", _PRECISIONS, "hardware", note),)

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Convert a tower and run it with OpenVINO's CPU; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The two files, and what OpenVINO computes.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: a tool failed, or OpenVINO computes a batch otherwise than its rows.
        """
        asked = {"out": job.tower}
        return portable.build(job, self.toolchain, _WORKER, job.precision or "fp16", asked, on_stage)
