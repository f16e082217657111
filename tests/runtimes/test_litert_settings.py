"""What of a session's settings LiteRT takes, and what it refuses by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtimes import litert_settings
from edgekit.runtimes.litert_settings import LiteRtSettings, physical_cores, resolve
from edgekit.runtimes.protocol import SessionSettings

DELEGATE = "delegate:/opt/libnpu.so"


def given(*options: tuple[str, str]) -> SessionSettings:
    return SessionSettings(threads=1, options=options)


def test_defaults_use_xnnpack_and_every_physical_core() -> None:
    assert resolve("cpu", SessionSettings()) == LiteRtSettings(physical_cores(), True, "", {})


def test_threads_are_taken_as_they_are() -> None:
    assert resolve("cpu", SessionSettings(threads=3)).threads == 3


@pytest.mark.parametrize(("value", "wanted"), [("on", True), ("off", False)])
def test_xnnpack_is_a_switch(value: str, wanted: bool) -> None:
    assert resolve("cpu", given(("xnnpack", value))).xnnpack is wanted


def test_a_delegate_gets_its_options() -> None:
    found = resolve(DELEGATE, given(("delegate.cache_dir", "/tmp/x"), ("xnnpack", "off"), ("delegate.a.b", "")))  # noqa: S108
    assert found == LiteRtSettings(1, False, "/opt/libnpu.so", {"cache_dir": "/tmp/x", "a.b": ""})  # noqa: S108


@pytest.mark.parametrize(
    ("device", "options", "told"),
    [
        ("cpu", (("xnnpack", "yes"),), r"xnnpack is 'yes'; it may be on or off"),
        ("cpu", (("xnnpack", "on"), ("xnnpack", "off")), r"'xnnpack' is given twice"),
        ("cpu", (("optimization", "all"),), r"no option 'optimization', only xnnpack=on\|off and.*delegate\.KEY=VALUE"),
        ("cpu", (("delegate.mode", "x"),), r"'delegate\.mode' needs a KEY and a device delegate:PATH, not 'cpu'"),
        (DELEGATE, (("delegate.", "x"),), r"'delegate\.' needs a KEY"),
        (DELEGATE, (("mode", "x"),), r"no option 'mode'"),
        (DELEGATE, (("delegate.a", "1"), ("delegate.a", "1")), r"'delegate\.a' is given twice"),
    ],
    ids=["value", "twice", "unknown", "no-delegate", "no-key", "no-prefix", "delegate-twice"],
)
def test_anything_else_is_refused_by_name(device: str, options: tuple[tuple[str, str], ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        resolve(device, given(*options))


def topology(folder: Path, siblings: list[str]) -> None:
    for cpu, text in enumerate(siblings):
        (folder / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (folder / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(text)


@pytest.mark.parametrize(
    ("siblings", "allowed", "cores"),
    [
        (["0,2", "1,3", "0,2", "1,3"], {0, 1, 2, 3}, 2),
        (["0,2", "1,3", "0,2", "1,3"], {0, 2}, 1),
        (["0", "1", "2", "3"], {1, 2, 3}, 3),
        ([], {0, 1}, 2),
    ],
    ids=["hyper-threads", "allowed-one-core", "no-hyper-threads", "not-told"],
)
def test_a_core_counts_once_and_only_where_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, siblings: list[str], allowed: set[int], cores: int
) -> None:
    topology(tmp_path, siblings)
    monkeypatch.setattr(litert_settings, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    assert physical_cores() == cores


def test_a_system_that_tells_no_affinity_is_asked_for_its_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litert_settings, "_TOPOLOGY", tmp_path)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert physical_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert physical_cores() == 1
