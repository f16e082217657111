"""Qualcomm's chips are found by the names of products, and by what the kernel calls the one that is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.errors import PlacementError
from edgekit.runtimes import qnn_chips

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("name", "usual"), [("8gen3", "SM8650"), ("qcm6490", "QCS6490"), ("X ELITE", "SC8380XP")])
def test_a_chip_has_many_names(name: str, usual: str) -> None:
    assert qnn_chips.find(name).names[0] == usual


def test_an_unknown_chip_is_told_with_those_that_are_known() -> None:
    with pytest.raises(PlacementError, match=r"no Qualcomm chip 'pentium' is known; known: QCS6490, .*soc_model=N"):
        qnn_chips.find("pentium")


def test_names_and_numbers_are_of_one_chip_each() -> None:
    names = [name for chip in qnn_chips.CHIPS for name in chip.names]
    assert len(names) == len(set(names))
    assert len({chip.soc_model for chip in qnn_chips.CHIPS}) == len(qnn_chips.CHIPS)
    assert str(qnn_chips.find("QCS6490")) == "QCS6490 (soc_model 35, htp_arch 68)"


def test_options_are_those_of_the_provider() -> None:
    assert qnn_chips.options("") == {"backend_type": "htp"}
    assert qnn_chips.options("8 Gen 2") == {"backend_type": "htp", "soc_model": "43", "htp_arch": "73"}
    assert [chip.names[0] for chip in qnn_chips.CHIPS if not chip.float16] == ["QCS6490", "SM8350", "SA8295"]


@pytest.mark.parametrize(
    ("told", "usual"), [(b"QCS6490\n", "QCS6490"), (b"SM7325", "QCS6490"), (b"X1E80100\n", "SC8380XP")]
)
def test_the_chip_here_is_what_the_kernel_says(tmp_path: Path, told: bytes, usual: str) -> None:
    (tmp_path / "sys/devices/soc0").mkdir(parents=True)
    (tmp_path / "sys/devices/soc0/machine").write_bytes(told)
    found = qnn_chips.here(tmp_path)
    assert found is not None
    assert found.names[0] == usual


@pytest.mark.parametrize("told", [b"BCM2712\n", b"", b"\xff\xfe"])
def test_a_chip_of_another_vendor_is_none(tmp_path: Path, told: bytes) -> None:
    assert qnn_chips.here(tmp_path) is None
    (tmp_path / "sys/devices/soc0").mkdir(parents=True)
    (tmp_path / "sys/devices/soc0/machine").write_bytes(told)
    assert qnn_chips.here(tmp_path) is None
