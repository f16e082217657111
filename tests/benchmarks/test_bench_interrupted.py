"""Ctrl-C in a long run, with real processes and real signals: what was measured is kept, and nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import tiny_bundle as tiny_bundles
from edgekit.benchmarks.results import files
from edgekit.benchmarks.results.records import Result
from edgekit.benchmarks.running import run as running
from edgekit.benchmarks.running.api import bench
from edgekit.benchmarks.running.events import Event, Phase, Tick
from edgekit.benchmarks.running.interrupting import RunInterruptedError
from edgekit.benchmarks.running.request import RunRequest

CHOSEN = ("--variant", "fp32", "--runtime", "onnxruntime", "--device", "cpu", "--threads", "1")
REQUEST = {"variant": "fp32", "runtime": "onnxruntime", "device": "cpu", "threads": 1}
WORKER = "edgekit.benchmarks.running.worker"
FIRST = "interrupted in the measured part, for which 1800 s were asked; the figures are of what was measured until then"


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: bytes
    seconds: float


def interrupted(when: Callable[[psutil.Process], bool], *typed: object, presses: int = 1) -> Ended:
    """Start ``edgekit bench``, press Ctrl-C when `when` says so of its process, and wait for its end."""
    command = [sys.executable, "-c", "from edgekit.cli.main import main; main()", "bench", *map(str, typed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        seen, end = psutil.Process(process.pid), time.monotonic() + 120
        while not when(seen):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        begin = time.monotonic()
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        out, err = process.communicate(timeout=120)
        assert b"Traceback" not in err
        return Ended(process.returncode, out, err, time.monotonic() - begin)


def worker(process: psutil.Process) -> psutil.Process | None:
    """The process that measures, once it is there."""
    try:
        return next((child for child in process.children() if WORKER in child.cmdline()), None)
    except psutil.Error:
        return None


def measuring(seconds: float = 1.0) -> Callable[[psutil.Process], bool]:
    """Say whether the measured process has worked for so many seconds of processor time after it was loaded."""
    since: list[float] = []

    def ask(process: psutil.Process) -> bool:
        child = worker(process)
        try:
            if child is None or child.cpu_times().user < 0.5:
                return False
        except psutil.Error:
            return False
        since.append(time.monotonic())
        return since[-1] - since[0] > seconds + 2

    return ask


def test_a_soak_keeps_what_was_measured(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    ended = interrupted(measuring(), tiny_bundle, "--pipeline", "text", "--soak", "30", *CHOSEN, "-o", out)
    assert ended.code == 130
    assert ended.seconds < 60
    found = files.read(out)
    assert found.verdict == "INVALID"
    assert found.reasons[0].startswith(FIRST)
    assert found.reasons[0].endswith(" s)")
    assert found.latency.n > 10
    took = sum(minute.seconds for minute in found.minutes)
    assert 0.5 < took < 60
    assert f"({took:.1f} s)" in found.reasons[0]
    # All that a whole run has is there: the golden check after it, the state after it, the line that repeats it.
    assert found.accuracy.after.passed
    assert found.plan.seconds == 1800
    assert found.plan.sustained
    assert found.context.after.memory_free > 0
    assert "--seconds 1800 --sustained" in found.command
    text = ended.out.decode()
    assert "INVALID     interrupted in the measured part" in text
    assert "queries in 30 min" not in text
    assert ended.err.decode().splitlines()[-1] == "Aborted!"


def test_as_json_it_is_the_one_result_and_nothing_else(tiny_bundle: Path) -> None:
    ended = interrupted(measuring(0.3), tiny_bundle, "--pipeline", "text", "--soak", "30", *CHOSEN, "--json")
    assert ended.code == 130
    (found,) = files.loads(ended.out, "stdout")
    assert json.loads(ended.out)["reasons"][0].startswith(FIRST)
    assert found.verdict == "INVALID"


def test_streams_that_answer_together_are_kept_too(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    typed = ("--pipeline", "text", "--soak", "30", "--scenario", "server", "--streams", "2")
    rates = ("--target-qps", "50", "--latency-bound", "500")
    ended = interrupted(measuring(0.5), tiny_bundle, *typed, *rates, *CHOSEN, "-o", out)
    assert ended.code == 130
    found = files.read(out)
    assert found.reasons[0].startswith(FIRST)
    assert found.latency.n > 10
    assert (found.plan.scenario, found.plan.streams) == ("server", 2)


def test_of_all_variants_those_that_ran_are_kept_and_the_others_told(tmp_path: Path) -> None:
    bundle, out = tiny_bundles.build(tmp_path / "two.edge", variants=("fp32", "static")), tmp_path / "all.json"
    typed = ("--all", "--pipeline", "text", "--soak", "30", "--threads", "1", "-o", out)
    ended = interrupted(measuring(0.3), bundle, *typed, "--report", tmp_path / "all.html")
    assert ended.code == 130
    found = files.read(out)
    assert (found.subject.variant, found.verdict) == ("fp32", "INVALID")
    assert found.reasons[0].startswith(FIRST)
    assert ended.out.decode().startswith("tiny fp32 on onnxruntime")
    lines = ended.err.decode().splitlines()
    assert lines[-1] == "Aborted!"
    told = [line for line in lines if line.startswith("not measured: static on onnxruntime")]
    assert [line.rpartition(": ")[2] for line in told] == ["Ctrl-C came before its run"]
    assert "Ctrl-C came before its run" in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_before_anything_was_measured_nothing_is_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    ended = interrupted(
        lambda process: worker(process) is not None,
        *(tiny_bundle, "--pipeline", "text", "--soak", "30", *CHOSEN, "-o", out),
    )
    assert ended.code == 130
    assert (ended.out, ended.err) == (b"", b"Aborted!\n")
    assert list(tmp_path.glob("*.json")) == []


def test_twice_ends_at_once_and_keeps_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    """The measured process is stopped, so that the first request cannot be answered before the second comes."""
    out = tmp_path / "soak.json"
    stopped: list[psutil.Process] = []
    ready = measuring(0.3)

    def stop(process: psutil.Process) -> bool:
        child = worker(process)
        if not ready(process) or child is None:
            return False
        child.suspend()
        stopped.append(child)
        return True

    typed = (tiny_bundle, "--pipeline", "text", "--soak", "30", *CHOSEN, "-o", out)
    ended = interrupted(stop, *typed, presses=2)
    assert ended.code == 130
    assert ended.err == b"Aborted!\n"
    assert ended.out == b""
    assert list(tmp_path.glob("*.json")) == []
    assert not stopped[0].is_running()


@dataclass
class Presser:
    """Presses Ctrl-C in this process when an event comes for the first time; the run is its own main thread's."""

    when: Callable[[Event], bool]
    pressed: int = 0

    def __call__(self, event: Event) -> None:
        if self.when(event) and not self.pressed:
            self.pressed += 1
            os.kill(os.getpid(), signal.SIGINT)


