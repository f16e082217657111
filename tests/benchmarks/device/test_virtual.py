"""Machines that are none: each hypervisor by what it shows, and hardware that must not be taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import bench_results
from edgekit.benchmarks.device import judge, virtual
from edgekit.benchmarks.device.virtual import EMULATED
from kernel_tree import put

if TYPE_CHECKING:
    from pathlib import Path

DMI = "sys/class/dmi/id"
INTEL = "processor: 0\nvendor_id: GenuineIntel\nmodel name: {model}\nflags: fpu {flags}"
GUEST = {"proc/cpuinfo": INTEL.format(model="Intel(R) Xeon(R) Processor", flags="hypervisor")}
ARM = "processor: 0\nCPU implementer: 0x41\nCPU part: 0xd0c\nFeatures: fp asimd"


@pytest.mark.parametrize(
    ("dmi", "name"),
    [
        ({"sys_vendor": "Google", "product_name": "Google Compute Engine"}, "Google Compute Engine"),
        ({"sys_vendor": "VMware, Inc.", "product_name": "VMware Virtual Platform"}, "VMware"),
        ({"sys_vendor": "innotek GmbH", "product_name": "VirtualBox"}, "VirtualBox"),
        ({"sys_vendor": "Xen", "product_name": "HVM domU"}, "Xen"),
        ({"sys_vendor": "Parallels International GmbH."}, "Parallels"),
        ({"bios_vendor": "BHYVE"}, "bhyve"),
        ({"sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"}, "OpenStack"),
        ({"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}, "Hyper-V"),
        ({"sys_vendor": "Apple Inc.", "product_name": "Apple Virtualization Generic Platform"}, "Apple Virtualization"),
        ({"board_vendor": "QEMU"}, "QEMU"),
        ({"sys_vendor": "Nobody"}, "a hypervisor (flag of the processor)"),
    ],
)
def test_guests_are_named_by_what_their_firmware_says(tmp_path: Path, dmi: dict[str, str], name: str) -> None:
    put(tmp_path, {**GUEST, **{f"{DMI}/{file}": text for file, text in dmi.items()}})
    assert virtual.virtual(tmp_path, "x86_64") == name
    assert not name.startswith(EMULATED), "its processor is real"


@pytest.mark.parametrize(
    ("files", "machine"),
    [
        ({f"{DMI}/sys_vendor": "Dell Inc.", f"{DMI}/product_name": "PowerEdge R740"}, "x86_64"),
        ({f"{DMI}/sys_vendor": "Microsoft Corporation", f"{DMI}/product_name": "Surface Pro 9"}, "x86_64"),
        ({f"{DMI}/sys_vendor": "Google", f"{DMI}/product_name": "Eve"}, "x86_64"),
        ({f"{DMI}/sys_vendor": "Apple Inc.", f"{DMI}/product_name": "MacBookPro18,1"}, "aarch64"),
        ({f"{DMI}/sys_vendor": "Amazon EC2", f"{DMI}/product_name": "a1.metal", "proc/cpuinfo": ARM}, "aarch64"),
        ({"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0", "proc/cpuinfo": ARM}, "aarch64"),
        # An x86 machine that can start ARM programs by an emulator is itself no emulated one.
        (
            {"proc/sys/fs/binfmt_misc/qemu-aarch64": "enabled", "proc/cpuinfo": INTEL.format(model="i7", flags="")},
            "x86_64",
        ),
        # A 64-bit board on which only 32-bit programs of another kind are started so.
        ({"proc/sys/fs/binfmt_misc/qemu-arm": "enabled", "proc/cpuinfo": ARM}, "aarch64"),
    ],
)
def test_hardware_is_taken_for_hardware(tmp_path: Path, files: dict[str, str], machine: str) -> None:
    assert virtual.virtual(put(tmp_path, files), machine) == ""


@pytest.mark.parametrize(
    ("files", "machine"),
    [
        ({"proc/cpuinfo": INTEL.format(model="QEMU Virtual CPU version 2.5+", flags="hypervisor")}, "x86_64"),
        ({"proc/cpuinfo": INTEL.format(model="QEMU TCG CPU version 2.5+", flags="")}, "x86_64"),
        ({"proc/sys/fs/binfmt_misc/qemu-arm": "enabled", "proc/cpuinfo": ARM}, "armv7l"),
        ({"proc/cpuinfo": INTEL.format(model="i7", flags="")}, "armv7l"),
        ({"proc/cpuinfo": INTEL.format(model="i7", flags="")}, "arm64"),
    ],
)
def test_an_emulated_processor_makes_a_run_invalid(tmp_path: Path, files: dict[str, str], machine: str) -> None:
    found = virtual.virtual(put(tmp_path, files), machine)
    assert found == "emulated by QEMU"
    context = bench_results.result("pi5").context
    device = bench_results.changed(context.device, "virtual", found)
    (reason,) = judge.reasons(context.before, context.before, (), False, device)  # type: ignore[arg-type]
    assert reason == "the machine is emulated by QEMU: its times say nothing about a device; run on hardware"


def test_a_guest_is_told_and_its_run_may_stand(tmp_path: Path) -> None:
    context = bench_results.result("pi5").context
    device = bench_results.changed(context.device, "virtual", virtual.virtual(put(tmp_path, GUEST), "x86_64"))
    assert judge.reasons(context.before, context.before, (), False, device) == ()  # type: ignore[arg-type]
