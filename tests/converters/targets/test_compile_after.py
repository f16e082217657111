"""A conversion for a chip in one step: what can be refused is refused first, and a failure leaves nothing behind."""

from __future__ import annotations

import pytest

from abacus_target import Abacus
from edgekit.converters.convert import ConvertOptions
from edgekit.converters.targets import catalog, compile_after
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError, InputError, MissingDependencyError


@pytest.fixture
def convert(bundle_path, pictures, tmp_path, monkeypatch):
    """Convert into a file, with a conversion that gives a finished bundle; returns what it was asked."""
    asked: list[object] = []

    def converted(source, out, options, on_stage):
        asked.append(options)
        out.write_bytes(bundle_path.read_bytes())

    monkeypatch.setattr(catalog, "targets", lambda: {"abacus": Abacus()})
    monkeypatch.setattr(store, "require", lambda toolchain: None)
    monkeypatch.setattr(compile_after.conversion, "convert", converted)
    monkeypatch.setattr(compile_after.data, "find", lambda given: pictures)
    monkeypatch.setattr(Abacus, "noise", 0.0)

    def run(name="out.edge", **options):
        return compile_after.convert("any:source", tmp_path / name, ConvertOptions(target="abacus", **options), print)

    run.asked, run.folder = asked, tmp_path
    return run


def test_a_tower_that_breaks_its_promise_leaves_the_old_file(convert, monkeypatch) -> None:
    old = convert.folder / "out.edge"
    old.write_bytes(b"the old one")
    monkeypatch.setattr(Abacus, "noise", 1.0)
    with pytest.raises(ConversionError, match="was promised"):
        convert()
    assert old.read_bytes() == b"the old one"
    assert list(convert.folder.iterdir()) == [old]
    assert len(convert.asked) == 1


def test_a_conversion_that_fails_leaves_nothing(convert, monkeypatch) -> None:
    def failing(source, out, options, on_stage):
        out.write_bytes(b"half a bun")
        raise ConversionError("no such model")

    monkeypatch.setattr(compile_after.conversion, "convert", failing)
    with pytest.raises(ConversionError, match="no such model"):
        convert()
    assert list(convert.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "options", "kind", "told"),
    [
        (None, {"name": "out.zip"}, InputError, r"ends in \.edge"),
        (None, {"weights": "int8"}, InputError, "compiled from float32, not int8; leave --weights out"),
        ("toolchain", {}, MissingDependencyError, "edgekit toolchain install rknn"),
        ("data", {}, InputError, "edgekit data fetch"),
    ],
)
def test_minutes_are_not_spent_on_what_cannot_end_well(convert, monkeypatch, change, options, kind, told) -> None:
    def absent(*_):
        raise kind(told)

    if change == "toolchain":
        monkeypatch.setattr(store, "require", absent)
    if change == "data":
        monkeypatch.setattr(compile_after.data, "find", absent)
    with pytest.raises(kind, match=told):
        convert(**options)
    assert convert.asked == []
    assert list(convert.folder.iterdir()) == []
