"""Hand a toolchain a request as files, and turn however it ends into a result or one clear error."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import errors
from edgekit.atomic import write_bytes
from edgekit.converters.children import end, ending
from edgekit.converters.toolchains import launch, memory, store
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.converters.toolchains.records import Toolchain

_LOG = "tool.log"
_TAIL = 12
_POLL = 0.1
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_REFUSAL = r"\b(?:no|not|invalid|expired|missing|fail\w*|denied|den(?:y|ies)|error|unable|require[ds]?|unavailable)\b"
# A licence that is named beside a refusal in one line; tools also name the one that they are published under.
_LICENCE = re.compile(rf"{_REFUSAL}.*licen[cs]e|licen[cs]e.*{_REFUSAL}", re.IGNORECASE)
_GB = 1e9


@dataclass(frozen=True)
class Limits:
    """What a worker may use.

    Attributes:
        seconds: of wall time.
        memory: bytes of resident memory of all its processes; 0 for no limit.
    """

    seconds: float = 3600.0
    memory: int = 0


@dataclass(frozen=True)
class Answer:
    """What a worker returned.

    Attributes:
        result: plain values, as its ``run`` returned them.
        seconds: it took.
        peak_bytes: largest resident memory that was seen, ten times a second.
    """

    result: dict[str, Any]
    seconds: float
    peak_bytes: int


def run(
    toolchain: Toolchain,
    worker: Path,
    folder: Path,
    request: Mapping[str, Any],
    limits: Limits,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Answer:
    """Run a worker in a toolchain's own Python, in a process of its own.

    Args:
        toolchain: installed.
        worker: the file to run there; it has ``run(job)`` and imports nothing of edgekit.
        folder: an empty work folder; request, result and log stay in it.
        request: plain values.
        limits: of time and memory.
        on_stage: called with the name of each stage as it begins.

    Returns:
        What the worker returned.

    Raises:
        MissingDependencyError: the toolchain is not installed.
        EdgekitError: the worker refused; of the kind it named.
        ConversionError: it crashed, was killed, ran out of time or memory, or its licence was refused; the message has
            its last lines.
    """
    store.require(toolchain)
    write_bytes(folder / launch.REQUEST, json.dumps(dict(request)).encode())
    for stale in (launch.RESULT, launch.STAGES):
        (folder / stale).unlink(missing_ok=True)
    command = [str(store.python(toolchain.name)), "-I", launch.__file__, str(worker.absolute()), str(folder.absolute())]
    start = time.monotonic()
    with (folder / _LOG).open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**store.clean_environment(), "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1", "PYTHONNOUSERSITE": "1"},
            start_new_session=True,
        )
        try:
            stopped, peak = _watch(child, folder, limits, start, on_stage)
            code = child.wait()
        finally:
            end(child)
    seconds = round(time.monotonic() - start, 1)
    answer = _answer(folder)
    if not stopped and code == 0 and "result" in answer:
        return Answer(answer["result"], seconds, peak)
    if not stopped and "error" in answer:
        kind, message = answer["error"]
        raise errors.named(kind, message, ConversionError)
    raise ConversionError(f"{toolchain.name}: {stopped or _ending(code, folder)}; its last lines:\n{tail(folder)}")


def tail(folder: Path) -> str:
    """Return the last lines that a worker's tool printed, without colours and progress bars, indented."""
    text = _COLOURS.sub("", (folder / _LOG).read_bytes().decode(errors="replace"))
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return "\n".join(f"  {line}" for line in [line for line in lines if line][-_TAIL:]) or "  (it printed nothing)"


def _watch(
    child: subprocess.Popen[bytes], folder: Path, limits: Limits, start: float, on_stage: Callable[[str], None]
) -> tuple[str, int]:
    """Follow a worker to its end; return why it was stopped, or an empty string, and its largest memory."""
    told = peak = 0
    while child.poll() is None:
        told = _tell(folder / launch.STAGES, told, on_stage)
        used = memory.session_bytes(child.pid)
        peak = max(peak, used)
        if limits.memory and used > limits.memory:
            end(child)
            return f"used {used / _GB:.1f} GB of memory, the limit is {limits.memory / _GB:.1f} GB", peak
        if time.monotonic() - start > limits.seconds:
            end(child)
            return f"took longer than its limit of {limits.seconds:g} s", peak
        time.sleep(_POLL)
    _tell(folder / launch.STAGES, told, on_stage)
    return "", peak


def _tell(path: Path, told: int, on_stage: Callable[[str], None]) -> int:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return told
    for line in lines[told:]:
        on_stage(str(json.loads(line)))
    return len(lines)


def _answer(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / launch.RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ending(code: int, folder: Path) -> str:
    if code == 0:
        return "ended without a result"
    if _LICENCE.search(tail(folder)):
        return f"refused for its licence ({ending(code)})"
    return ending(code)
