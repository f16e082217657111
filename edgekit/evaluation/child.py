"""Run a candidate in a process of its own: an engine that crashes on a variant ends that process and no other."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices
from edgekit.errors import BundleError, EdgekitError, ExecutionError, ImageError, InputError, TextError
from edgekit.evaluation.job import Embedded, Job, embed
from edgekit.evaluation.job_files import read_job, read_result, write_job, write_result
from edgekit.trials.endings import ended_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.judging import Choice

# The child imports what its parent could import, but nothing from the current folder.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from edgekit.evaluation.child import main;"
    " main(sys.argv[2])"
)
_REFUSAL = "refusal.json"
# What is the user's to mend, not the candidate's fault.
_KINDS: dict[str, type[EdgekitError]] = {
    kind.__name__: kind for kind in (BundleError, ImageError, InputError, TextError)
}
_MOST_LINE, _MOST_LOG = 300, 1 << 16


def embed_apart(bundle: Path, choice: Choice, job: Job, progress: Callable[[int], None] | None) -> Embedded:
    """Do what `edgekit.evaluation.job.embed` does, in a child process.

    Args:
        bundle: path of the bundle.
        choice: variant, runtime and device.
        job: what to embed.
        progress: called with the number of images done since the last call.

    Returns:
        The embeddings.

    Raises:
        BundleError: a file of the bundle is damaged.
        ImageError: a photo is broken, and the job is strict.
        ExecutionError: the candidate was refused, or ended its process; the message says how.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-evaluate-") as name, tempfile.TemporaryFile() as log:
        folder = Path(name)
        write_job(folder, bundle, choice, job)
        path = json.dumps([entry for entry in sys.path if entry])
        command = [sys.executable, "-c", _START, path, name]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log) as child:
            try:
                _follow(child, progress)
            except BaseException:
                child.kill()
                raise
        if child.returncode:
            raise ExecutionError(f"{_ending(child.returncode)}{_last_line(log)}")
        _raise_refusal(folder)
        return read_result(folder)


def main(folder: str) -> None:
    """Do the job in `folder`; every line on standard output is a number of images done."""
    # An engine's own chatter must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def progress(done: int) -> None:
        answers.write(f"{done}\n")
        answers.flush()

    path, (variant, runtime, device), job = read_job(Path(folder))
    try:
        bundle = open_bundle(path)
        choices, _ = list_choices(bundle, variant, runtime, device)
        write_result(Path(folder), embed(bundle, choices[0], job, progress))
    except EdgekitError as error:
        refusal = {"kind": type(error).__name__, "message": str(error)}
        (Path(folder) / _REFUSAL).write_text(json.dumps(refusal), encoding="ascii")


def _follow(child: subprocess.Popen[bytes], progress: Callable[[int], None] | None) -> None:
    for line in child.stdout or ():
        if progress is not None and line.strip().isdigit():
            progress(int(line))


def _raise_refusal(folder: Path) -> None:
    if (folder / _REFUSAL).exists():
        refusal = json.loads((folder / _REFUSAL).read_text(encoding="ascii"))
        raise _KINDS.get(refusal["kind"], ExecutionError)(refusal["message"])


def _ending(code: int) -> str:
    if code > 0:
        return f"its process ended with exit code {code}"
    return f"its process was ended by {ended_by(-code)}"


def _last_line(log: BinaryIO) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _MOST_LOG))
    lines = log.read().decode(errors="replace").splitlines()
    shown = [text for line in lines if (text := "".join(c for c in line if c.isprintable()).strip())]
    return f"; its last line: {shown[-1][:_MOST_LINE]}" if shown else "; it printed nothing"
