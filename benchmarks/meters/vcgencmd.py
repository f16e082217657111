"""Raspberry Pi's command for what its firmware knows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SECONDS = 2.0


def find(root: Path) -> str | None:
    """Return the command under a root folder, or on the search path for the running system; None without one."""
    if root == Path("/"):
        return shutil.which("vcgencmd")
    for folder in ("usr/bin", "bin", "opt/vc/bin"):
        if (root / folder / "vcgencmd").is_file():
            return str(root / folder / "vcgencmd")
    return None


def ask(command: str, question: str) -> tuple[str, str]:
    """Ask the firmware.

    Args:
        command: as `find` returned it.
        question: such as ``get_throttled``.

    Returns:
        The answer, and why there is none; one of them is empty.
    """
    try:
        done = subprocess.run([command, question], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "", f"vcgencmd {question} did not answer within {_SECONDS:.0f} s"
    except OSError as error:
        return "", f"vcgencmd cannot be started: {error.strerror}"
    said = done.stdout.strip() or done.stderr.strip()
    if done.returncode or "error" in said[:12].lower() or "VCHI" in said:
        return "", f"vcgencmd {question}: {said or f'exit status {done.returncode}'}"
    return said, ""
