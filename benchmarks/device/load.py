"""CPU time of everything but the benchmark itself."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from edgekit.benchmarks.meters import sysfs

# Columns of the first line of /proc/stat (man 5 proc): user, nice, system, idle, iowait, irq, softirq, steal. Time
# that a hypervisor gave to others counts as theirs, because it is taken from us in the same way.
_BUSY = (0, 1, 2, 5, 6, 7)
# Fields of /proc/PID/stat after the name in parentheses: state, ppid, …, utime, stime, cutime, cstime.
_PARENT, _TIMES = 1, (11, 12, 13, 14)


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds since the system started.

    Attributes:
        at: `time.perf_counter` of the reading.
        busy: of all processors together.
        own: of one process and all its descendants, ended ones that were waited for included.
    """

    at: float
    busy: float
    own: float


def cpu_time(root: Path = Path("/"), pid: int | None = None) -> CpuTime | None:
    """Read the counters.

    Args:
        root: folder that holds ``proc``.
        pid: of the process that is not "other"; None for this one.

    Returns:
        The counters; None where the system hides them (Android does).
    """
    lines = (sysfs.text(root / "proc/stat") or "").splitlines()
    columns = lines[0].split()[1:] if lines and lines[0].startswith("cpu ") else []
    try:
        ticks = sum(int(columns[i]) for i in _BUSY if i < len(columns)) if columns else None
    except ValueError:
        ticks = None
    if ticks is None:
        return None
    at, hertz = time.perf_counter(), os.sysconf("SC_CLK_TCK")
    return CpuTime(at, ticks / hertz, _tree(root / "proc", os.getpid() if pid is None else pid) / hertz)


def other(first: CpuTime | None, last: CpuTime | None) -> float | None:
    """Return how many processors others kept busy between two readings; None without them, never below 0."""
    if first is None or last is None or last.at <= first.at:
        return None
    return max(0.0, (last.busy - first.busy) - (last.own - first.own)) / (last.at - first.at)


def measure(seconds: float, root: Path = Path("/"), pid: int | None = None) -> float | None:
    """Sleep for some seconds and measure what others did meanwhile.

    The kernel counts in ticks of usually 10 ms on each processor: over a second the figure is good to a few hundredths.

    Args:
        seconds: length.
        root: see `cpu_time`.
        pid: see `cpu_time`.

    Returns:
        Processors that others kept busy; None where the system hides them.
    """
    first = cpu_time(root, pid)
    if first is None:
        return None
    time.sleep(seconds)
    return other(first, cpu_time(root, pid))


def _tree(proc: Path, pid: int) -> int:
    found = _by_children(proc, pid)
    return _by_parents(proc, pid) if found is None else found


def _by_children(proc: Path, pid: int) -> int | None:
    """Walk down from a process: a few files. None where the kernel does not list children (CONFIG_PROC_CHILDREN)."""
    ticks, todo, seen = 0, [pid], set[int]()
    while todo:
        number = todo.pop()
        if number in seen:
            continue
        seen.add(number)
        fields = _fields(proc, number)
        if not fields:
            # It ended meanwhile, and its time is its parent's now; or there is no such process at all.
            if number == pid:
                return None
            continue
        ticks += sum(int(fields[i]) for i in _TIMES)
        lists = [sysfs.text(task / "children") for task in sysfs.entries(proc / str(number) / "task", "*")]
        if not lists or lists[0] is None:
            return None
        todo += [int(child) for children in lists for child in (children or "").split() if _whole(child)]
    return ticks


def _by_parents(proc: Path, pid: int) -> int:
    """Look at every process of the system, and at who its parent is."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    try:
        numbers = [int(folder.name) for folder in proc.iterdir() if folder.name.isdecimal()]
    except OSError:
        numbers = []
    for number in numbers:
        fields = _fields(proc, number)
        if fields:
            parents[number] = int(fields[_PARENT])
            ticks[number] = sum(int(fields[i]) for i in _TIMES)
    return sum(own for number, own in ticks.items() if _descends(number, pid, parents))


def _fields(proc: Path, number: int) -> list[str]:
    # The name may hold anything, a closing parenthesis and spaces included.
    fields = (sysfs.text(proc / str(number) / "stat") or "").rpartition(")")[2].split()
    good = len(fields) > max(_TIMES) and all(_whole(fields[i]) for i in (_PARENT, *_TIMES))
    return fields if good else []


def _whole(text: str) -> bool:
    # A longer one is no counter of the kernel, which are 64 bits wide.
    return text.isdecimal() and len(text) <= 20


def _descends(number: int, pid: int, parents: dict[int, int]) -> bool:
    seen = set()
    while number not in seen and number:
        if number == pid:
            return True
        seen.add(number)
        number = parents.get(number, 0)
    return False
