"""What a device is: board, processors, memory, system, power mode, hypervisor."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from edgekit.benchmarks.device import cpuinfo, virtual
from edgekit.benchmarks.meters import sysfs
from edgekit.benchmarks.results.context_records import Device

# DMI strings that makers leave at their default.
_EMPTY = frozenset(
    {"", "to be filled by o.e.m.", "system manufacturer", "system product name", "default string", "none"}
)
_SERIES = re.compile(r"< *POWER_MODEL +ID=(\d+) +NAME=(\S+) *>")


def identify(root: Path | None = None) -> Device:
    """Describe the device.

    Args:
        root: folder that holds ``proc``, ``sys``, ``etc`` and ``var``; None for the running system's. The number of
            processors that this process may use and the architecture are the running system's in any case.

    Returns:
        What the kernel tells; a field that it does not tell is empty, or 0.
    """
    top = Path("/") if root is None else root
    proc = top / "proc/sys/kernel"
    return Device(
        hostname=sysfs.text(proc / "hostname") or platform.node(),
        board=_board(top),
        soc=_soc(top),
        architecture=platform.machine(),
        cores=_cores(),
        core_kinds=cpuinfo.core_kinds(top),
        features=cpuinfo.features(top),
        memory=memory(top).get("MemTotal", 0),
        system=_system(top),
        kernel=sysfs.text(proc / "osrelease") or platform.release(),
        power_mode=power_mode(top),
        virtual=virtual.virtual(top, platform.machine()),
    )


def memory(root: Path) -> dict[str, int]:
    """Return the figures of ``/proc/meminfo``, such as ``MemTotal`` and ``MemAvailable``, in MiB."""
    found = {}
    for line in (sysfs.text(root / "proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        kilobytes = value.split()
        if kilobytes and kilobytes[0].isdecimal():
            found[name] = int(kilobytes[0]) // 1024
    return found


def power_mode(root: Path) -> str:
    """Return the mode that NVIDIA's ``nvpmodel`` or the firmware's platform profile is set to; empty without one."""
    status = sysfs.text(root / "var/lib/nvpmodel/status") or ""
    match = re.match(r"pmode:(\d+)", status)
    if match:
        number = str(int(match[1]))
        modes = dict(_SERIES.findall(sysfs.text(root / "etc/nvpmodel.conf") or ""))
        return f"nvpmodel {modes.get(number, number)}"
    profile = sysfs.text(root / "sys/firmware/acpi/platform_profile")
    return f"platform_profile {profile}" if profile else ""


def _board(root: Path) -> str:
    model = device_tree(root, "model")
    if model:
        return model
    dmi = root / "sys/class/dmi/id"
    parts = [sysfs.text(dmi / name) or "" for name in ("sys_vendor", "product_name")]
    return " ".join(part for part in parts if part.lower() not in _EMPTY)


def _soc(root: Path) -> str:
    compatible = device_tree(root, "compatible").split("\0")
    if compatible[-1]:
        # From the board to the chip: the last entry is the chip.
        return compatible[-1]
    soc = root / "sys/devices/soc0"
    parts = [sysfs.text(soc / name) or "" for name in ("family", "soc_id")]
    told = " ".join(part for part in parts if part)
    models = [p.get("model name") or p.get("hardware") or "" for p in cpuinfo.processors(root)]
    return told or next((model for model in models if model), "")


def device_tree(root: Path, name: str) -> str:
    """Return a string of the device tree's root node, its parts separated by zero bytes; empty without one."""
    for folder in ("proc/device-tree", "sys/firmware/devicetree/base"):
        found = sysfs.text(root / folder / name)
        if found:
            return found
    return ""


def _system(root: Path) -> str:
    fields = {}
    for line in (sysfs.text(root / "etc/os-release") or sysfs.text(root / "usr/lib/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        fields[name] = value.strip().strip("\"'")
    return fields.get("PRETTY_NAME") or platform.system()


def _cores() -> int:
    # A container's quota of CPU time is no set of processors, and stays out.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
