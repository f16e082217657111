from __future__ import annotations

from typing import get_args

import pytest

from edgekit.converters.quantize.methods.records import GroupKind
from edgekit.converters.quantize.methods.table import METHODS, SATURATES, for_instructions
from edgekit.errors import InputError


def test_the_registry_is_keyed_by_name():
    assert all(name == method.name for name, method in METHODS.items())
    assert len({method.description for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("kind", get_args(GroupKind))
def test_every_kind_has_methods_that_need_no_calibration_data_to_work(kind):
    assert {"int8_weights", "float16_weights"} <= {name for name, method in METHODS.items() if kind in method.kinds}


@pytest.mark.parametrize("name", [name for name in METHODS if "dynamic" in METHODS[name].activations])
def test_convolutions_are_not_quantized_while_running(name):
    assert "convolution" not in METHODS[name].kinds


@pytest.mark.parametrize("name", METHODS)
def test_only_one_scale_for_all_channels_is_worth_smoothing(name):
    assert METHODS[name].smooths == name.startswith(("dynamic", "static", "a16w8"))


@pytest.mark.parametrize(
    ("method", "instructions", "expected"),
    [
        ("static_int8", "x86-avx2", "static_int8_7bit"),
        ("dynamic_int8", "x86-avx2", "dynamic_int8_7bit"),
        ("static_int8", "x86-vnni", "static_int8"),
        ("static_int8", "arm-dotprod", "static_int8"),
        ("static_int8_7bit", "x86-avx2", "static_int8_7bit"),
        ("int4_weights", "x86-avx2", "int4_weights"),
    ],
)
def test_weights_have_seven_bits_where_sums_saturate(method, instructions, expected):
    assert for_instructions(method, instructions) == expected


@pytest.mark.parametrize("instructions", SATURATES)
def test_the_variant_for_an_instruction_set_exists(instructions):
    assert all(for_instructions(method, instructions) in METHODS for method in METHODS)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="'int3' does not exist"):
        for_instructions("int3", "x86-avx2")
    with pytest.raises(InputError, match="'z80' is unknown; choose one of arm-dotprod"):
        for_instructions("static_int8", "z80")
