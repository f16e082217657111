"""Environments are built whole or said to be missing, go on where they were interrupted, and leave nothing behind."""

from __future__ import annotations

import fcntl
import platform
from dataclasses import replace

import pytest

from edgekit.converters.toolchains import catalog, store
from edgekit.errors import ConversionError, InputError, MissingDependencyError


def test_a_bare_environment_is_built_once(bare) -> None:
    stages: list[str] = []
    assert store.installed(bare) is None
    made = store.install(bare, stages.append)
    assert store.python("bare").exists()
    assert made == store.installed(bare) == store.require(bare)
    assert made.size > 0
    assert made.lock == catalog.digest(bare)
    assert made.python in bare.pythons
    assert [stage.partition(":")[0] for stage in stages] == ["bare", "bare"]
    assert store.install(bare, stages.append) == made
    assert len(stages) == 2  # nothing was done again


def test_what_is_missing_is_said_with_the_command(bare) -> None:
    with pytest.raises(MissingDependencyError, match=r"bare is not installed; run 'edgekit toolchain install bare'"):
        store.require(bare)
    store.install(bare)
    newer = replace(bare, probe="import os")
    assert store.installed(newer) is None
    with pytest.raises(MissingDependencyError, match="of another version"):
        store.require(newer)


def test_why_it_cannot_be_used_is_said_as_it_is(bare) -> None:
    """Whatever the reason, the same command mends it."""
    store.install(bare)
    mark, python = store.folder("bare") / store.OK, store.python("bare")
    whole = mark.read_bytes()
    mark.write_bytes(b"{}")
    with pytest.raises(MissingDependencyError, match=r"bare is damaged \(\.ok: .*missing.*\); run 'edgekit toolchain"):
        store.require(bare)
    mark.write_bytes(whole)
    assert store.require(bare)
    python.unlink()
    python.symlink_to(python.with_name("removed-since"))
    with pytest.raises(MissingDependencyError, match=r"bare has lost its Python, .*env/bin/python; run"):
        store.require(bare)
    assert store.install(bare) == store.require(bare)


def test_what_an_interrupted_removal_leaves_is_not_usable_and_can_be_removed(bare, monkeypatch) -> None:
    store.install(bare)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(store.shutil, "rmtree", interrupt)
        store.remove(bare)
    assert store.python("bare").exists()
    assert store.installed(bare) is None
    assert store.remove(bare) > 0
    assert not store.folder("bare").exists()


def test_removing_frees_everything(bare, cache) -> None:
    assert store.remove(bare) == 0
    store.install(bare)
    assert store.remove(bare) > 0
    assert not store.folder("bare").exists()
    assert store.installed(bare) is None
    assert store.remove(bare) == 0


def test_a_step_that_fails_is_told_and_gone_on_with(two_steps, wheels) -> None:
    wheels("one", "1.0", "surely-absent>=9")
    with pytest.raises(ConversionError, match=r"pair could not be built[\s\S]*two==2\.0"):
        store.install(two_steps)
    assert store.installed(two_steps) is None
    assert not (store.folder("pair") / store.OK).exists()
    wheels("two", "2.0")
    stages: list[str] = []
    store.install(two_steps, stages.append)
    # Neither the environment nor the first step again.
    assert len(stages) == 2
    assert "step 2 of 2, 1 packages (second)" in stages[0]


def test_another_lock_starts_afresh(bare) -> None:
    store.install(bare)
    # A step that this lock does not know may have left packages behind.
    (store.folder("bare") / ".step-0123456789abcdef").touch()
    stages: list[str] = []
    newer = replace(bare, probe="import os")
    store.install(newer, stages.append)
    assert "making an environment" in stages[0]
    assert not list(store.folder("bare").glob(".step-*"))
    assert store.installed(bare) is None


def test_a_tool_that_does_not_start_is_not_installed(bare) -> None:
    broken = replace(bare, probe="raise SystemExit('no such chip')")
    with pytest.raises(ConversionError, match="no such chip"):
        store.install(broken)
    assert store.installed(broken) is None


def test_damaged_marks_do_not_count(bare) -> None:
    store.install(bare)
    (store.folder("bare") / store.OK).write_bytes(b"{}")
    assert store.installed(bare) is None
    store.install(bare)
    assert store.installed(bare)


def test_a_missing_python_is_named(bare) -> None:
    with pytest.raises(InputError, match=r"needs Python 2\.6 or 2\.7; here are"):
        store.install(replace(bare, pythons=("2.6", "2.7")))


def test_another_platform_is_refused(bare) -> None:
    with pytest.raises(InputError, match=f"runs on plan9-pdp11; this machine is .*{platform.machine()}"):
        store.install(replace(bare, platform="plan9-pdp11"))


def test_a_full_disk_is_seen_beforehand(bare) -> None:
    with pytest.raises(InputError, match=r"needs 1000000000\d* MB in .* MB are free; .*EDGEKIT_CACHE"):
        store.install(replace(bare, disk_mb=10**12))
    assert not store.python("bare").exists()


def test_two_installations_at_once_are_refused(bare) -> None:
    store.folder("bare").mkdir(parents=True)
    with (store.folder("bare").parent / ".bare.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="bare is being built"):
            store.install(bare)
        with pytest.raises(InputError, match="bare is being built"):
            store.remove(bare)
    store.install(bare)


def test_this_processs_packages_stay_out(bare, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert "PYTHONPATH" not in store.clean_environment()
    assert store.clean_environment()["PATH"]
