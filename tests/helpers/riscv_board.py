"""An emulated RISC-V board: Debian's files from `.ci/riscv64`, and the wheel of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from arm_board import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FILES = ROOT / ".cache" / "riscv64"
# In namespaces of its own, so that nothing has to be taken away again.
_START = """
root=$1 info=$2 site=$3; shift 3
mkdir -p "$root/site" "$root/proc"
mount -t proc proc "$root/proc" && mount --bind "$info" "$root/proc/cpuinfo" && mount --bind "$site" "$root/site" &&
mount -t tmpfs tmpfs "$root/tmp" && : >"$root/tmp/qemu" && mount --bind "$QEMU" "$root/tmp/qemu" || exit 90
exec chroot "$root" /tmp/qemu -E PYTHONPATH=/site -E HOME=/tmp -E OMP_NUM_THREADS=1 /usr/bin/python3.13 "$@"
"""


def missing() -> str:
    """Say why there is no board here; empty where there is one."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if not (FILES / ".ok").exists():
        return "no RISC-V files; run: sh .ci/riscv64"
    return "" if shutil.which("qemu-riscv64-static") else "qemu-riscv64-static is not installed"


def run(site: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the board's Python."""
    command = ["unshare", "-m", "sh", "-c", _START, "sh", str(FILES / "root"), str(FILES / "cpuinfo"), str(site)]
    emulator = {**os.environ, "QEMU": shutil.which("qemu-riscv64-static") or ""}
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=600, check=False, env=emulator
    )
