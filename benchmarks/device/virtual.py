"""Whether the device is real, a virtual machine, or emulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.device import cpuinfo
from edgekit.benchmarks.meters import sysfs

if TYPE_CHECKING:
    from pathlib import Path

EMULATED = "emulated"
"""First word of what `virtual` says of instructions that another processor plays."""

# What DMI says of virtual machines: (part of the text in lower case, name), as systemd-detect-virt has them.
_DMI = (
    ("kvm", "KVM"),
    ("amazon ec2", "Amazon EC2"),
    ("google compute engine", "Google Compute Engine"),
    ("qemu", "QEMU"),
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("innotek", "VirtualBox"),
    ("xen", "Xen"),
    ("bochs", "Bochs"),
    ("parallels", "Parallels"),
    ("bhyve", "bhyve"),
    ("virtual machine", "Hyper-V"),
    ("openstack", "OpenStack"),
    ("apple virtualization", "Apple Virtualization"),
)
_ARM = ("aarch64", "arm64", "armv")


def virtual(root: Path, machine: str) -> str:
    """Name the hypervisor or emulator.

    Args:
        root: folder that holds ``proc`` and ``sys``.
        machine: architecture of this process, as `platform.machine` has it.

    Returns:
        Such as ``KVM`` or ``emulated by QEMU``; empty on hardware, as far as the system tells.
    """
    processors = cpuinfo.processors(root)
    if _emulated(root, machine, processors):
        return f"{EMULATED} by QEMU"
    dmi = " ".join(
        sysfs.text(root / "sys/class/dmi/id" / name) or ""
        for name in ("sys_vendor", "product_name", "board_vendor", "bios_vendor")
    ).lower()
    named = next((name for part, name in _DMI if part in dmi), "")
    kind = sysfs.text(root / "sys/hypervisor/type")
    flagged = any("hypervisor" in p.get("flags", "").split() for p in processors)
    model = (sysfs.text(root / "proc/device-tree/model") or "").lower()
    if named and (flagged or not dmi.startswith("amazon ec2")):
        return named
    if kind:
        return kind.capitalize()
    if "dummy-virt" in model or "virtual machine" in model:
        return f"virtual machine ({model})"
    return "a hypervisor (flag of the processor)" if flagged else ""


def _program(root: Path) -> str:
    try:
        return (root / "proc/thread-self/exe").readlink().name
    except OSError:
        return ""


def _emulated(root: Path, machine: str, processors: tuple[dict[str, str], ...]) -> bool:
    # A whole machine: QEMU without hardware support calls its processor "QEMU Virtual CPU" or "QEMU TCG CPU".
    if any("qemu" in p.get("model name", "").lower() and "kvm" not in p.get("model name", "") for p in processors):
        return True
    # One process: the emulator answers for /proc/self itself, but not for this path to the same link.
    if _program(root).startswith("qemu-"):
        return True
    if not machine.startswith(_ARM):
        return False
    # It sees the host's processors, or the kernel starts such programs by an emulator.
    if any("vendor_id" in p for p in processors):
        return True
    handlers = sysfs.entries(root / "proc/sys/fs/binfmt_misc", "qemu-aarch64" if "64" in machine else "qemu-arm")
    return any((sysfs.text(handler) or "").startswith("enabled") for handler in handlers)
