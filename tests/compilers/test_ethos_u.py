"""Vela for real: what stays on the processor is counted, and LayerNorm is none of it."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.converters.quantize.data import HELD_OUT
from edgekit.converters.targets import catalog
from edgekit.converters.targets.ethos_u import EthosU
from edgekit.fidelity import agreement


@pytest.fixture(scope="module")
def built(toolchain, attention, tmp_path_factory):
    """The tiny image tower, which convolves and has a transformer layer, for the smallest common configuration."""
    toolchain("vela")
    job, reference = attention("image", catalog.find("ethos-u55-128")[1], "w8a8", tmp_path_factory.mktemp("vela"))
    made = EthosU().build(job, lambda _: None)
    return made, agreement(made.rows[HELD_OUT], reference)


def test_the_int8_file_is_proven_before_vela(built) -> None:
    made, found = built
    assert found.centred_mean > 0.8  # every operator in 8 bits, attention too, with random weights
    assert made.input.dtype == "uint8"
    assert {"ethos-u-vela", "ai-edge-quantizer"} <= set(made.toolchain)


def test_layer_norm_stays_on_the_npu(built) -> None:
    made, _ = built
    left = made.facts["operators on the processor"]
    # A LayerNorm that Vela cannot take leaves these behind.
    assert not any(op in left for op in ("MEAN", "RSQRT", "SQUARED_DIFFERENCE", "BATCH_MATMUL", "SOFTMAX", "CONV_2D"))
    assert made.facts["operators on the NPU"]


def test_neither_pixels_nor_lengths_are_left_to_the_processor(built) -> None:
    made, _ = built
    left = made.facts["operators on the processor"]
    # Before: the cast and the rounding of every pixel, and whatever brings rows to length one.
    assert not any(op in left for op in ("CAST", "ABS", "REDUCE_MAX", "SQRT", "SUM"))
    assert "QUANTIZE" not in left.replace("DEQUANTIZE", "")
    assert made.facts["pixels"] == "uint8, requantized"
    assert made.output.name == "projection"
    for rows in made.rows.values():
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_time_and_memory_are_told_as_estimates(built) -> None:
    facts = built[0].facts
    assert facts["estimated time"].endswith(" ms")
    assert facts["SRAM"].endswith(" KiB")
    assert "no hardware was measured" in facts["estimated by"]


def test_every_configuration_is_one_that_vela_knows(toolchain) -> None:
    import subprocess

    from edgekit.converters.toolchains import store

    toolchain("vela")
    done = subprocess.run(
        [str(store.python("vela")), "-m", "ethosu.vela", "--help"], capture_output=True, text=True, check=True
    )
    assert all(chip.tool_name in done.stdout for chip in EthosU().chips())
