"""Settings that only ONNX Runtime has, by name: what `SessionSettings.options` may hold for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

PROVIDER = "provider."
"""Prefix of options that go to the provider as they are, such as ``provider.htp_performance_mode=burst``."""
COMPILED_CACHE = "compiled_cache"
"""Name of the option for what providers compiled: ``off`` compiles at each load, ``only`` never."""
_LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


@dataclass(frozen=True)
class OrtOption:
    """One setting.

    Attributes:
        meaning: what it does, for messages and documentation.
        values: values it takes.
        entry: onnxruntime's configuration entry; empty for a setting that is an attribute of its session options.
    """

    meaning: str
    values: tuple[str, ...]
    entry: str


# Source of the entries: onnxruntime_session_options_config_keys.h of onnxruntime 1.31.
OPTIONS = {
    "x64quantprecision": OrtOption(
        "exact u8 x s8 products on x86 processors without VNNI, where they saturate in 16 bits; slower there",
        ("0", "1"),
        "session.x64quantprecision",
    ),
    "graph_optimization": OrtOption(
        "how far the graph is rewritten; int8 operators are fused from 'extended' on", tuple(_LEVELS), ""
    ),
    COMPILED_CACHE: OrtOption(
        "open what was compiled for this device in advance or at an earlier load, and keep what is compiled; 'off' "
        "compiles at each load, 'only' never (for the provider qnn)",
        ("on", "off", "only"),
        "",
    ),
    "flush_denormals": OrtOption("take denormal numbers for zero", ("0", "1"), "session.set_denormal_as_zero"),
    "bfloat16_gemm": OrtOption(
        "float32 matrix products in bfloat16 on 64-bit ARM processors that have it",
        ("0", "1"),
        "mlas.enable_gemm_fastmath_arm64_bfloat16",
    ),
}


def check(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse what is not in `OPTIONS`.

    Args:
        pairs: names and values.

    Raises:
        InputError: a name or a value is unknown, or a name stands twice; the message names the known ones.
    """
    seen: set[str] = set()
    for name, value in pairs:
        option = OPTIONS.get(name)
        if option is None and not (name.startswith(PROVIDER) and name != PROVIDER):
            known = ", ".join(sorted(OPTIONS))
            raise InputError(f"onnxruntime has no option {name!r} here; known: {known}, {PROVIDER}NAME")
        if option is not None and value not in option.values:
            raise InputError(f"onnxruntime's option {name} takes {', '.join(option.values)}, not {value!r}")
        if name in seen:
            raise InputError(f"the option {name} is given twice; give it once")
        seen.add(name)


def apply(ort: Any, options: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """Put checked settings into an `onnxruntime.SessionOptions`.

    Args:
        ort: the module `onnxruntime`.
        options: changed in place.
        pairs: names and values that `check` let pass.
    """
    for name, value in pairs:
        if name.startswith(PROVIDER) or name == COMPILED_CACHE:
            continue
        if name == "graph_optimization":
            options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[value])
        else:
            options.add_session_config_entry(OPTIONS[name].entry, value)


def provider(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what goes to the provider, without the prefix.

    Args:
        pairs: names and values that `check` let pass.

    Returns:
        Options by the provider's own names.
    """
    return {name.removeprefix(PROVIDER): value for name, value in pairs if name.startswith(PROVIDER)}
