"""Workers end with their parent, stop when they are asked to, and find the device that was chosen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from edgekit.converters import children
from edgekit.converters.distill import asking, lifeline, train_worker, work
from edgekit.converters.distill.training.records import Evaluation, Figure, Progress
from edgekit.errors import InputError


def script(text):
    return [sys.executable, "-c", textwrap.dedent(text)]


def gone(pid, seconds=20):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_ends_soon_after_the_process_that_started_it(tmp_path):
    worker = "from edgekit.converters.distill import lifeline; lifeline.end_with_parent(); import time; time.sleep(600)"
    parent = subprocess.Popen(
        script(f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {worker!r}], start_new_session=True)
        print(child.pid, flush=True)
        time.sleep(600)
        """),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert not gone(pid, seconds=0.5)
    parent.kill()
    parent.communicate()
    assert gone(pid)


def test_a_file_becomes_one_signal(tmp_path):
    file = tmp_path / "stop"
    worker = subprocess.Popen(
        script(f"""
        import pathlib, signal, time
        from edgekit.converters.distill import lifeline
        seen = []
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        lifeline.stop_on(pathlib.Path({str(file)!r}))
        print("ready", flush=True)
        while not seen:
            time.sleep(0.01)
        time.sleep(1)
        print(len(seen), flush=True)
        """),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout.readline() == "ready\n"
    file.touch()
    assert worker.communicate(timeout=60)[0] == "1\n"


def test_the_first_signal_is_a_wish_and_the_second_ends(tmp_path):
    stop = tmp_path / work.STOP
    stop.touch()  # left by a run that was killed
    before = signal.getsignal(signal.SIGINT)
    with asking.asking_to_stop(tmp_path) as asked:
        assert not stop.exists()
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        assert stop.exists()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not stop.exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_only_one_process_works_in_a_folder(tmp_path):
    with work.locked(tmp_path):
        other = subprocess.run(
            script(f"""
            import pathlib
            from edgekit.converters.distill import work
            with work.locked(pathlib.Path({str(tmp_path)!r})):
                pass
            """),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "another process is at work there; wait for it, or end it" in other.stderr
        with work.locked(tmp_path, work.TRAINING):
            pass
    with work.locked(tmp_path):
        pass


def test_a_folder_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(InputError, match="--prepare-only' makes one"):
        work.read_recipe(tmp_path)


def test_the_device_is_chosen_before_accelerate_looks(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    train_worker.choose("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    train_worker.choose("cpu")
    assert (os.environ["ACCELERATE_USE_CPU"], os.environ["CUDA_VISIBLE_DEVICES"]) == ("true", "")
    with pytest.raises(InputError, match="'tpu' is not one of auto, cpu, cuda"):
        train_worker.choose("tpu")
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            train_worker.choose("cuda")


def test_the_first_process_is_told_by_torchruns_rank(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert train_worker.first()
    monkeypatch.setenv("RANK", "1")
    assert not train_worker.first()


def test_progress_is_told_as_a_display_shows_it():
    seen = Evaluation(5, 1.0, False, (Figure("recall@1", 0.25, 0.1, 4),))
    progress = Progress(7, 20, 0.35, {"feature": 1.5, "total": 2.0}, 1e-3, 128.0, 9.0, seen)
    assert train_worker.facts(progress) == {
        "done": 7,
        "total": 20,
        "loss": 2.0,
        "per_second": 128.0,
        "left": 9.0,
        "score": 0.25,
    }
    assert train_worker.facts(Progress(0, 0, 0.0, {}, 0.0, 0.0, 0.0))["score"] is None


def test_facts_reach_the_parent(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "worker.py").write_text(
        "from edgekit.converters import children\n"
        "children.stage('one')\nchildren.progress({'done': 1, 'total': 2})\nprint('{\"progress\": 3}')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    stages, facts = [], []
    children.run_child("worker", tmp_path, (), stages.append, facts.append)
    assert (stages, facts) == (["one"], [{"done": 1, "total": 2}])
    assert lifeline.ENDED != 0
