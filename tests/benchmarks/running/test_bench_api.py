"""`edgekit.benchmarks.bench`: what each argument asks for, and what is refused before anything is started."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bench_results import result
from edgekit.benchmarks.running import api
from edgekit.benchmarks.running.events import Event, Note
from edgekit.benchmarks.running.request import RunRequest
from edgekit.errors import InputError
from edgekit.runtimes.protocol import SessionSettings

RESULT = result()
PLAIN = RunRequest("a.edge")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """What a run would be asked to do; none is made."""
    seen: list[RunRequest] = []

    def run(request: RunRequest, on_event: Any) -> Any:
        seen.append(request)
        on_event(Note("begun"))
        return RESULT

    monkeypatch.setattr(api, "run", run)
    return seen


@pytest.mark.parametrize(
    ("argument", "value", "changes"),
    [
        ("pipeline", "text", {"pipeline": "text"}),
        ("scenario", "offline", {"scenario": "offline"}),
        ("seconds", 5.0, {"seconds": 5.0}),
        ("variant", "int8", {"variant": "int8"}),
        ("runtime", "litert", {"runtime": "litert"}),
        ("device", "cuda", {"device": "cuda"}),
        ("settings", SessionSettings(threads=2), {"threads": 2}),
        ("settings", SessionSettings(), {"threads": 0}),
        ("settings", SessionSettings(options=(("a", "1"),)), {"threads": 0, "options": (("a", "1"),)}),
        ("batch", 4, {"batch": 4}),
        ("streams", 3, {"streams": 3}),
        ("target_qps", 9.5, {"target_qps": 9.5}),
        ("latency_bound", 20.0, {"latency_bound": 20.0}),
        ("sustained", True, {"sustained": True}),
        ("data", Path("photos") / "mine", {"data": "photos/mine"}),
        ("data", "stamps", {"data": "stamps"}),
        ("labels", ["cat", "dog"], {"labels": ("cat", "dog")}),
    ],
)
def test_an_argument_changes_what_it_says_and_nothing_else(
    asked: list[RunRequest], argument: str, value: Any, changes: dict[str, Any]
) -> None:
    assert api.bench("a.edge", **{argument: value}) is RESULT
    assert asked == [replace(PLAIN, **changes)]


def test_left_out_arguments_are_those_of_the_command(asked: list[RunRequest]) -> None:
    """From Python and from a shell the same is measured."""
    api.bench(Path("a.edge"))
    assert asked == [PLAIN]
    known = {field.name: field.default for field in fields(RunRequest)}
    given = {name: one.default for name, one in inspect.signature(api.bench).parameters.items() if name in known}
    assert {name: known[name] for name in given if name != "bundle"} == {
        name: value for name, value in given.items() if name != "bundle"
    }


def test_events_reach_who_watches(asked: list[RunRequest]) -> None:
    told: list[Event] = []
    api.bench("a.edge", on_event=told.append)
    assert told == [Note("begun")]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("bundle", "given", "said"),
    [
        (b"PK", {}, "a bundle in memory cannot be measured.*give the path of a file"),
        ("a.edge", {"labels": "cat"}, "labels is one text; give a list of labels"),
        *(
            ("a.edge", {"settings": replace(SessionSettings(threads=2), **{name: value})}, "only threads and options")
            for name, value in (("spinning", False), ("arena", False), ("allow_cpu", True))
        ),
    ],
)
def test_what_would_measure_something_else_is_refused(
    asked: list[RunRequest], bundle: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        api.bench(bundle, **given)
    assert asked == []


def test_no_setting_of_a_session_is_dropped_in_silence(asked: list[RunRequest]) -> None:
    """One that is added to the sessions must be handed on or refused here, too."""
    others = {bool: lambda value: not value, int: lambda value: value + 1, tuple: lambda value: (*value, ("a", "1"))}
    for field in fields(SessionSettings):
        changed = replace(SessionSettings(), **{field.name: others[type(field.default)](field.default)})
        asked.clear()
        try:
            api.bench("a.edge", settings=changed)
        except InputError:
            assert asked == []
        else:
            assert asked != [replace(PLAIN, threads=0)], field.name
