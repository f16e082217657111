"""Decisions as recipes of ai-edge-quantizer: data in, data out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.litert import variant
from edgekit.converters.litert.names import scopes
from edgekit.converters.litert.recipe import WeightedOperator, full_integer_recipe, make_recipe
from edgekit.converters.quantize.methods.records import Group
from edgekit.converters.quantize.methods.table import METHODS
from edgekit.errors import ConversionError, UnsupportedModelError

GROUPS = (
    Group("table", "table", ("a",), 3200),
    Group("positions", "table", ("p",), 320),
    Group("stem", "convolution", ("b", "c"), 900),
    Group("block00.mlp", "mlp", ("d",), 2000),
)
NAMES = scopes(GROUPS)


def operator(op, group, width=64):
    return WeightedOperator(op, f"module/Tower_tower/Step_{NAMES[group]}7;2", width)


OPERATORS = [
    operator("EMBEDDING_LOOKUP", "table"),
    operator("CONV_2D", "stem", 3),
    replace(operator("DEPTHWISE_CONV_2D", "stem", 16), output=f"x;Step_{NAMES['stem']}9;"),
    operator("FULLY_CONNECTED", "block00.mlp"),
]


def method(weights, activations):
    return replace(METHODS["int8_weights"], name="tested", weights=weights, activations=activations)


def rule(group, weights, activations, operators=OPERATORS):
    """The rules of one group, by operator."""
    chosen = [(next(g for g in GROUPS if g.name == group), method(weights, activations))]
    return {entry["operation"]: entry for entry in make_recipe(chosen, NAMES, operators).rules}


def weights_of(entry):
    config = entry["op_config"]["weight_tensor_config"]
    return config["num_bits"], config["dtype"], config["granularity"]


def test_a_rule_matches_the_operators_of_its_group_and_no_other():
    chosen = [(group, method("int8", "float32")) for group in GROUPS if group.name != "positions"]
    for entry in make_recipe(chosen, NAMES, OPERATORS).rules:
        matched = [o for o in OPERATORS if re.search(entry["regex"], o.output) and o.op == entry["operation"]]
        assert len(matched) == 1


@pytest.mark.parametrize("activations", ["float32", "float16"])
def test_float16_weights(activations):
    (entry,) = rule("block00.mlp", "float16", activations).values()
    assert entry["algorithm_key"] == "float_casting"
    assert weights_of(entry)[:2] == (16, "FLOAT")
    assert entry["op_config"]["compute_precision"] == "FLOAT"


@pytest.mark.parametrize(
    ("weights", "activations", "compute", "decoded"),
    [
        ("int8", "float32", "FLOAT", True),
        ("int8", "dynamic uint8", "INTEGER", False),
        ("int7", "dynamic uint8", "INTEGER", False),
        ("int8 blocks", "dynamic int8 blocks", "INTEGER", False),
        ("int8", "uint8", "INTEGER", False),
    ],
)
def test_eight_bit_weights(weights, activations, compute, decoded):
    found = rule("stem", weights, activations)
    assert set(found) == {"CONV_2D", "DEPTHWISE_CONV_2D"}
    for entry in found.values():
        assert weights_of(entry) == (8, "INT", "CHANNELWISE")
        assert entry["op_config"]["compute_precision"] == compute
        assert entry["op_config"]["explicit_dequantize"] is decoded
        assert ("activation_tensor_config" in entry["op_config"]) == (activations == "uint8")


@pytest.mark.parametrize(
    ("activations", "bits", "symmetric"), [("uint8", 8, False), ("int8", 8, False), ("uint16", 16, True)]
)
def test_static_activations(activations, bits, symmetric):
    group = GROUPS[3]
    recipe = make_recipe([(group, method("int8", activations))], NAMES, OPERATORS)
    assert recipe.needs_samples
    config = recipe.rules[0]["op_config"]["activation_tensor_config"]
    assert (config["num_bits"], config["symmetric"], config["granularity"]) == (bits, symmetric, "TENSORWISE")


def test_nothing_else_needs_samples():
    chosen = [(GROUPS[3], method("int8", "dynamic uint8"))]
    assert not make_recipe(chosen, NAMES, OPERATORS).needs_samples
    assert make_recipe([], NAMES, OPERATORS).rules == []


@pytest.mark.parametrize(("width", "granularity"), [(64, "BLOCKWISE_32"), (48, "CHANNELWISE")])
@pytest.mark.parametrize(("weights", "activations"), [("int4", "float32"), ("int4 blocks", "dynamic int8 blocks")])
def test_four_bits_come_in_blocks_where_the_width_allows_it(width, granularity, weights, activations):
    operators = [operator("FULLY_CONNECTED", "block00.mlp", width)]
    (entry,) = rule("block00.mlp", weights, activations, operators).values()
    assert weights_of(entry) == (4, "INT", granularity)
    assert entry["op_config"]["compute_precision"] == "INTEGER"


def test_convolutions_keep_eight_bits():
    for entry in rule("stem", "int4", "float32").values():
        assert weights_of(entry)[0] == 8


@pytest.mark.parametrize(("weights", "bits"), [("int8", 8), ("int4", 4)])
@pytest.mark.parametrize("activations", ["float32", "dynamic uint8", "uint8"])
def test_rows_of_a_table_are_decoded_when_they_are_looked_up(weights, bits, activations):
    (entry,) = rule("table", weights, activations).values()
    assert weights_of(entry) == (bits, "INT", "CHANNELWISE")
    assert entry["op_config"]["explicit_dequantize"] is False
    assert "activation_tensor_config" not in entry["op_config"]


def test_a_table_that_became_a_constant_is_named_as_skipped():
    recipe = make_recipe([(GROUPS[1], method("int8", "float32"))], NAMES, OPERATORS)
    assert recipe.rules == []
    assert recipe.skipped == ("positions",)


def test_weights_that_were_lost_on_the_way_are_an_error():
    with pytest.raises(ConversionError, match=r"'block00\.mlp': no operator of the LiteRT file"):
        rule("block00.mlp", "int8", "float32", OPERATORS[:3])


def test_an_operator_fused_out_of_two_groups_is_an_error():
    both = WeightedOperator("CONV_2D", f"Step_{NAMES['stem']}1;;Step_{NAMES['block00.mlp']}2;", 3)
    with pytest.raises(ConversionError, match=r"the groups stem, block00\.mlp"):
        rule("stem", "int8", "float32", [both])


@pytest.mark.parametrize(("weights", "activations"), [("int3", "float32"), ("int8", "bfloat16"), ("float16", "int8")])
def test_what_litert_cannot_do_is_refused(weights, activations):
    with pytest.raises(UnsupportedModelError, match="method 'tested': LiteRT"):
        rule("block00.mlp", weights, activations)


def test_every_method_of_the_registry_has_a_recipe():
    for entry in METHODS.values():
        chosen = [(group, entry) for group in GROUPS if group.kind in entry.kinds]
        assert make_recipe(chosen, NAMES, OPERATORS).rules


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12), unique=True)
)
def test_rules_are_found_again_whatever_groups_are_called(names):
    groups = [Group(name, "mlp", (name,), 1) for name in names]
    called = scopes(groups)
    operators = [WeightedOperator("FULLY_CONNECTED", f"Step_{called[g.name]}{i};", 32) for i, g in enumerate(groups)]
    rules = make_recipe([(g, method("int8", "float32")) for g in groups], called, operators).rules
    hits = [[bool(re.search(entry["regex"], o.output)) for o in operators] for entry in rules]
    assert hits == [[i == j for j in range(len(groups))] for i in range(len(groups))]


def test_the_recipe_for_processors_without_floats():
    every, table, output = full_integer_recipe().rules
    assert every["operation"] == "*"
    assert "activation_tensor_config" in every["op_config"]
    assert (table["operation"], "activation_tensor_config" in table["op_config"]) == ("EMBEDDING_LOOKUP", False)
    assert (output["operation"], output["algorithm_key"]) == ("OUTPUT", "no_quantize")
    assert full_integer_recipe().needs_samples


def test_storages_of_a_conversion_are_methods_of_the_registry():
    for storage, name in variant.METHODS.items():
        assert METHODS[name].weights == storage
        assert METHODS[name].activations == "float32"
        assert "convolution" in METHODS[name].kinds
        assert "table" in METHODS[name].kinds
