"""Raspberry Pi's command for what its firmware knows."""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from pathlib import Path

_SECONDS = 2.0
_STDOUT, _STDERR = 1, 2


class Command:
    """``vcgencmd`` under a root folder, or on the search path for the running system.

    Args:
        root: folder that holds ``usr/bin``.
    """

    def __init__(self, root: Path) -> None:
        self._path = _find(root)
        self._spent = 0.0

    @property
    def installed(self) -> bool:
        """Whether there is one."""
        return self._path is not None

    @property
    def cpu_seconds(self) -> float:
        """CPU time that its calls have taken so far."""
        return self._spent

    def ask(self, question: str) -> tuple[str, str]:
        """Ask the firmware.

        Args:
            question: such as ``get_throttled``.

        Returns:
            The answer, and why there is none; one of them is empty.
        """
        if self._path is None:
            return "", "vcgencmd is not installed (Raspberry Pi only)"
        try:
            said, status, spent = _run([self._path, question])
        except OSError as error:
            return "", f"vcgencmd cannot be started: {error.strerror}"
        self._spent += spent
        if status is None:
            return "", f"vcgencmd {question} did not answer within {_SECONDS:.0f} s"
        if status or "error" in said[:12].lower() or "VCHI" in said:
            return "", f"vcgencmd {question}: {said or f'exit status {status}'}"
        return said, ""


def _find(root: Path) -> str | None:
    if root == Path("/"):
        return shutil.which("vcgencmd")
    path = root / "usr/bin/vcgencmd"
    return str(path) if path.is_file() else None


def _run(command: list[str]) -> tuple[str, int | None, float]:
    """Run a command; return what it wrote, its exit status (None: it was ended), and its CPU seconds.

    `subprocess` waits for its children without asking what they cost, and the cost of all children of this process
    holds that of the measured one.
    """
    read, write = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, write, _STDOUT), (os.POSIX_SPAWN_DUP2, write, _STDERR)]
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    try:
        said = _until(read, time.monotonic() + _SECONDS)
        if said is None:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(read)
        _, status, used = os.wait4(pid, 0)
    spent = used.ru_utime + used.ru_stime
    if said is None:
        return "", None, spent
    return said.decode(errors="replace").strip(), os.waitstatus_to_exitcode(status), spent


def _until(handle: int, deadline: float) -> bytes | None:
    """Read to the end; None when it does not come in time."""
    parts: list[bytes] = []
    while select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(handle, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None
