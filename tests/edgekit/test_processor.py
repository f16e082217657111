"""How processors multiply 8-bit integers, read from the lists of real boards (`fixtures/cpuinfo/SOURCES.md`)."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgekit import processor
from edgekit.processor import INT8_CLASSES, instruction_sets, int8_class

BOARDS = Path(__file__).parents[1] / "fixtures" / "cpuinfo"
EXPECTED = {
    "raspberry-pi-3": ("aarch64", "arm-neon"),
    "raspberry-pi-4-32-bit": ("armv7l", "arm-neon"),
    "raspberry-pi-5": ("aarch64", "arm-dotprod"),
    "jetson-nano": ("aarch64", "arm-neon"),
    "jetson-xavier-nx": ("aarch64", "arm-neon"),
    "jetson-orin": ("aarch64", "arm-dotprod"),
    "rk3588": ("aarch64", "arm-dotprod"),
    "graviton-3": ("aarch64", "arm-i8mm"),
    "dimensity-7200": ("aarch64", "arm-i8mm"),
    "milk-v-mars": ("riscv64", ""),
}


@pytest.mark.parametrize("board", EXPECTED)
def test_a_board_is_of_its_class(board: str) -> None:
    machine, name = EXPECTED[board]
    found = int8_class(machine, instruction_sets((BOARDS / f"{board}.txt").read_text()))
    assert (found.name if found else "") == name


def test_every_text_is_tested_and_has_its_source() -> None:
    assert {path.stem for path in BOARDS.glob("*.txt")} == set(EXPECTED)
    sources = (BOARDS / "SOURCES.md").read_text()
    assert [board for board in EXPECTED if f"| `{board}.txt` |" not in sources] == []


@pytest.mark.parametrize(
    ("flags", "name", "saturates"),
    [
        ("sse2 avx2 avx512bw avx512_vnni amx_tile amx_int8", "x86-amx", False),
        ("sse2 avx2 avx512bw avx512_vnni avx_vnni", "x86-vnni", False),
        ("sse2 avx2 avx_vnni", "x86-avxvnni", False),
        ("sse2 avx2 avx512bw", "x86-avx512", True),
        ("sse2 avx2", "x86-avx2", True),
        ("sse2 ssse3", "x86-sse", True),
    ],
)
def test_x86_is_told_by_its_flags(flags: str, name: str, saturates: bool) -> None:
    found = int8_class("x86_64", instruction_sets(f"flags\t\t: {flags}\nvmx flags\t: amx_int8 avx512_vnni\n"))
    assert found is not None
    assert (found.name, found.saturates) == (name, saturates)


def test_what_only_some_cores_have_is_not_the_processors() -> None:
    both = instruction_sets("processor : 0\nFeatures : asimd asimddp\n\nprocessor : 1\nFeatures : asimd asimddp i8mm\n")
    assert both == {"asimd", "asimddp"}
    small_and_big = int8_class("aarch64", both)
    assert small_and_big is not None
    assert small_and_big.name == "arm-dotprod"


@pytest.mark.parametrize("text", ["", "no colon", "Features", "flags :", "model name : flags of asimddp", "\0\n::"])
def test_a_text_without_a_list_has_no_sets(text: str) -> None:
    assert instruction_sets(text) == frozenset()


def test_this_machine_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = processor.int8_here()
    if platform.machine() in ("x86_64", "aarch64"):
        assert found in INT8_CLASSES
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert processor.sets_here() == frozenset()
    assert processor.int8_here() is None, "macOS and Windows list nothing there"


def test_names_and_words_are_one_each() -> None:
    assert len({kind.name for kind in INT8_CLASSES}) == len({kind.words for kind in INT8_CLASSES}) == len(INT8_CLASSES)
