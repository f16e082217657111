"""Which instructions ONNX Runtime multiplies with on ARM64, counted for the methods of `edgekit quantize`.

It proves the kernel, not its speed: an emulated processor has none.
"""

from __future__ import annotations

import numpy as np
import pytest

import arm_board
import opcode_counter
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration
from edgekit.converters.quantize.methods.apply import quantize_model
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.quantize.methods.table import METHODS
from edgekit.processor import instruction_sets, int8_class
from small_towers import convnet, ids, pixels, run, transformer

pytestmark = pytest.mark.skipif(bool(opcode_counter.missing()), reason=opcode_counter.missing() or "all is here")

# Few, because the emulator translates an engine's code anew for each.
METHODS_OF = {
    convnet: ("static_int8", "static_int8_s8s8"),
    transformer: ("static_int8", "static_int8_s8s8", "dynamic_int8", "int8_blocks", "int8_weights", "float16"),
}
INPUTS = {convnet: pixels, transformer: ids}
# Of `arm_board`: the processor, and the class of instruction that its int8 products must be made of.
PROCESSORS = {"a53": arm_board.CORTEX_A53, "a76": arm_board.CORTEX_A76, "i8mm": arm_board.NEWEST}
KERNELS = {"a53": "integer_multiply", "a76": "int8_dot", "i8mm": "int8_matrix"}


@pytest.fixture(scope="module", name="models")
def _models(tmp_path_factory):
    """The two towers in float32, and by each method that takes their groups."""
    folder = tmp_path_factory.mktemp("models")
    for tower, methods in METHODS_OF.items():
        given = INPUTS[tower]
        master = folder / f"{tower.__name__}.float32.onnx"
        store.save(tower(), master)
        np.save(folder / f"{tower.__name__}.npy", given(8))
        for name in methods:
            model = store.load(master)
            groups = [group for group in find_groups(model) if group.kind in METHODS[name].kinds - {"table"}]
            decision = TowerDecision({group.name: name for group in groups})
            needed = calibration.needed_tensors(model, decision)
            ranges = calibration.measure(master, [given(32, seed=9)], needed, "minmax")
            store.save(quantize_model(model, decision, ranges), folder / f"{tower.__name__}.{name}.onnx")
    return folder


@pytest.fixture(scope="module", name="plugin")
def _plugin(tmp_path_factory):
    return opcode_counter.build(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module", params=PROCESSORS, name="counted")
def _counted(request, models, plugin, tmp_path_factory):
    """Name of the processor, the counts of every model there, and the folder of what they returned."""
    out = tmp_path_factory.mktemp(request.param)
    return request.param, opcode_counter.count(PROCESSORS[request.param], plugin, models, out), out


def total(counts, *methods):
    of_methods = [count for model, count in counts.items() if model.split(".")[1] in methods]
    return {name: sum(count[name] for count in of_methods) for name in opcode_counter.CLASSES}


def test_integer_products_run_on_the_best_that_the_processor_has(counted):
    processor, counts, _ = counted
    found = total(counts, "static_int8", "dynamic_int8")
    # By far: depthwise convolutions have a kernel of their own, which multiplies and widens on every processor.
    assert found[KERNELS[processor]] > 10_000
    best = ("integer_multiply", "int8_dot", "int8_matrix").index(KERNELS[processor])
    assert [found[name] for name in ("int8_dot", "int8_matrix")[best:]] == [0] * (2 - best), "not better than it has"
    for method in ("static_int8", "dynamic_int8"):
        assert counts[f"transformer.{method}.onnx"][KERNELS[processor]] > 5_000


def test_signed_products_have_kernels_of_dot_products(counted):
    processor, counts, _ = counted
    found = total(counts, "static_int8_s8s8")
    if processor == "a53":
        assert found["int8_dot"] == found["int8_matrix"] == 0
    else:
        assert found["int8_dot"] > 0
        assert found["int8_dot"] + found["int8_matrix"] > 10_000


def test_blocks_are_integers_only_where_there_is_a_dot_product(counted):
    processor, counts, _ = counted
    blocks, floats = (counts[f"transformer.{name}.onnx"] for name in ("int8_blocks", "float32"))
    if processor == "a53":
        assert blocks["int8_dot"] == blocks["int8_matrix"] == blocks["integer_multiply"] == 0
        assert blocks["float32"] >= floats["float32"], "weights become floats again, and save space alone"
    else:
        assert blocks["int8_dot"] > 10_000
        assert blocks["float32"] < floats["float32"] / 2


def test_stored_weights_are_computed_in_floats(counted):
    _, counts, _ = counted
    floats, stored = (counts[f"transformer.{name}.onnx"] for name in ("float32", "int8_weights"))
    assert stored == floats


def test_float16_is_computed_in_halves_where_the_processor_has_them(counted):
    processor, counts, _ = counted
    found = counts["transformer.float16.onnx"]
    assert (found["float16"] > 50_000) is (processor != "a53")
    assert (found["float32"] > 50_000) is (processor == "a53"), "without them each half becomes a float first"


def test_edgekit_names_the_class_that_was_counted(counted, tmp_path):
    processor, _, _ = counted
    text = (arm_board.describe(PROCESSORS[processor], tmp_path) / "cpuinfo").read_text()
    kind = int8_class("aarch64", instruction_sets(text))
    assert kind is not None
    assert kind.name == {"a53": "arm-neon", "a76": "arm-dotprod", "i8mm": "arm-i8mm"}[processor]


def test_the_numbers_are_those_of_x86(counted, models):
    _, counts, out = counted
    assert len(counts) == len(METHODS_OF) + sum(map(len, METHODS_OF.values()))
    for model in counts:
        tower, method, _ = model.split(".")
        found = np.load(out / f"{model}.npy").astype(np.float32)
        expected = run(models / model, np.load(models / f"{tower}.npy")).astype(np.float32)
        # Blocks are rounded at run time in kernels of each family's own, and halves are added up in halves.
        limit = 1e-2 if method in ("int8_blocks", "float16") else 1e-6
        assert np.abs(found - expected).max() < limit, model


def test_a_processor_that_lists_what_it_lacks_ends_the_program(models, plugin, tmp_path):
    lying = arm_board.Processor(arm_board.CORTEX_A53.name, arm_board.CORTEX_A76.features, "0xd0b")
    with pytest.raises(AssertionError, match="Illegal instruction"):
        opcode_counter.count(lying, plugin, models, tmp_path)
