"""Packages that are absent, broken or half removed; options that only one engine has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MissingDependencyError
from edgekit.runtimes import engines

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = {"precision": ("high", "low"), "power": ("high", "normal")}


def test_a_package_that_is_there_is_given() -> None:
    assert engines.imported("json", "loads", "pip install json") is sys.modules["json"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"cannot be imported \(No module named 'no_engine'\); pip install it"),
        (
            "raise OSError('libcuda.so.1: cannot open')",
            r"cannot be imported \(libcuda\.so\.1: cannot open\); pip install",
        ),
        ("raise SystemError('built for NumPy 1')", r"cannot be imported \(built for NumPy 1\)"),
        ("", r"no_engine is not completely installed; pip install it"),
    ],
)
def test_one_that_is_not_says_why_and_what_installs_it(
    content: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "no_engine", raising=False)
    if content is not None:
        (tmp_path / "no_engine.py").write_text(content)
    with pytest.raises(MissingDependencyError, match=told):
        engines.imported("no_engine", "Session", "pip install it")
    sys.modules.pop("no_engine", None)


def test_options_come_back_by_name() -> None:
    assert engines.named_options("E", KNOWN, (("power", "normal"), ("precision", "low"))) == {
        "power": "normal",
        "precision": "low",
    }
    assert engines.named_options("E", KNOWN, ()) == {}


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([("speed", "1")], "E has no option 'speed' here; known: power, precision"),
        ([("precision", "medium")], "E's option precision takes high, low, not 'medium'"),
        ([("power", "high"), ("power", "high")], "the option power is given twice; give it once"),
    ],
)
def test_what_is_not_known_is_told(pairs: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        engines.named_options("E", KNOWN, pairs)


@given(st.lists(st.tuples(st.sampled_from(["precision", "power", "x"]), st.sampled_from(["high", "low", "y"]))))
def test_any_pairs_are_options_or_an_error(pairs: list[tuple[str, str]]) -> None:
    fine = len({name for name, _ in pairs}) == len(pairs) and all(value in KNOWN.get(name, ()) for name, value in pairs)
    if fine:
        assert engines.named_options("E", KNOWN, pairs) == dict(pairs)
    else:
        with pytest.raises(InputError):
            engines.named_options("E", KNOWN, pairs)
