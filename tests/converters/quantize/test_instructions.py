"""The processor's instruction set, and the methods that suit it."""

from __future__ import annotations

import pytest

from edgekit import processor
from edgekit.converters.quantize import instructions, kit
from edgekit.converters.quantize.methods.table import METHODS, SATURATES


@pytest.mark.parametrize(
    ("machine", "flags", "name"),
    [
        ("x86_64", "sse2 avx2 avx512bw avx512_vnni", "x86-vnni"),
        ("x86_64", "sse2 avx2 avx512bw", "x86-avx512"),
        ("x86_64", "sse2 avx2", "x86-avx2"),
        ("x86_64", "sse2", "x86-sse"),
        ("AMD64", "avx2 avx_vnni", "x86-avxvnni"),
        ("aarch64", "fp asimd asimddp", "arm-dotprod"),
        ("aarch64", "fp asimd asimddp i8mm", "arm-i8mm"),
        ("armv7l", "neon", "arm-neon"),
        ("riscv64", "rv64", ""),
    ],
)
def test_a_processor_is_named_after_the_best_it_has(monkeypatch, tmp_path, machine, flags, name):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    assert instructions.here() == name
    assert name in {*SATURATES, ""}


def test_where_nothing_can_be_read_nothing_is_guessed(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert instructions.here() == ""


@pytest.mark.parametrize("target", sorted(SATURATES))
def test_a_processor_is_offered_8_bits_or_7_and_never_both(target):
    offered = kit.usual(target)
    pairs = [name for name in METHODS if f"{name}_7bit" in METHODS]
    assert pairs
    for name in pairs:
        assert (f"{name}_7bit" in offered) is SATURATES[target]
        assert (name in offered) is not SATURATES[target]
    assert {METHODS[name].activations for name in offered}.isdisjoint({"float16", "uint16"})


def test_any_other_target_is_offered_everything():
    assert kit.usual("hexagon") == tuple(METHODS)


def test_cpu_stands_for_this_processor():
    assert kit.usual("cpu") == kit.usual(instructions.here())


def test_a_file_for_any_processor_is_right_where_sums_saturate():
    assert kit.usual("any") == kit.usual("x86-avx2")
    assert "static_int8_7bit" in kit.usual("any")
    assert "static_int8" not in kit.usual("any")
