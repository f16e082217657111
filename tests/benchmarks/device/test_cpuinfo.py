"""Processors as kernels of all ages list them, and what they have in common."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.device import cpuinfo, identity
from kernel_tree import put

# Linux 3.4 on ARM: what all processors share stands once, behind them, and the board behind that.
ALLWINNER = """Processor\t: ARMv7 Processor rev 4 (v7l)
processor\t: 0
BogoMIPS\t: 1920.00

processor\t: 1
BogoMIPS\t: 1920.00

Features\t: swp half thumb fastmult vfp edsp neon vfpv3 tls vfpv4
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: 0x0
CPU part\t: 0xc07
CPU revision\t: 4

Hardware\t: sun8i
Revision\t: 0000
"""
PI_OS_32 = """processor\t: 0
model name\t: ARMv7 Processor rev 4 (v7l)
Features\t: half thumb neon vfpv4
CPU implementer\t: 0x41
CPU part\t: 0xd03

processor\t: 1
model name\t: ARMv7 Processor rev 4 (v7l)
Features\t: half thumb neon vfpv4
CPU implementer\t: 0x41
CPU part\t: 0xd03

Hardware\t: BCM2835
Model\t\t: Raspberry Pi 3 Model B Rev 1.2
"""
RISCV = """processor\t: 0
hart\t\t: 2
isa\t\t: rv64imafdc
mmu\t\t: sv39
uarch\t\t: sifive,u74-mc

processor\t: 1
hart\t\t: 1
isa\t\t: rv64imafdc
"""


@pytest.mark.parametrize(
    ("text", "kinds", "features", "soc"),
    [
        (ALLWINNER, {"Cortex-A7": 2}, ("neon",), "sun8i"),
        (PI_OS_32, {"Cortex-A53": 2}, ("neon",), "ARMv7 Processor rev 4 (v7l)"),
        (RISCV, {}, (), ""),
        ("", {}, (), ""),
    ],
    ids=["Allwinner, Linux 3.4", "Raspberry Pi OS, 32 bits", "RISC-V", "hidden"],
)
def test_kernels_of_all_ages_are_understood(
    tmp_path: Path, text: str, kinds: dict[str, int], features: tuple[str, ...], soc: str
) -> None:
    put(tmp_path, {"proc/cpuinfo": text})
    assert cpuinfo.core_kinds(tmp_path) == kinds
    assert cpuinfo.features(tmp_path) == features
    assert identity.identify(tmp_path).soc == soc
    assert len(cpuinfo.processors(tmp_path)) == (2 if text else 0)


def test_a_processors_own_fields_come_before_those_that_all_share(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"proc/cpuinfo": "processor: 0\nCPU part: 0xd05\n\nprocessor: 1\n\nCPU implementer: 0x41\nCPU part: 0xd0b"},
    )
    assert cpuinfo.core_kinds(tmp_path) == {"Cortex-A55": 1, "Cortex-A76": 1}


KNOWN = st.sets(st.sampled_from(cpuinfo.FEATURES), max_size=8)
WORDS = st.sets(st.sampled_from(["fpu", "vme", "avx512", "avx2x", "xavx2", "AVX2", "neonx"]), max_size=4)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(KNOWN, WORDS), min_size=1, max_size=4), st.sampled_from(["flags", "Features", "Flags"]))
def test_features_are_what_every_processor_has_in_the_order_of_the_table(
    sets: list[tuple[set[str], set[str]]], name: str
) -> None:
    blocks = [f"processor\t: {i}\n{name}\t: {' '.join([*known, *other])}" for i, (known, other) in enumerate(sets)]
    with tempfile.TemporaryDirectory() as folder:
        found = cpuinfo.features(put(Path(folder), {"proc/cpuinfo": "\n\n".join(blocks)}))
    common = set.intersection(*(known for known, _ in sets))
    assert set(found) == common
    assert list(found) == sorted(found, key=cpuinfo.FEATURES.index)


def test_a_hybrid_of_three_kinds_is_told_by_the_performance_monitors(tmp_path: Path) -> None:
    put(tmp_path, {"proc/cpuinfo": "\n\n".join(f"processor: {i}\nmodel name: Core Ultra 7" for i in range(8))})
    put(tmp_path, {"sys/devices/cpu_core/cpus": "0,2-3", "sys/devices/cpu_atom/cpus": "1,4-5"})
    put(tmp_path, {"sys/devices/cpu_lowpower/cpus": "6"})
    assert cpuinfo.core_kinds(tmp_path) == {
        "Core Ultra 7 P-core": 3,
        "Core Ultra 7 E-core": 3,
        "Core Ultra 7 LPE-core": 1,
        "Core Ultra 7": 1,
    }


@pytest.mark.parametrize(
    ("files", "board", "soc", "system"),
    [
        (
            {
                "sys/firmware/devicetree/base/model": "Khadas VIM4\0",
                "sys/firmware/devicetree/base/compatible": "a\0b\0",
            },
            "Khadas VIM4",
            "b",
            "",
        ),
        (
            {"proc/device-tree/model": "Pi\0", "sys/firmware/devicetree/base/model": "other\0"},
            "Pi",
            "",
            "",
        ),
        ({"sys/class/dmi/id/sys_vendor": "None", "sys/class/dmi/id/product_name": "NUC"}, "NUC", "", ""),
        ({"sys/devices/soc0/soc_id": "i.MX8MP"}, "", "i.MX8MP", ""),
        ({"usr/lib/os-release": "PRETTY_NAME='Yocto 5.0'\n"}, "", "", "Yocto 5.0"),
        (
            {"etc/os-release": 'NAME=x\nPRETTY_NAME="Alpine Linux v3.20"', "usr/lib/os-release": "PRETTY_NAME=no"},
            "",
            "",
            "Alpine Linux v3.20",
        ),
        ({"etc/os-release": "# no names\nBROKEN"}, "", "", ""),
    ],
)
def test_where_the_names_of_boards_chips_and_systems_are_found(
    tmp_path: Path, files: dict[str, str], board: str, soc: str, system: str
) -> None:
    found = identity.identify(put(tmp_path, files))
    assert (found.board, found.soc) == (board, soc)
    assert found.system == (system or "Linux"), "without a name, that of the kernel"


@pytest.mark.parametrize(
    ("status", "conf", "mode"),
    [
        ("pmode:0000 fmode:quiet", "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >", "nvpmodel 15W"),
        ("pmode:0003", "< POWER_MODEL ID=0 NAME=15W >", "nvpmodel 3"),
        ("pmode:0010", "<POWER_MODEL ID=10 NAME=MODE_30W_ALL>", "nvpmodel MODE_30W_ALL"),
        ("pmode:", "", ""),
        ("", "< POWER_MODEL ID=0 NAME=15W >", ""),
    ],
)
def test_power_modes_of_jetsons(tmp_path: Path, status: str, conf: str, mode: str) -> None:
    put(tmp_path, {"var/lib/nvpmodel/status": status, "etc/nvpmodel.conf": conf})
    assert identity.power_mode(tmp_path) == mode
    put(tmp_path, {"sys/firmware/acpi/platform_profile": "balanced"})
    assert identity.power_mode(tmp_path) == (mode or "platform_profile balanced")
