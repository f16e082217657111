"""Memory of a process and its descendants, from Linux's /proc: no package has to be installed for it."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def session_bytes(session: int) -> int:
    """Return the resident memory of all processes of a session, in bytes.

    Args:
        session: id of the session, which is that of the process that began it.

    Returns:
        The sum over its processes; pages that they share count for each. 0 where none is left or there is no /proc.
    """
    total = 0
    for entry in _PROC.glob("[0-9]*"):
        try:
            # The name may hold spaces and parentheses; the fields begin after the last parenthesis.
            after = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(after[3]) == session:
                total += int((entry / "statm").read_text().split()[1]) * _page()
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
    return total


def _page() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE")
