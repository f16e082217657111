"""Workers that die cost one task each, and what is in the journal is not done again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import quantize_kit
from edgekit.converters.quantize import journal, work
from edgekit.converters.quantize.crew import Crew, Interrupted
from edgekit.errors import ConversionError


def test_each_way_to_fail_is_told_and_the_tasks_behind_it_are_done(crew, image_task, rows_of, folder):
    methods = ["half", "segfault", "refuse", "nan", "abort", "exit", "coarse"]
    tasks = {method: image_task(method) for method in methods}
    found = crew.do(list(tasks.values()))
    failed = {method: found[task.key].failed for method, task in tasks.items()}
    assert failed == {
        "half": "",
        "segfault": "the process was ended by SIGSEGV",
        "refuse": "no such luck",
        "nan": "2 of 2 embeddings hold NaN or infinity",
        "abort": "the process was ended by SIGABRT",
        "exit": "the process failed with exit code 7",
        "coarse": "",
    }
    assert not (folder / "built").exists() or not any((folder / "built").iterdir())
    plain = image_task("")
    crew.do([plain])
    half, coarse, floats = (rows_of(task).astype(float) for task in (tasks["half"], tasks["coarse"], plain))
    assert 0 < np.abs(half - floats).max() < np.abs(coarse - floats).max() < 0.05
    assert found[tasks["coarse"].key].size < found[tasks["half"].key].size
    assert crew.peak > 10e6


def test_a_task_that_hangs_is_ended_and_the_next_is_done(folder, image_task):
    tasks = [image_task("hang"), image_task("half")]
    with Crew(folder, quantize_kit.KIT, 1, "minmax", "any", task_limit=4.0) as crew:
        found = crew.do(tasks)
    assert found[tasks[0].key].failed == "the process took more than 4 s"
    assert found[tasks[1].key].failed == ""


def test_what_is_in_the_journal_is_not_done_again(crew, image_task, folder):
    tasks = [image_task("half"), image_task("segfault")]
    first = crew.do(tasks)
    request = (folder / work.REQUEST).stat().st_mtime_ns
    assert crew.do(tasks) == first
    assert (folder / work.REQUEST).stat().st_mtime_ns == request


def test_rows_that_were_lost_are_computed_again(crew, image_task, folder):
    task = image_task("half")
    crew.do([task])
    work.rows(folder, task, "golden").unlink()
    crew.do([task])
    assert work.rows(folder, task, "golden").exists()


def test_a_search_killed_with_signal_9_goes_on_behind_its_journal(folder, image_task, crew):
    script = f"""
    from pathlib import Path
    from edgekit.converters.quantize.crew import Crew
    from edgekit.converters.quantize.work import Task, TowerDecision
    tasks = [
        Task("evaluate", "image", m, TowerDecision({{"projection": m}}), parts=("golden",)) for m in ("half", "hang")
    ]
    Crew(Path({str(folder)!r}), "quantize_kit", 1, "minmax", "any", 600.0).do(tasks)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], start_new_session=True)
    half = image_task("half")
    limit = time.monotonic() + 60
    while half.key not in journal.read(folder / work.JOURNAL):
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert _workers(folder)
    parent.kill()
    parent.wait()
    while _workers(folder):
        assert time.monotonic() < limit, "a worker must not outlive the search"
        time.sleep(0.05)
    before = journal.read(folder / work.JOURNAL)
    with (folder / work.JOURNAL).open("ab") as file:
        file.write(b'{"key": "torn')
    coarse = image_task("coarse")
    found = crew.do([half, coarse])
    assert found[half.key] == before[half.key]
    assert found[coarse.key].failed == ""
    assert [entry.key for entry in journal.read(folder / work.JOURNAL).values()] == [half.key, coarse.key]


def _workers(folder):
    """Whether a worker of this folder runs."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if str(folder).encode() in command and b"quantize.worker" in command:
                return True
    return False


def test_time_that_ran_out_leaves_tasks_undone_and_unblamed(crew, image_task, soon, folder):
    tasks = [image_task("half"), image_task("hang")]
    found = crew.do(tasks, soon(6))
    assert set(found) <= {tasks[0].key}
    assert tasks[1].key not in journal.read(folder / work.JOURNAL)
    assert crew.do(tasks, soon(-1)) == found


def test_a_wish_to_stop_ends_the_worker(folder, image_task):
    began = time.monotonic()
    crew = Crew(folder, quantize_kit.KIT, 1, "minmax", "any", 600.0, lambda: (folder / work.CURRENT).exists())
    with pytest.raises(Interrupted):
        crew.do([image_task("hang")])
    assert time.monotonic() - began < 60


def test_a_worker_that_cannot_start_is_an_error_with_its_last_lines(folder, image_task):
    crew = Crew(folder, "no_such_kit", 1, "minmax", "any", 60.0)
    with pytest.raises(ConversionError, match=r"exit code 1 before its first task(.|\n)*no_such_kit"):
        crew.do([image_task("half")])


def test_keys_differ_by_everything_that_matters(image_task):
    base = image_task("half")
    others = [
        image_task("coarse"),
        image_task("half", "patches"),
        image_task("half", batch=1),
        image_task("half", rounds=3),
        image_task("half", keep=True),
        image_task("half", parts=("golden", "probe")),
        work.Task("evaluate", "text", base.note, base.decision, parts=base.parts),
    ]
    assert len({task.key for task in [base, *others]}) == len(others) + 1
    assert work.Task("evaluate", "image", "another note", base.decision, parts=base.parts).key == base.key


def test_timed_tasks_bring_their_times_and_kept_ones_their_files(crew, image_task, folder):
    task = image_task("half", rounds=3, keep=True)
    entry = crew.do([task])[task.key]
    assert len(entry.times) == len(entry.float_times) == 3
    built = work.built(folder, task)
    assert built.exists()
    assert entry.size == sum(file.stat().st_size for file in built.parent.iterdir())