def from_python(bundle: Path, press: Presser, **changes: object) -> Result:
    with pytest.raises(RunInterruptedError) as caught:
        bench(bundle, pipeline="text", variant="fp32", runtime="onnxruntime", device="cpu", on_event=press, **changes)  # type: ignore[arg-type]
    assert press.pressed == 1
    assert psutil.Process().children() == []
    return caught.value.result


def test_from_python_the_interrupt_carries_the_result(tiny_bundle: Path) -> None:
    press = Presser(lambda event: isinstance(event, Tick) and event.queries >= 2)
    found = from_python(tiny_bundle, press, seconds=1800.0)
    assert found.reasons[0].startswith(FIRST)
    assert found.latency.n >= 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_was_measured_whole_is_kept_without_what_was_to_follow(tiny_bundle: Path) -> None:
    found = from_python(tiny_bundle, Presser(lambda event: event == Phase("check")), seconds=0.3)
    assert found.reasons[0].startswith("interrupted after the measured part; ")
    assert sum(minute.seconds for minute in found.minutes) >= 0.29


def test_who_presses_while_idle_power_is_measured_keeps_the_run(tiny_bundle: Path) -> None:
    press = Presser(lambda event: isinstance(event, Phase) and event.name == "idle after")
    found = from_python(tiny_bundle, press, seconds=0.3)
    assert found.reasons[0].startswith("interrupted before the idle power after it was known; ")
    assert (found.energy.after, found.verdict) == (None, "INVALID")


def test_who_presses_while_extras_are_found_out_keeps_the_run_as_it_was_judged(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "add_extras", pressed)
    request = RunRequest(str(tiny_bundle), pipeline="text", seconds=0.3, roofline=True, **REQUEST)  # type: ignore[arg-type]
    with pytest.raises(RunInterruptedError) as caught:
        running.run(request, lambda event: None)
    found = caught.value.result
    assert found.roofline is None
    assert not [reason for reason in found.reasons if "interrupted" in reason]


def test_loadgen_cannot_end_early_and_nothing_is_made_up(tiny_bundle: Path) -> None:
    pytest.importorskip("mlperf_loadgen")
    press = Presser(lambda event: isinstance(event, Tick) and event.queries >= 2)
    request = RunRequest(str(tiny_bundle), pipeline="text", seconds=30.0, generator="loadgen", **REQUEST)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt) as caught:
        running.run(request, press)
    assert not isinstance(caught.value, RunInterruptedError)
    assert psutil.Process().children() == []
