"""Whole side-by-side runs: real children on the tiny bundle, and a contender that is fast and wrong."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import psutil
import pytest

import litert_towers
import tiny_bundle
from edgekit.benchmarks.running.events import Event, Phase, Tick
from edgekit.benchmarks.versus import rounds
from edgekit.benchmarks.versus.records import Contender, Versus
from edgekit.benchmarks.versus.request import VersusRequest
from edgekit.benchmarks.versus.run import run
from edgekit.bundle.schema import dumps, loads
from edgekit.errors import EdgekitError, ExecutionError, InputError, RuntimeUnavailableError


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_BLOCK_MS", 5.0)
    monkeypatch.setattr("edgekit.benchmarks.versus.process.PAUSE", 0.01)
    monkeypatch.setattr("edgekit.benchmarks.versus.run._GLANCE", 0.1)


def _seen(found: Versus) -> list[str]:
    """Return the reasons but for those that depend on how busy the machine is."""
    return [reason for reason in found.reasons if reason.startswith("agreement")]


def test_three_contenders_of_one_space_and_one_of_another(tmp_path: Path, photos: list[Path]) -> None:
    ours = str(litert_towers.bundle(tmp_path / "ours.edge"))
    other = str(tiny_bundle.build(tmp_path / "other.edge", seed=1))
    events: list[Event] = []
    request = VersusRequest(
        (
            Contender("ours", "edgekit", ours, variant="fp32", runtime="onnxruntime", threads=1),
            Contender("lite", "edgekit", ours, runtime="litert"),
            Contender("bare", "onnxruntime", ours),
            Contender("other", "edgekit", other),
        ),
        data=str(photos[0].parent),
        seconds=0.1,
        goal=1e-9,
        command="edgekit bench …",
    )
    found = run(request, events.append)
    assert (found.pipeline, found.samples, found.rounds, found.ended) == ("photo", len(photos), rounds.LEAST, "time")
    assert [side.name for side in (found.subject, *found.others)] == ["ours", "lite", "bare", "other"]
    assert found.subject.opened.variant == "fp32"
    assert found.subject.opened.threads == 1
    assert found.others[0].opened.engine.startswith("litert ")
    assert found.others[0].opened.variant == "litert"
    for side in (found.subject, *found.others):
        assert len(side.blocks) == rounds.LEAST
        assert side.p50.low <= side.p50.value <= side.p50.high
        assert side.first_ms > 0
        assert (side.running or 0) >= 1
        assert (side.rss_peak or 0) > 10
        assert side.opened.load_ms > 0
    lite, bare, apart = found.comparisons
    assert lite.agreement.cosine_min == pytest.approx(1, abs=1e-5)
    assert bare.agreement.cosine_min == pytest.approx(1, abs=1e-3)
    assert apart.agreement.cosine_min is None
    assert "another embedding space" in apart.agreement.reason
    assert lite.agreement.n == min(16, len(photos)) + 4
    assert _seen(found) == []
    assert found.context.packages["onnxruntime"] == bare_version()
    assert loads(Versus, dumps(found), "versus") == found
    assert [event.name for event in events if isinstance(event, Phase)][-2:] == ["check", "done"]
    assert sum(isinstance(event, Tick) for event in events) == rounds.LEAST


def bare_version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def test_a_fast_contender_that_is_wrong_is_seen(tmp_path: Path) -> None:
    ours = str(tiny_bundle.build(tmp_path / "ours.edge"))
    # Of the same space by what it says, with another model's tower, which a bare session opens without a check.
    wrong = str(tiny_bundle.build(tmp_path / "wrong.edge", variants=("wrong",)))
    request = VersusRequest(
        (Contender("ours", "edgekit", ours), Contender("theirs", "onnxruntime", wrong)), seconds=0.1, goal=1e-9
    )
    found = run(request, lambda event: None)
    assert found.verdict == "INVALID"
    (reason,) = _seen(found)
    assert reason.startswith("agreement: theirs's embeddings are not the subject's")
    assert (found.comparisons[0].agreement.cosine_min or 1) < 0.9


@pytest.mark.parametrize("pipeline", ["image", "text"])
def test_other_pipelines(tmp_path: Path, pipeline: str) -> None:
    ours = str(litert_towers.bundle(tmp_path / "ours.edge"))
    request = VersusRequest(
        (Contender("a", "edgekit", ours, variant="fp32"), Contender("b", "edgekit", ours, variant="litert")),
        pipeline=pipeline,  # type: ignore[arg-type]
        seconds=0.1,
        goal=1e-9,
    )
    found = run(request, lambda event: None)
    assert found.pipeline == pipeline
    assert found.comparisons[0].agreement.cosine_min == pytest.approx(1, abs=1e-4)
    assert found.samples > 3


@pytest.mark.parametrize(
    ("contender", "kind", "message"),
    [
        (Contender("b", "edgekit", "{}", variant="fp64"), InputError, "has no variant 'fp64'"),
        (Contender("b", "edgekit", "nowhere.edge"), InputError, r"nowhere\.edge"),
        (Contender("b", "edgekit", "{}", runtime="imagined"), EdgekitError, "imagined"),
        (Contender("b", "edgekit", "{}", device="moon"), RuntimeUnavailableError, "moon"),
        (Contender("b", "modern-onnx-clip", "{}"), InputError, "has no visual.onnx; give its own folder"),
    ],
    ids=["variant", "file", "runtime", "device", "peer's folder"],
)
def test_a_contender_that_does_not_open_is_told(
    tiny_bundle: Path, contender: Contender, kind: type[Exception], message: str
) -> None:
    from dataclasses import replace

    named = replace(contender, model=contender.model.format(tiny_bundle))
    with pytest.raises(kind, match=message):
        run(VersusRequest((Contender("a", "edgekit", str(tiny_bundle)), named), seconds=0.1), lambda event: None)


def test_a_contender_that_dies_between_two_rounds_ends_the_run_and_leaves_nothing(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started: list[psutil.Process] = []

    def kill(event: Event) -> None:
        if isinstance(event, Tick) and not started:
            started.extend(psutil.Process().children(recursive=True))
            theirs = max(started, key=lambda process: process.create_time())
            theirs.send_signal(signal.SIGKILL)

    request = VersusRequest(
        tuple(Contender(name, "edgekit", str(tiny_bundle), threads=1) for name in ("ours", "theirs")),
        seconds=60,
        goal=1e-9,
    )
    with pytest.raises(
        ExecutionError, match=r"^theirs was ended by SIGKILL, most likely by the system for lack of memory"
    ):
        run(request, kill)
    assert len(started) >= 2
    assert not [process for process in started if process.is_running()]
    # Neither photos that were unpacked for the contenders nor their logs.
    assert list(tmp_path.iterdir()) == []
