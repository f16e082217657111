"""What a device is, on made-up kernel trees of real boards, and on this machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.device import cpuinfo, identity, virtual
from edgekit.benchmarks.device.arm_cores import IMPLEMENTERS, PARTS
from kernel_tree import put

if TYPE_CHECKING:
    from pathlib import Path

ARM = """processor\t: {n}
BogoMIPS\t: 48.00
Features\t: {features}
CPU implementer\t: {implementer}
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: {part}
CPU revision\t: 1
"""
X86 = "processor\t: {n}\nvendor_id\t: GenuineIntel\nmodel name\t: {model}\nflags\t\t: fpu {flags}\n"


def arm(*kinds: tuple[str, str, str]) -> str:
    return "\n".join(ARM.format(n=n, implementer=i, part=p, features=f) for n, (i, p, f) in enumerate(kinds))


def rk3588(root: Path) -> Path:
    small, big = ("0x41", "0xd05", "fp asimd asimddp"), ("0x41", "0xd0b", "fp asimd asimdhp asimddp")
    return put(
        root,
        {
            "proc/cpuinfo": arm(*[small] * 4, *[big] * 4) + "\nSerial\t\t: abc",
            "proc/device-tree/model": "Radxa ROCK 5B\0",
            "proc/device-tree/compatible": "radxa,rock-5b\0rockchip,rk3588\0",
            "proc/meminfo": "MemTotal:       16317152 kB\nMemAvailable:   12000000 kB\nHugePages_Total:       0",
            "proc/sys/kernel/hostname": "rock",
            "proc/sys/kernel/osrelease": "6.1.75-vendor-rk35xx",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
        },
    )


def test_a_board_with_two_kinds_of_cores(tmp_path: Path) -> None:
    device = identity.identify(rk3588(tmp_path))
    assert device.board == "Radxa ROCK 5B"
    assert device.soc == "rockchip,rk3588"
    assert device.core_kinds == {"Cortex-A55": 4, "Cortex-A76": 4}
    assert device.features == ("asimd", "asimddp"), "what only the big cores have is not the device's"
    assert device.memory == 15934
    assert (device.hostname, device.kernel) == ("rock", "6.1.75-vendor-rk35xx")
    assert device.system == "Debian GNU/Linux 12 (bookworm)"
    assert device.power_mode == ""
    assert device.cores == len(os.sched_getaffinity(0))


def test_a_pc_is_named_by_dmi_and_its_processor(tmp_path: Path) -> None:
    dmi = "sys/class/dmi/id"
    put(tmp_path, {f"{dmi}/sys_vendor": "LENOVO", f"{dmi}/product_name": "21HM"})
    put(tmp_path, {"proc/cpuinfo": "\n".join(X86.format(n=n, model="13th Gen i7", flags="avx2 fma") for n in range(4))})
    put(tmp_path, {"sys/devices/cpu_core/cpus": "0-1", "sys/devices/cpu_atom/cpus": "2-3"})
    put(tmp_path, {"sys/firmware/acpi/platform_profile": "balanced"})
    device = identity.identify(tmp_path)
    assert device.board == "LENOVO 21HM"
    assert device.soc == "13th Gen i7"
    assert device.core_kinds == {"13th Gen i7 P-core": 2, "13th Gen i7 E-core": 2}
    assert device.features == ("fma", "avx2")
    assert device.power_mode == "platform_profile balanced"
    put(tmp_path, {f"{dmi}/sys_vendor": "To Be Filled By O.E.M.", f"{dmi}/product_name": "Default string"})
    assert identity.identify(tmp_path).board == ""


def test_a_jetson_tells_its_power_mode_by_name(tmp_path: Path) -> None:
    put(tmp_path, {"var/lib/nvpmodel/status": "pmode:0002 fmode:quiet"})
    assert identity.power_mode(tmp_path) == "nvpmodel 2"
    put(tmp_path, {"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_15W >"})
    assert identity.power_mode(tmp_path) == "nvpmodel MODE_15W"


def test_a_chip_without_a_device_tree_may_be_in_soc0(tmp_path: Path) -> None:
    put(tmp_path, {"sys/devices/soc0/family": "Snapdragon", "sys/devices/soc0/soc_id": "415"})
    assert identity.identify(tmp_path).soc == "Snapdragon 415"


def test_an_empty_root_gives_empty_fields(tmp_path: Path) -> None:
    device = identity.identify(tmp_path)
    assert (device.board, device.soc, device.core_kinds, device.features, device.memory) == ("", "", {}, (), 0)
    assert device.architecture == platform.machine()


def test_this_machine_has_an_identity() -> None:
    device = identity.identify()
    assert device.memory > 100
    assert device.cores >= 1
    assert device.kernel == platform.release()
    assert sum(device.core_kinds.values()) == len(cpuinfo.processors(identity.Path("/")))


@pytest.mark.parametrize(
    ("implementer", "part", "name"),
    [
        ("0x41", "0xd42", "Cortex-A78AE"),
        ("0x4e", "0x004", "Carmel"),
        ("0x51", "0x001", "Oryon"),
        ("0x41", "0xfff", "ARM part 0xfff"),
        ("0x99", "0x001", "implementer 0x99 part 0x001"),
    ],
)
def test_cores_have_names(tmp_path: Path, implementer: str, part: str, name: str) -> None:
    put(tmp_path, {"proc/cpuinfo": arm((implementer, part, "fp"))})
    assert cpuinfo.core_kinds(tmp_path) == {name: 1}


def test_every_part_has_a_known_implementer() -> None:
    assert {implementer for implementer, _ in PARTS} <= set(IMPLEMENTERS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(alphabet=st.sampled_from("processor: \n\t0123xXmodelnamCPUpart"), max_size=120))
def test_no_cpuinfo_breaks_the_reader(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"proc/cpuinfo": text})
    cpuinfo.core_kinds(tmp_path)
    cpuinfo.features(tmp_path)


DMI = "sys/class/dmi/id"
FLAGGED = X86.format(n=0, model="Xeon", flags="hypervisor")


def test_a_program_that_qemu_plays_finds_its_player(tmp_path: Path) -> None:
    link = put(tmp_path, {"proc/cpuinfo": arm(("0x41", "0xd0b", "fp"))}) / "proc/thread-self/exe"
    link.parent.mkdir()
    link.symlink_to("/usr/bin/qemu-aarch64-static")
    assert virtual.virtual(tmp_path, "aarch64") == "emulated by QEMU"
    link.unlink()
    link.symlink_to("/usr/bin/python3.11")
    assert virtual.virtual(tmp_path, "aarch64") == ""


@pytest.mark.parametrize(
    ("files", "machine", "name"),
    [
        ({}, "x86_64", ""),
        ({"proc/cpuinfo": FLAGGED}, "x86_64", "a hypervisor (flag of the processor)"),
        ({"proc/cpuinfo": FLAGGED, f"{DMI}/sys_vendor": "QEMU"}, "x86_64", "QEMU"),
        ({"proc/cpuinfo": FLAGGED, f"{DMI}/product_name": "KVM", f"{DMI}/sys_vendor": "QEMU"}, "x86_64", "KVM"),
        ({"proc/cpuinfo": FLAGGED, f"{DMI}/sys_vendor": "Amazon EC2"}, "x86_64", "Amazon EC2"),
        # A whole machine for rent has the same vendor and no hypervisor.
        ({f"{DMI}/sys_vendor": "Amazon EC2"}, "x86_64", ""),
        ({f"{DMI}/product_name": "Virtual Machine", f"{DMI}/sys_vendor": "Microsoft"}, "x86_64", "Hyper-V"),
        ({"sys/hypervisor/type": "xen"}, "aarch64", "Xen"),
        ({"proc/device-tree/model": "linux,dummy-virt"}, "aarch64", "virtual machine (linux,dummy-virt)"),
        ({"proc/cpuinfo": X86.format(n=0, model="QEMU TCG CPU version 2.5+", flags="")}, "x86_64", "emulated by QEMU"),
        ({"proc/cpuinfo": FLAGGED}, "aarch64", "emulated by QEMU"),
        ({"proc/sys/fs/binfmt_misc/qemu-aarch64": "enabled\ninterpreter /q"}, "aarch64", "emulated by QEMU"),
        ({"proc/sys/fs/binfmt_misc/qemu-aarch64": "disabled"}, "aarch64", ""),
        ({"proc/sys/fs/binfmt_misc/qemu-aarch64": "enabled"}, "x86_64", ""),
    ],
)
def test_hypervisors_and_emulators_are_named(tmp_path: Path, files: dict[str, str], machine: str, name: str) -> None:
    assert virtual.virtual(put(tmp_path, files), machine) == name
