"""The table of settings is tried where it can matter, and every line of it is one that its engine knows."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtimes import ort_options
from edgekit.runtimes.litert_settings import resolve
from edgekit.runtimes.protocol import SessionSettings
from edgekit.tuning.options import EXTRAS, extras

PRECISE = (("x64quantprecision", "1"),)
UNFUSED = (("graph_optimization", "basic"),)


@pytest.mark.parametrize("extra", EXTRAS, ids=[extra.options[0][0] for extra in EXTRAS])
def test_the_engine_knows_the_setting(extra: object) -> None:
    from edgekit.tuning.options import Extra

    assert isinstance(extra, Extra)
    assert extra.why
    if extra.runtime == "onnxruntime":
        ort_options.check(extra.options)
    else:
        assert resolve("cpu", SessionSettings(options=extra.options))


@pytest.mark.parametrize(
    ("machine", "flags", "when", "wanted"),
    [
        ("x86_64", "avx2", "wrong numbers", (PRECISE, UNFUSED)),
        ("aarch64", "asimddp", "wrong numbers", (UNFUSED,)),
        ("x86_64", "avx512_bf16 bf16", "always", ()),
        ("aarch64", "asimddp", "always", ()),
        ("aarch64", "asimddp bf16", "always", ((("bfloat16_gemm", "1"),),)),
    ],
)
def test_settings_depend_on_the_processor(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: str, when: str, wanted: object
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {flags}\n")
    assert extras("onnxruntime", "cpu", when) == wanted  # type: ignore[arg-type]


def test_only_the_cpu_and_known_engines_have_settings() -> None:
    assert extras("onnxruntime", "cuda", "wrong numbers") == ()
    assert extras("abacus", "cpu", "wrong numbers") == ()
    assert extras("litert", "cpu", "wrong numbers") == ((("xnnpack", "off"),),)


def test_a_system_without_cpuinfo_has_no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(Path, "read_text", missing)
    assert extras("onnxruntime", "cpu", "always") == ()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((("turbo", "1"),), "no option 'turbo' here; known: bfloat16_gemm, compiled_cache, flush_denormals, graph_opt"),
        ((("x64quantprecision", "yes"),), "x64quantprecision takes 0, 1, not 'yes'"),
        ((("graph_optimization", "3"),), "graph_optimization takes off, basic, extended, all, not '3'"),
        ((("flush_denormals", "1"),) * 2, "flush_denormals is given twice"),
    ],
)
def test_onnxruntime_refuses_what_it_does_not_know(pairs: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ort_options.check(pairs)
