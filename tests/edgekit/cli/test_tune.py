"""``edgekit tune``, and the options of sessions on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit.cli.options import settings
from edgekit.errors import InputError
from edgekit.runtimes.protocol import SessionSettings
from edgekit.tuning import finals

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = ("--runtime", "onnxruntime")


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finals, "ROUND_SECONDS", 0.02)


def test_json_is_the_whole_record(tiny_bundle: Path) -> None:
    found = json.loads(run("tune", tiny_bundle, *ENGINE, "--threads-list", "1", "--json").stdout)
    assert found["chosen"]["variant"] == "fp32"
    assert found["chosen"]["threads"] == 1
    assert found["chosen"]["cost"]["towers"].keys() == {"image", "text"}
    assert found["candidates"] == [found["chosen"]]
    assert found["objective"] == "pair"


def test_text_is_a_table(tiny_bundle: Path) -> None:
    arguments = ("--threads-list", "1", "--towers", "image", "--for", "photo", "--minutes", "1")
    done = run("tune", tiny_bundle, *ENGINE, *arguments)
    assert "* fp32" in done.stdout
    assert "one photo, its texts embedded before" in done.stdout
    assert done.stderr == ""  # no progress in a pipe


def test_nothing_that_passes_exits_with_one(tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "wrong.edge", variants=("nan",))
    assert "holds NaN or infinity" in fails("tune", bundle, *ENGINE, "--threads-list", "1", code=1)


def test_memory_is_bounded(tiny_bundle: Path) -> None:
    told = fails("tune", tiny_bundle, *ENGINE, "--threads-list", "1", "--max-memory", "30", code=1)
    assert "at most 30 MB are allowed" in told or "out of memory; it may allocate 30 MB" in told or "ended" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads-list", "1,two"), "--threads-list 1,two: give whole numbers"),
        (("--threads-list", "0"), "threads are [0]"),
        (("--minutes", "0"), "minutes (0.0)"),
        (("--for", "photo", "--towers", "text"), "needs the image tower"),
        (("--for", "nothing"), "'nothing' is not one of"),
    ],
)
def test_wrong_use_exits_with_two(tiny_bundle: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in fails("tune", tiny_bundle, *arguments)


def test_engine_options_reach_the_session(tiny_bundle: Path, photos: list[Path]) -> None:
    labels = ("--label", "cat", "--label", "dog", "--json")
    right = ("--option", "x64quantprecision=1", "--option", "graph_optimization=basic")
    assert json.loads(run("classify", tiny_bundle, photos[0], *ENGINE, *right, *labels).stdout)
    told = fails("classify", tiny_bundle, photos[0], *ENGINE, "--option", "turbo=1", *labels, code=1)
    assert "no option 'turbo' here; known: bfloat16_gemm" in told
    assert "write it as NAME=VALUE" in fails("classify", tiny_bundle, photos[0], "--option", "turbo", *labels)


def test_verify_takes_them_too(tiny_bundle: Path) -> None:
    done = run("verify", tiny_bundle, "--option", "flush_denormals=1", "--threads", "1")
    assert "PASSED" in done.stdout


def test_no_words_leave_the_settings_open() -> None:
    assert settings(None) is None
    assert settings(0) == SessionSettings(threads=0)
    assert settings(None, ("a=b", "c=d=e")) == SessionSettings(options=(("a", "b"), ("c", "d=e")))
    for wrong in ("a", "=b", "a="):
        with pytest.raises(InputError, match="write it as NAME=VALUE"):
            settings(1, (wrong,))
