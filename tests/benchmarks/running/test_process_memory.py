"""Memory of a process, held against what another reader finds."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from edgekit.benchmarks.running.process_memory import ProcessMemory, status, unique


def test_this_process_as_psutil_sees_it() -> None:
    seen = psutil.Process().memory_full_info()
    assert status("self")["VmRSS"] == pytest.approx(seen.rss / 2**20, rel=0.1)
    assert unique("self") == pytest.approx(seen.uss / 2**20, rel=0.1)
    assert status("self")["VmHWM"] >= 0.9 * status("self")["VmRSS"]
    assert "VmSwap" in status(os.getpid())


def test_memory_that_a_process_takes_is_seen_in_both_and_stays_in_the_peak() -> None:
    code = (
        "import sys\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "block = bytearray(b'x') * (64 << 20)\n"
        "print('taken', flush=True); sys.stdin.readline()\n"
        "del block\n"
        "print('freed', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        meter, found = ProcessMemory(child.pid), []
        assert meter.present().ok
        for word in ("ready", "taken", "freed"):
            assert child.stdout.readline().strip() == word
            found.append((dict(meter.read()), status(child.pid)["VmHWM"]))
            child.stdin.write("\n")
            child.stdin.flush()
    for name in ("rss", "uss"):
        assert found[1][0][name] - found[0][0][name] == pytest.approx(64, abs=4)
        assert found[1][0][name] - found[2][0][name] == pytest.approx(64, abs=4)
    assert found[2][1] == pytest.approx(found[1][0]["rss"], abs=4)


def test_a_process_that_is_not_there() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    meter = ProcessMemory(child.pid)
    assert status(child.pid) == {}
    assert unique(child.pid) is None
    assert not meter.present().ok
    assert str(child.pid) in meter.present().reason
    assert dict(meter.read()) == {}


def test_it_is_a_meter_like_any_other() -> None:
    meter = ProcessMemory(os.getpid())
    assert meter.name == "process"
    assert [(c.name, c.kind, c.unit) for c in meter.channels()] == [("rss", "memory", "MiB"), ("uss", "memory", "MiB")]
    assert set(meter.read()) == {c.name for c in meter.channels()}
    assert meter.period() >= 0.5
