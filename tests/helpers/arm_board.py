"""An emulated ARM64 board: Debian's files from `.ci/aarch64`, the wheel of this checkout, one kind of processor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILES = ROOT / ".cache" / "aarch64"
_BASE = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = f"{_BASE} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp ssbs"
# In namespaces of its own, so that nothing has to be taken away again. Engines look into /proc and /sys, and must find
# the emulated processor there, not this machine's: without it OpenVINO dies, and ONNX Runtime warns of what it misses.
_START = """
root=$1 cpu=$2 info=$3 site=$4; shift 4
mkdir -p "$root/site" "$root/here" "$root/proc" "$root/sys"
mount -t proc proc "$root/proc" && mount --bind "$info/cpuinfo" "$root/proc/cpuinfo" &&
mount --bind "$info/sys" "$root/sys" && mount --bind "$site" "$root/site" && mount --bind "$HERE" "$root/here" &&
mount -t tmpfs tmpfs "$root/tmp" && : >"$root/tmp/qemu" && mount --bind "$QEMU" "$root/tmp/qemu" || exit 90
exec chroot "$root" /tmp/qemu -cpu "$cpu" -E PYTHONPATH="$PATHS" -E HOME=/tmp -E OMP_NUM_THREADS=1 \
  /usr/bin/python3.11 "$@"
"""


@dataclass(frozen=True)
class Processor:
    """One kind of processor: the emulator's name, and what Linux says of it."""

    name: str
    features: str
    part: str


CORTEX_A53 = Processor("cortex-a53", _BASE, "0xd03")
CORTEX_A76 = Processor("cortex-a76", _V82, "0xd0b")
# With SVE and i8mm. The emulator's matrix extension gives wrong int8 products, and is left out.
NEWEST = Processor("max,sme=off", f"{_V82} sve i8mm bf16", "0xd49")


def missing() -> str:
    """Say why there is no board here; empty where there is one."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if not (FILES / ".ok").exists():
        return "no ARM64 files; run: sh .ci/aarch64"
    return "" if shutil.which("qemu-aarch64-static") else "qemu-aarch64-static is not installed"


def install(site: Path) -> Path:
    """Install this checkout's wheel into a folder; its dependencies are on the board."""
    source = site.with_name("source")
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, kept)):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(site), str(source)], check=True)
    return site


def describe(processor: Processor, folder: Path) -> Path:
    """Write what Linux tells of one such processor, as ``cpuinfo`` and ``sys``, into a folder of its own."""
    info = folder / f"processor-{processor.part}"
    facts = {"processor": "0", "BogoMIPS": "108.00", "Features": processor.features, "CPU implementer": "0x41"}
    facts |= {"CPU architecture": "8", "CPU variant": "0x0", "CPU part": processor.part, "CPU revision": "4"}
    # The register's parts: Arm Architecture Reference Manual, MIDR_EL1.
    register = 0x41 << 24 | 0xF << 16 | int(processor.part, 0) << 4 | 4
    files = {
        "cpuinfo": "".join(f"{name}\t: {value}\n" for name, value in facts.items()) + "\n",
        **{f"sys/devices/system/cpu/{name}": "0\n" for name in ("possible", "present", "online")},
        **{f"sys/devices/system/cpu/cpu0/topology/{name}": "0\n" for name in ("core_id", "physical_package_id")},
        **{f"sys/devices/system/cpu/cpu0/topology/{name}": "1\n" for name in ("core_siblings", "thread_siblings")},
        "sys/devices/system/cpu/cpu0/regs/identification/midr_el1": f"{register:#018x}\n",
    }
    for name, text in files.items():
        (info / name).parent.mkdir(parents=True, exist_ok=True)
        (info / name).write_text(text)
    return info


def run(
    processor: Processor, folder: Path, site: Path, arguments: list[str], *, engines: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the board's Python; `folder` is its ``/here``, and `engines` lets it import others than ONNX Runtime."""
    info = describe(processor, folder)
    command = ["unshare", "-m", "sh", "-c", _START, "sh", str(FILES / "root"), processor.name, str(info), str(site)]
    paths = "/site:/opt/engines" if engines else "/site"
    emulator = {**os.environ, "QEMU": shutil.which("qemu-aarch64-static") or "", "PATHS": paths, "HERE": str(folder)}
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=240, check=False, env=emulator
    )


def json_of(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what a program printed, which must have ended well."""
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
