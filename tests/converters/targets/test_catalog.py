"""Chips are found by name, third parties' too; what each target says of itself holds together."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, get_args

import pytest

from cli_runner import fails, run
from edgekit.converters.targets import catalog
from edgekit.converters.targets.records import AIM_CENTRED, LEAST_CENTRED, Precision, Proof
from edgekit.converters.toolchains import catalog as toolchains
from edgekit.errors import InputError
from edgekit.golden import TOWERS
from edgekit.runtimes import registry

if TYPE_CHECKING:
    from pathlib import Path

PLUG_IN = """
from edgekit.converters.targets.records import Chip

class Loom:
    format, toolchain = "cloth", ""
    def chips(self): return (Chip("jacquard", "J1804", ("w8",), "planned", "punched cards"),)
    def towers(self, chip): return ("image", "text")
    def build(self, job, on_stage): raise NotImplementedError
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a distribution the way an installer does: a module and its metadata."""

    def make(entry_points: str, code: str = PLUG_IN) -> None:
        (tmp_path / "loom_target.py").write_text(code)
        info = tmp_path / "loom_target-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loom-target\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[edgekit.targets]\n{entry_points}\n")

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "loom_target", raising=False)
    return make


def test_a_third_partys_chip_is_found(install) -> None:
    install("loom = loom_target:Loom")
    target, chip = catalog.find("jacquard")
    assert (target.format, chip.tool_name) == ("cloth", "J1804")
    (row,) = [one for one in json.loads(run("compile", "--list", "--json").stdout) if one["name"] == "jacquard"]
    assert (row["precisions"], row["proof"], row["installed"], row["in_advance"]) == (["w8"], "planned", True, False)


BROKEN = [
    ("loom = loom_target:Loom", "import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
    ("loom = loom_target:Shuttle", PLUG_IN, "has no attribute 'Shuttle'"),
    ("loom = loom_target:Loom", f"{PLUG_IN}\n    def __init__(self): raise OSError('no yarn')\n", "no yarn"),
]


@pytest.mark.parametrize(("entry", "code", "why"), BROKEN)
def test_a_package_that_is_broken_is_told_and_harms_no_other(install, entry, code, why) -> None:
    install(entry, code)
    assert catalog.find("rk3588")[1].name == "rk3588"
    (told,) = catalog.broken()
    assert told.startswith(f"the target 'loom' ({entry.partition(' = ')[2]}) cannot be loaded: ")
    assert why in told
    with pytest.raises(InputError, match=r"'jacquard' is not one of [\s\S]*the target 'loom' .* reinstall or remove"):
        catalog.find("jacquard")
    listed = run("compile", "--list", "--json")
    assert len(json.loads(listed.stdout)) > 30
    assert f"note: {told}" in listed.stderr


def test_without_a_broken_one_nothing_is_told() -> None:
    assert catalog.broken() == ()
    assert run("compile", "--list").stderr == ""
    told = fails("compile", "any.edge", "--target", "abacus", "-o", "out.edge")
    assert "'abacus' is not one of ascend310b1, " in told
    assert "cannot be loaded" not in told


def test_no_two_targets_know_a_chip_by_one_name() -> None:
    names = Counter(chip.name for target in catalog.targets().values() for chip in target.chips())
    assert [name for name, count in names.items() if count > 1] == []
    for target in catalog.targets().values():
        *_, last = target.chips()
        found, same = catalog.find(last.name)
        assert (type(found), same) == (type(target), last)


@pytest.fixture(scope="module")
def opened():
    """Formats that edgekit's runtimes open."""
    return {form for runtime in registry.names() for form in registry.get(runtime).formats}


@pytest.mark.parametrize("name", sorted(catalog.targets()))
def test_what_a_target_says_can_be_used(name, opened) -> None:
    target = catalog.targets()[name]
    if target.toolchain:
        assert toolchains.find(target.toolchain).name == target.toolchain
    # The guide says it: no runtime opens the CV family's files yet.
    assert target.format in opened or target.format == "cvimodel"
    for chip in target.chips():
        assert chip.precisions
        assert len(set(chip.precisions)) == len(chip.precisions)
        for precision in chip.precisions:
            assert precision in get_args(Precision)
            # What is aimed at is no less than what is promised.
            assert 0.9 < LEAST_CENTRED[precision] <= AIM_CENTRED[precision] < 1
        assert chip.proof in get_args(Proof)
        assert set(target.towers(chip)) <= set(TOWERS)
        assert target.towers(chip)
        # One line of a list, and a part of a variant's id and folder.
        assert "\n" not in chip.note
        assert chip.name == chip.name.lower()
        assert chip.name.replace("-", "").replace(".", "").isalnum()
