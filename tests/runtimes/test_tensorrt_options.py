"""What a version of TensorRT is told, and which settings it takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgekit.errors import InputError, MissingDependencyError
from edgekit.runtimes import tensorrt_options
from edgekit.runtimes.onnx_facts import Facts
from edgekit.runtimes.tensorrt_options import Typing

PLAIN = Facts(frozenset(), frozenset({1}), static=True)
MIXED = Facts(frozenset({"DequantizeLinear"}), frozenset({1, 10}), static=True)


@pytest.mark.parametrize(
    ("version", "facts", "expected"),
    [
        ((8, 6), PLAIN, Typing(("EXPLICIT_BATCH",), ())),
        ((8, 6), MIXED, Typing(("EXPLICIT_BATCH",), ("FP16", "INT8"))),
        ((9, 3), MIXED, Typing(("EXPLICIT_BATCH", "STRONGLY_TYPED"), ())),
        ((10, 13), MIXED, Typing(("STRONGLY_TYPED",), ())),
        # 11 has neither flag, and no other networks.
        ((11, 0), MIXED, Typing((), ())),
    ],
)
def test_types_are_the_graphs_own(version, facts, expected) -> None:
    assert tensorrt_options.typing_of(version, facts) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("8.5.2.2", (8, 5)), ("10.13.3.9.post1", (10, 13)), ("11.4.0", (11, 4))]
)
def test_versions_are_read(text: str, expected) -> None:
    assert tensorrt_options.version_of(SimpleNamespace(__version__=text)) == expected


@pytest.mark.parametrize(
    ("text", "told"), [("8.2.1.8", "8.2.1.8 is older than 8.5"), ("", "not completely"), ("x", "not completely")]
)
def test_an_old_or_broken_package_is_refused(text: str, told: str) -> None:
    with pytest.raises(MissingDependencyError, match=told):
        tensorrt_options.version_of(SimpleNamespace(__version__=text))


def test_defaults() -> None:
    assert tensorrt_options.resolve(()) == {"largest_batch": "8", "timing_cache": "on", "compiled_cache": "on"}


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ((("workspace", "1"),), "no option 'workspace'; did you mean workspace_mb"),
        ((("optimization_level", "9"),), "takes an integer from 0 up to 5"),
        ((("largest_batch", "0"),), "takes an integer from 1"),
        ((("timing_cache", "yes"),), "takes on, off"),
        ((("workspace_mb", "1"),) * 2, "twice"),
    ],
)
def test_wrong_settings_are_named(pairs, told: str) -> None:
    with pytest.raises(InputError, match=told):
        tensorrt_options.resolve(pairs)


def test_only_what_changes_a_plan_is_in_its_key() -> None:
    options = tensorrt_options.resolve((("workspace_mb", "100"), ("timing_cache", "off")))
    assert tensorrt_options.compiling(options) == "largest_batch=8 workspace_mb=100"
