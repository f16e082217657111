"""Run a step of a conversion in a child process and turn however it ends into a result or one clear error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from edgekit import errors
from edgekit.errors import ConversionError, EdgekitError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

_TAIL = 12
# `python -m` would look for edgekit in the current folder first, which may be a checkout of it.
_START = (
    "import runpy, sys; sys.path[:] = [p for p in sys.path if p]; del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_STAGE, _ERROR, _PROGRESS = "stage", "error", "progress"


def run_child(
    module: str,
    folder: Path,
    arguments: tuple[str, ...],
    on_stage: Callable[[str], None],
    on_progress: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> None:
    """Run ``python -m module folder arguments…`` to its end.

    The child reports on its standard output, one JSON object a line: ``{"stage": …}`` and ``{"progress": {…}}`` as it
    goes on, and ``{"error": [type, message]}`` when it fails on purpose. Everything else it prints goes into a log.

    Args:
        module: has a ``main`` that calls `report`.
        folder: the work folder.
        arguments: further arguments.
        on_stage: called with each stage's name.
        on_progress: called with the facts of each `progress`.

    Raises:
        EdgekitError: the child failed on purpose; the same type and message.
        ConversionError: the child crashed or was killed; the message has its last lines.
    """
    log = folder / f"{module.rpartition('.')[2]}.log"
    failure: tuple[str, str] | None = None
    with log.open("wb") as stderr:
        child = start(module, folder, arguments, subprocess.PIPE, stderr)
        try:
            for line in child.stdout or ():
                message = _message(line)
                if _STAGE in message:
                    on_stage(str(message[_STAGE]))
                elif isinstance(message.get(_PROGRESS), dict):
                    on_progress(message[_PROGRESS])
                elif isinstance(message.get(_ERROR), list) and len(message[_ERROR]) == 2:
                    failure = (str(message[_ERROR][0]), str(message[_ERROR][1]))
                elif line.strip():
                    stderr.write(line)
                    stderr.flush()
            code = child.wait()
        finally:
            end(child)
    if failure is not None:
        raise errors.named(*failure, ConversionError)
    if code != 0:
        raise ConversionError(f"{module} {ending(code)}; its last lines:\n{last_lines(log)}")


def start(
    module: str,
    folder: Path,
    arguments: tuple[str, ...],
    stdout: BinaryIO | int,
    stderr: BinaryIO,
    stdin: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``python -m module folder arguments…`` and return at once.

    Args:
        module: has a ``main``.
        folder: the work folder.
        arguments: further arguments.
        stdout: where its output goes; a file, or ``subprocess.PIPE``.
        stderr: where its errors go.
        stdin: ``subprocess.PIPE`` to talk to it; None leaves it this process's own.

    Returns:
        The child; `end` it whatever happens.
    """
    command = [sys.executable, "-c", _START, module, str(folder), *arguments]
    # A session of its own, so that Ctrl-C reaches this process first and the child is ended by it.
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)


def stage(name: str) -> None:
    """Tell the parent what this child is doing now."""
    _send({_STAGE: name})


def progress(facts: dict[str, Any]) -> None:
    """Tell the parent how far this child is: texts and finite numbers by name."""
    _send({_PROGRESS: facts})


def report(step: Callable[[], None]) -> None:
    """Run `step` and send an error that is meant for the user to the parent; any other error is a crash."""
    try:
        step()
        return
    except EdgekitError as error:
        failure = type(error).__name__, str(error)
    except OSError as error:
        failure = "ConversionError", f"{error.filename or 'work folder'}: {reason(error)}"
    except MemoryError:
        failure = "ConversionError", "out of memory; convert on a machine with more"
    _send({_ERROR: failure})
    # Should the message get lost, the parent must still not take this for success.
    sys.exit(1)


def reason(error: OSError) -> str:
    """Say why a file could not be read or written."""
    # NumPy tells a full disk without the system's error number.
    return error.strerror or f"could not be written whole, the disk is most likely full ({error})"


def _send(message: dict[str, object]) -> None:
    # On a line of its own, whatever a library printed before without ending its line.
    sys.__stdout__.write(f"\n{json.dumps(message)}\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child, with the processes it started, if it still runs."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()


def ending(code: int) -> str:
    """Say how a child ended that did not succeed."""
    if code < 0:
        # Most real-time signals have a number and no name.
        name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
        hint = " (the system killed it, most likely for memory)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"failed with exit code {code}"


def last_lines(log: Path) -> str:
    """Return the last lines of a child's log, indented."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_TAIL:]) or "  (it printed nothing)"
