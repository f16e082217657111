"""The child that builds and runs candidates. It may crash: what it finished is in the journal."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.members import mapped
from edgekit.converters import children
from edgekit.converters.quantize import journal, work
from edgekit.converters.quantize.journal import Entry
from edgekit.converters.quantize.latency import take_turns
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.errors import EdgekitError, ExecutionError
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from edgekit.converters.quantize.work import Request, Survey, Task
    from edgekit.runtimes.protocol import Session

RUNTIME, FORMAT, DEVICE = "onnxruntime", "onnx", "cpu"
_TIMED_SECONDS = 8.0
_PR_SET_PDEATHSIG = 1


def main(folder: Path) -> None:
    """Work through the request in `folder`, and again for each line on the standard input, until that ends."""
    worker: _Worker | None = None
    parent = os.getppid()
    _die_with_parent()
    for _ in sys.stdin:
        request = schema.loads(work.Request, (folder / work.REQUEST).read_bytes(), work.REQUEST)
        worker = worker or _Worker(folder, request)
        for task in request.tasks:
            if os.getppid() != parent:
                return  # nobody waits for the rest
            _journalled(folder, worker, task)


def _die_with_parent() -> None:
    """Let the system end this process when the one that waits for it is killed: nobody else would."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _journalled(folder: Path, worker: _Worker, task: Task) -> None:
    """Do a task; its result is in the journal when this returns."""
    start = time.monotonic()
    (folder / work.CURRENT).write_text(task.key)
    try:
        entry = worker.do(task)
    # A task that is refused says why and costs no other; anything else is a crash and ends this process.
    except EdgekitError as error:
        entry = Entry(task.key, task.note, failed=_one_line(str(error)))
    finally:
        if not task.keep:
            shutil.rmtree(work.built(folder, task).parent, ignore_errors=True)
    seconds = round(time.monotonic() - start, 3)
    journal.append(folder / work.JOURNAL, _with(entry, seconds))


class _Worker:
    def __init__(self, folder: Path, request: Request) -> None:
        self._folder, self._request = folder, request
        self._kit: Any = import_module(request.kit)
        self._float: dict[str, Session] = {}

    def do(self, task: Task) -> Entry:
        return {"survey": self._survey, "ranges": self._ranges, "evaluate": self._evaluate}[task.action](task)

    def _survey(self, task: Task) -> Entry:
        found = self._kit.survey(work.master(self._folder, task.tower), self._request.target)
        write_bytes(work.survey(self._folder, task.tower), schema.dumps(found).encode())
        return Entry(task.key, task.note)

    def _ranges(self, task: Task) -> Entry:
        path = work.master(self._folder, task.tower)
        survey = work.read_survey(self._folder, task.tower)
        tensors = sorted(
            {name for method in task.methods for name in self._kit.needed(path, _everywhere(survey, method, task))}
        )
        batches = [batch for part in task.parts for batch in self._batches(task, part)]
        found = self._kit.measure(path, batches, tuple(tensors), self._request.calibration) if tensors else {}
        write_bytes(work.ranges(self._folder, task.tower), schema.dumps(work.Ranges(dict(found))).encode())
        return Entry(task.key, task.note)

    def _evaluate(self, task: Task) -> Entry:
        path = work.built(self._folder, task)
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
        if task.decision.methods:
            ranges = work.read_ranges(self._folder, task.tower)
            self._kit.build(work.master(self._folder, task.tower), path, task.decision, ranges)
        else:
            _copy(work.master(self._folder, task.tower), path)
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        # All cores; threads that wait actively would take them from whatever else runs here.
        session = _open(path, SessionSettings(spinning=False))
        try:
            for part in task.parts:
                rows = np.concatenate([_run(session, batch) for batch in self._batches(task, part)])
                _check(rows)
                _save(work.rows(self._folder, task, part), rows)
        finally:
            session.close()
        ours, theirs = self._timed(task, path) if task.rounds else ((), ())
        return Entry(task.key, task.note, size=size, times=ours, float_times=theirs)

    def _timed(self, task: Task, path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
        one = next(self._batches(task, task.parts[0]))[:1]
        settings = SessionSettings(threads=self._request.threads)
        if task.tower not in self._float:
            self._float[task.tower] = _open(work.master(self._folder, task.tower), settings)
        session = _open(path, settings)
        try:
            ours, theirs = partial(_run, session, one), partial(_run, self._float[task.tower], one)
            return take_turns(ours, theirs, task.rounds, _TIMED_SECONDS)
        finally:
            session.close()

    def _batches(self, task: Task, part: str) -> Iterator[npt.NDArray[np.generic]]:
        # Mapped: the pixels of a thousand photos need not be in memory at once.
        array = np.load(work.inputs(self._folder, task.tower, part), mmap_mode="r")
        path = work.lengths(self._folder, task.tower, part)
        lengths = np.load(path) if path.exists() else None
        for i in range(0, len(array), task.batch):
            batch = np.array(array[i : i + task.batch])
            # Padding columns would count in the ranges of activations, and cost time.
            yield batch if lengths is None else np.ascontiguousarray(batch[:, : lengths[i : i + task.batch].max()])


def _everywhere(survey: Survey, method: str, task: Task) -> TowerDecision:
    kinds = survey.methods[method].kinds
    methods = {group.name: method for group in survey.groups if group.kind in kinds}
    return TowerDecision(methods, task.decision.smoothing)


def _open(path: Path, settings: SessionSettings) -> Session:
    sidecar = path.with_name(path.name + ".data")
    sidecars = {sidecar.name: _blob(sidecar)} if sidecar.exists() else {}
    artifact = Artifact(path.name, FORMAT, _blob(path), sidecars)
    return registry.get(RUNTIME).open(artifact, DEVICE, settings)


def _blob(path: Path) -> Blob:
    return Blob(mapped(path), path.absolute())


def _run(session: Session, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return session.run({session.inputs[0].name: batch})[session.outputs[0].name]


def _check(rows: npt.NDArray[np.generic]) -> None:
    wrong = ~np.isfinite(rows).all(axis=1)
    if wrong.any():
        raise ExecutionError(f"{int(wrong.sum())} of {len(rows)} embeddings hold NaN or infinity")
    lengths = np.linalg.norm(rows, axis=1)
    if np.abs(lengths - 1).max() > 1e-2:
        raise ExecutionError(f"rows have lengths {lengths.min():.3f} to {lengths.max():.3f}, not 1")


def _save(path: Path, rows: npt.NDArray[np.generic]) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(path.name + ".part.npy")
    np.save(part, rows, allow_pickle=False)
    part.replace(path)


def _copy(master: Path, path: Path) -> None:
    for file in (master, master.with_name(master.name + ".data")):
        if file.exists():
            path.with_name(file.name).hardlink_to(file)


def _with(entry: Entry, seconds: float) -> Entry:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Entry(**{**vars(entry), "seconds": seconds, "peak": peak})


def _one_line(message: str) -> str:
    return " ".join(message.split())[:300]


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
