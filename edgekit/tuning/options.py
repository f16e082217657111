"""Which settings of an engine are worth trying, and when. Data: a new finding is a new line."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal

from edgekit.processor import sets_here

When = Literal["wrong numbers", "always"]


@dataclass(frozen=True)
class Extra:
    """Settings to try on the CPU beside the engine's defaults.

    Attributes:
        runtime: name of the runtime that knows them.
        when: after the golden check refused the defaults (the first line that passes is kept), or always.
        options: names and values, see the runtime.
        machines: machine types, as `platform.machine` calls them, that they can matter on; empty for all.
        flag: instruction-set flag of ``/proc/cpuinfo`` without which they do nothing; empty for none.
        why: what is known.
    """

    runtime: str
    when: When
    options: tuple[tuple[str, str], ...]
    machines: frozenset[str]
    flag: str
    why: str


_X86, _ARM64 = frozenset({"x86_64", "AMD64"}), frozenset({"aarch64", "arm64"})

EXTRAS = (
    Extra(
        "onnxruntime",
        "wrong numbers",
        (("x64quantprecision", "1"),),
        _X86,
        "",
        "u8 x s8 products saturate in 16 bits on AVX2 without VNNI; on a Haswell the same file goes from .78 to .99",
    ),
    Extra(
        "onnxruntime",
        "wrong numbers",
        (("graph_optimization", "basic"),),
        frozenset(),
        "",
        "leaves int8 operators unfused, to be computed in float: slow, and right where a fused kernel is not",
    ),
    Extra(
        "onnxruntime",
        "always",
        (("bfloat16_gemm", "1"),),
        _ARM64,
        "bf16",
        "float32 matrix products in bfloat16; whether the numbers hold is for the golden check to say",
    ),
    Extra(
        "litert",
        "wrong numbers",
        (("xnnpack", "off"),),
        frozenset(),
        "",
        "the built-in kernels: three to five times slower, and other code",
    ),
)


def extras(runtime: str, device: str, when: When) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the settings to try here, in order.

    Args:
        runtime: name of the runtime.
        device: as the runtime calls it; only the CPU's settings are known.
        when: what led to the question.

    Returns:
        One tuple of (name, value) pairs for each trial.
    """
    if device != "cpu":
        return ()
    machine, flags = platform.machine(), sets_here()
    return tuple(
        extra.options
        for extra in EXTRAS
        if extra.runtime == runtime
        and extra.when == when
        and (not extra.machines or machine in extra.machines)
        and (not extra.flag or extra.flag in flags)
    )
