"""``edgekit toolchain`` installs, lists and removes, for people and as JSON."""

from __future__ import annotations

import json

import pytest

from cli_runner import fails, run
from edgekit.bundle import schema
from edgekit.converters.toolchains import catalog, store


@pytest.fixture
def known(bare, monkeypatch, tmp_path):
    """A catalogue with one toolchain, read from a file as the real ones are."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "bare.json").write_text(schema.dumps(bare))
    monkeypatch.setattr(catalog, "files", lambda _: tmp_path)
    return bare


def test_install_list_remove(known) -> None:
    assert "yes" not in run("toolchain", "list").stdout
    done = run("toolchain", "install", "bare")
    assert "none" in done.stderr  # the licence
    assert str(store.folder("bare")) in done.stdout
    assert "yes" in run("toolchain", "list").stdout
    (row,) = json.loads(run("toolchain", "list", "--json").stdout)
    assert row["installed"]["python"] in row["pythons"]
    assert "MB freed" in run("toolchain", "remove", "bare").stdout
    assert "was not installed" in run("toolchain", "remove", "bare").stdout


def test_json_of_each(known) -> None:
    made = json.loads(run("toolchain", "install", "bare", "--json").stdout)
    assert made["path"] == str(store.folder("bare"))
    assert made["size"] > 0
    assert json.loads(run("toolchain", "remove", "bare", "--json").stdout)["freed"] == pytest.approx(
        made["size"], rel=0.5
    )
    assert json.loads(run("toolchain", "list", "--json").stdout)[0]["installed"] is None


def test_an_unknown_name_is_wrong_use() -> None:
    assert "there is no toolchain 'abacus'" in fails("toolchain", "install", "abacus")
    assert "there is no toolchain 'abacus'" in fails("toolchain", "remove", "abacus")


def test_the_real_ones_are_listed() -> None:
    listed = run("toolchain", "list").stdout
    assert "rknn" in listed
    assert "vela" in listed
