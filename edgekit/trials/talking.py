"""What every parent of a child process needs: hand it a line, read what it printed, end it with all it started."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from edgekit import errors
from edgekit.bundle import schema
from edgekit.errors import EdgekitError, ExecutionError

if TYPE_CHECKING:
    import subprocess

_MOST_LOG = 1 << 16


def send(child: subprocess.Popen[bytes], record: object) -> None:
    """Hand a child one record as a line of JSON.

    A child that ended already is no error here: it is told by the answer that does not come.

    Args:
        child: started with a pipe as its standard input.
        record: a frozen dataclass of plain values.
    """
    line = json.dumps(schema.to_plain(record)).encode() + b"\n"
    with suppress(BrokenPipeError):
        if child.stdin is not None:
            child.stdin.write(line)
            child.stdin.flush()


def error_in(line: bytes | str) -> EdgekitError | None:
    """Return the error that a child told in a line of ``{"error": [type, message]}``.

    Args:
        line: that the child wrote.

    Returns:
        The error, to be raised, an `ExecutionError` where its type is none of edgekit's; None where there is none.
    """
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    error = found.get("error") if isinstance(found, dict) else None
    if not (isinstance(error, list) and len(error) == 2):
        return None
    return errors.named(str(error[0]), str(error[1]), ExecutionError)


def printed(log: BinaryIO, rest: bytes = b"") -> list[str]:
    """Return the lines that a child printed, as far as a person can read them.

    Args:
        log: file that its standard error went to; it is read from its last 64 KiB on, and left at its end.
        rest: what it printed elsewhere, after the log.

    Returns:
        Lines without what moves a terminal's cursor; no empty ones.
    """
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _MOST_LOG))
    lines = (log.read() + b"\n" + rest).decode(errors="replace").splitlines()
    return [text for line in lines if (text := "".join(c for c in line if c.isprintable()).strip())]


def end(child: subprocess.Popen[bytes], log: BinaryIO) -> None:
    """End a child and whatever it started, and close its streams; ending it twice is harmless.

    Args:
        child: started with ``start_new_session``, so that its group is its own.
        log: file that its standard error went to.
    """
    # Once it was waited for, its number may be another process's.
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for stream in (child.stdin, child.stdout, log):
        if stream is not None:
            # What was never sent cannot be flushed any more.
            with suppress(BrokenPipeError):
                stream.close()
