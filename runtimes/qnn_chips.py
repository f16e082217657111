"""Qualcomm's chips by the names people know them by: what the QNN provider must be told to compile for one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import PlacementError


@dataclass(frozen=True)
class Chip:
    """One system on a chip.

    Attributes:
        names: product names, the usual one first.
        soc_model: Qualcomm's number of it.
        htp_arch: version of its Hexagon tensor processor.
    """

    names: tuple[str, ...]
    soc_model: int
    htp_arch: int

    def __str__(self) -> str:
        """Name and numbers, for messages."""
        return f"{self.names[0]} (soc_model {self.soc_model}, htp_arch {self.htp_arch})"

    @property
    def float16(self) -> bool:
        """Whether the processor computes float16: from version 69 on."""
        return self.htp_arch >= 69


# Sources: "Supported Snapdragon devices" of Qualcomm's AI Engine Direct documentation, and the tables of chips in the
# open-source back-ends of ExecuTorch and LiteRT, which agree.
CHIPS = (
    Chip(("QCS6490", "QCM6490", "SM7325"), 35, 68),
    Chip(("SM8350", "888"), 30, 68),
    Chip(("SA8295", "SA8295P"), 39, 68),
    Chip(("SM8450", "8 Gen 1"), 36, 69),
    Chip(("SM8475", "8+ Gen 1"), 42, 69),
    Chip(("QCS8550", "SM8550", "8 Gen 2"), 43, 73),
    Chip(("SC8380XP", "X Elite", "X1E80100"), 60, 73),
    Chip(("QCS9100", "SA8775P"), 77, 73),
    Chip(("SM8650", "8 Gen 3"), 57, 75),
    Chip(("SM8750", "8 Elite"), 69, 79),
    Chip(("SM8850", "8 Elite Gen 5"), 87, 81),
)


def find(name: str) -> Chip:
    """Return a chip by one of its names, in any case, with or without spaces.

    Args:
        name: such as ``QCS6490`` or ``8gen3``.

    Returns:
        The chip.

    Raises:
        PlacementError: it is not known; the message lists those that are, and how to name another.
    """
    for chip in CHIPS:
        if _plain(name) in map(_plain, chip.names):
            return chip
    known = ", ".join(chip.names[0] for chip in CHIPS)
    raise PlacementError(
        f"no Qualcomm chip {name!r} is known; known: {known}. For another, name one of the same Hexagon version and "
        "give --option provider.soc_model=N --option provider.htp_arch=N"
    )


def here(root: Path = Path("/")) -> Chip | None:
    """Return the chip that this program runs on, by the name that the kernel has for it.

    Args:
        root: of the file system.

    Returns:
        The chip; None where the kernel does not say, or says what is not in `CHIPS`. Source of the file:
        Documentation/ABI/testing/sysfs-devices-soc of the Linux kernel; Qualcomm's driver writes names such as
        ``QCS6490`` there.
    """
    try:
        name = (root / "sys/devices/soc0/machine").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return next((chip for chip in CHIPS if _plain(name) in map(_plain, chip.names)), None)


def options(name: str) -> dict[str, str]:
    """Return the options of the QNN provider.

    Args:
        name: of a chip; empty for the one that this program runs on.

    Returns:
        Options by the provider's own names; the tensor processor is the backend.

    Raises:
        PlacementError: the chip is not known.
    """
    if not name:
        return {"backend_type": "htp"}
    chip = find(name)
    return {"backend_type": "htp", "soc_model": str(chip.soc_model), "htp_arch": str(chip.htp_arch)}


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()
