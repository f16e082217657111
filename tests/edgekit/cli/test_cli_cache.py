"""``edgekit cache``, and what ``edgekit doctor`` says of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli_runner import fails, run
from edgekit.runtimes import compiled_cache
from edgekit.runtimes.compiled_entry import Key
from edgekit.runtimes.protocol import Placement

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KEY = Key("a" * 64, "onnxruntime 1.31.1", "onnxruntime-qnn 2.7.0", "qnn:QCS6490 htp_arch=68", "")


def keep() -> None:
    def make(folder: Path) -> Placement:
        (folder / "context.onnx").write_bytes(b"x" * 1_500_000)
        return Placement(())

    compiled_cache.keep(KEY, make)


def test_nothing_is_kept_at_first() -> None:
    assert run("cache", "list").stdout == f"     0.0 MB of 2000 in {compiled_cache.home()}\n"
    assert json.loads(run("cache", "list", "--json").stdout) == {"limit": 2_000_000_000, "entries": []}
    assert "compiled models" not in run("doctor").stdout


def test_what_is_kept_is_listed_and_cleared() -> None:
    keep()
    first, total = run("cache", "list").stdout.splitlines()
    assert first.split("  ")[-3:] == [KEY.device, "onnxruntime 1.31.1, onnxruntime-qnn 2.7.0", KEY.name]
    assert total.startswith("     1.5 MB of 2000 in ")
    row = json.loads(run("cache", "list", "--json").stdout)["entries"][0]
    assert row["bytes"] == 1_500_000
    assert row["compiler"] == KEY.compiler
    assert "1 compiled models, 1.5 MB; edgekit cache list" in run("doctor").stdout
    assert json.loads(run("doctor", "--json").stdout)["compiled_bytes"] == 1_500_000
    assert run("cache", "clear").stdout == "1.5 MB freed\n"
    assert json.loads(run("cache", "clear", "--json").stdout) == {"freed": 0}


def test_a_wrong_limit_and_a_wrong_word_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No such command 'empty'" in fails("cache", "empty")
    monkeypatch.setenv(compiled_cache.LIMIT, "much")
    assert "EDGEKIT_COMPILED_LIMIT is 'much'" in fails("cache", "list")
