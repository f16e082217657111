"""A candidate that an earlier process ended on is tried in a child; only what does well there loses its marks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit import locations
from edgekit.bundle.reader import open_bundle
from edgekit.judging import Choice
from edgekit.runtimes.protocol import SessionSettings
from edgekit.trials import marks, retrial
from edgekit.trials.process import TrialError
from edgekit.trials.records import Request, Result
from spy_runtime import SpyRuntime

if TYPE_CHECKING:
    from edgekit.bundle.reader import Bundle

SETTINGS = SessionSettings(threads=3, options=(("a", "b"),), allow_cpu=True)
WELL = Result("", False, (), 1.0, {}, None)


class Child:
    """Stands for the process: remembers what it is asked, and answers as told."""

    asked: list[tuple[Path, Request]]
    answer: Result | Exception = WELL
    ended = 0
    waited: float | None = None

    def __init__(self, path: Path, request: Request) -> None:
        type(self).asked.append((path, request))

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        type(self).ended += 1

    def result(self, seconds: float) -> Result:
        type(self).waited = seconds
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(name="child")
def _child(monkeypatch: pytest.MonkeyPatch) -> type[Child]:
    made: Any = type("Own", (Child,), {"asked": [], "answer": WELL, "ended": 0})
    monkeypatch.setattr(retrial, "TrialProcess", made)
    return made


@pytest.fixture(name="bundle")
def _bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


def choice(bundle: Bundle, device: str = "npu") -> Choice:
    return Choice(bundle.manifest.variants[0], SpyRuntime(), "1.0", device)


def leave(bundle: Bundle, one: Choice, number: int = 1, names: Any = ("image",)) -> list[Path]:
    """Leave marks as processes that ended would."""
    folder = locations.cache_dir() / "judging"
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{marks.mark_of(bundle, one, SETTINGS, names)}.{i:016x}" for i in range(number)]
    for path in made:
        path.write_text(marks._boot())
    return made


def test_a_candidate_that_does_well_is_not_refused_and_its_marks_go(bundle: Bundle, child: type[Child]) -> None:
    one = choice(bundle)
    left = leave(bundle, one, 3)
    assert marks.crashed(marks.mark_of(bundle, one, SETTINGS, ("image",)))
    assert retrial.refusal(bundle, one, ("image",), SETTINGS) == ""
    assert not any(path.exists() for path in left)
    assert not marks.crashed(marks.mark_of(bundle, one, SETTINGS, ("image",)))
    assert child.ended == 1


def test_the_marks_of_others_stay(bundle: Bundle, child: type[Child]) -> None:
    one = choice(bundle)
    leave(bundle, one)
    others = [*leave(bundle, choice(bundle, "gpu")), *leave(bundle, one, names=("text",))]
    assert retrial.refusal(bundle, one, ("image",), SETTINGS) == ""
    assert all(path.exists() for path in others)
    assert len(child.asked) == 1


ANSWERS = {
    "refused": (replace(WELL, reason="no such device"), f"{marks.CRASHED}; no such device"),
    "wrong": (replace(WELL, reason="wrong numbers", wrong=True), f"{marks.CRASHED}; wrong numbers"),
    "crashed": (TrialError("killed by SIGSEGV"), f"{marks.CRASHED}; in a child process: killed by SIGSEGV"),
    "hung": (TrialError("no answer in 120 s"), f"{marks.CRASHED}; in a child process: no answer in 120 s"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_candidate_that_does_not_stays_refused_with_both_reasons(
    bundle: Bundle, child: type[Child], case: str
) -> None:
    child.answer, wanted = ANSWERS[case]
    one = choice(bundle)
    left = leave(bundle, one, 2)
    assert retrial.refusal(bundle, one, ("image",), SETTINGS) == wanted
    assert all(path.exists() for path in left)
    # The process is ended whatever it said.
    assert child.ended == 1


def test_an_error_of_another_kind_is_not_hidden_and_ends_the_child(bundle: Bundle, child: type[Child]) -> None:
    child.answer = KeyboardInterrupt()  # type: ignore[assignment]
    one = choice(bundle)
    left = leave(bundle, one)
    child.result = lambda self, seconds: (_ for _ in ()).throw(KeyboardInterrupt())  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        retrial.refusal(bundle, one, ("image",), SETTINGS)
    assert child.ended == 1
    assert left[0].exists()


@pytest.mark.parametrize("names", [("image",), ("image", "text")], ids=["image", "both"])
def test_the_child_is_asked_for_just_this_candidate(bundle: Bundle, child: type[Child], names: Any) -> None:
    one = choice(bundle, "gpu")
    retrial.refusal(bundle, one, names, SETTINGS)
    ((path, request),) = child.asked
    assert path == Path(bundle.where)
    assert request == Request(
        trusted=tuple(sorted(bundle.checked)),
        variant="fp32",
        runtime=one.runtime.name,
        device="gpu",
        towers=names,
        threads=3,
        options=(("a", "b"),),
        batch=1,
        memory=0,
        seconds=request.seconds,
        allow_cpu=True,
    )
    # The child ends itself only after its parent has given up.
    assert child.waited == retrial.SECONDS
    assert request.seconds > retrial.SECONDS


@pytest.mark.parametrize(
    ("name", "value"),
    [("threads", 7), ("options", (("x", "y"),)), ("allow_cpu", False)],
    ids=["threads", "options", "cpu"],
)
def test_each_setting_that_may_end_a_process_reaches_the_child(
    bundle: Bundle, child: type[Child], name: str, value: Any
) -> None:
    retrial.refusal(bundle, choice(bundle), ("image",), replace(SETTINGS, **{name: value}))
    assert getattr(child.asked[0][1], name) == value


def test_a_bundle_in_memory_cannot_be_handed_to_a_child(tiny_bundle: Path, child: type[Child]) -> None:
    bundle = open_bundle(tiny_bundle.read_bytes())
    one = choice(bundle)
    left = leave(bundle, one)
    assert retrial.refusal(bundle, one, ("image",), SETTINGS) == marks.CRASHED
    assert child.asked == []
    assert left[0].exists()


def test_a_bundle_that_was_removed_stays_refused(tmp_path: Path, tiny_bundle: Path, child: type[Child]) -> None:
    path = tmp_path / "a.edge"
    path.write_bytes(tiny_bundle.read_bytes())
    bundle = open_bundle(path)
    path.unlink()
    assert retrial.refusal(bundle, choice(bundle), ("image",), SETTINGS) == marks.CRASHED
    assert child.asked == []


def test_marks_of_an_earlier_boot_prove_nothing(bundle: Bundle) -> None:
    one = choice(bundle)
    (left,) = leave(bundle, one)
    left.write_text("another boot")
    assert not marks.crashed(marks.mark_of(bundle, one, SETTINGS, ("image",)))
