"""The tables of providers' options: what each takes, as its documentation has it, and how a session uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import onnx_models
from edgekit.errors import InputError, PlacementError
from edgekit.runtimes import ort, ort_placement, ort_provider_tables, ort_providers
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.ort_provider_tables import TABLES
from edgekit.runtimes.protocol import NodePlacement, SessionSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_table_is_whole(table: ort_providers.ProviderTable) -> None:
    assert ort_placement.device_of(table.provider) == table.device
    assert table.source
    assert table.strictness
    names = [option.name for option in table.options]
    assert len(names) == len(set(names)) > 0
    for option in table.options:
        assert option.meaning
        assert (option.kind == "choice") == (len(option.values) > 1 and option.kind != "flag")
        assert option.low is None or option.high is None or option.low < option.high
    for name, value in table.defaults:
        option = next(one for one in table.options if one.name == name)
        assert ort_providers.written(table, option, value) == value
    assert table.pool in ("", *names)


@pytest.mark.parametrize(
    ("device", "name", "value", "written"),
    [
        ("coreml", "MLComputeUnits", "CPUAndNeuralEngine", "CPUAndNeuralEngine"),
        ("coreml", "ModelFormat", "NeuralNetwork", "NeuralNetwork"),
        ("coreml", "ModelCacheDirectory", "cache", "cache"),
        ("coreml", "RequireStaticInputShapes", "false", "0"),
        ("xnnpack", "intra_op_num_threads", "4", "4"),
        ("acl", "enable_fast_math", "1", "true"),
        ("acl", "enable_fast_math", "false", "false"),
        ("cann", "device_id", "1", "1"),
        ("cann", "precision_mode", "force_fp16", "force_fp16"),
        ("cann", "precision_mode_v2", "origin", "origin"),
        ("cann", "op_select_impl_mode", "high_precision", "high_precision"),
        ("cann", "enable_cann_graph", "True", "1"),
    ],
)
def test_documented_values_are_taken(device: str, name: str, value: str, written: str) -> None:
    assert ort_provider_tables.options(device, {name: value})[name] == written


@pytest.mark.parametrize(
    ("device", "name", "value", "told"),
    [
        ("coreml", "MLComputeUnits", "ANE", "takes ALL, CPUAndNeuralEngine, CPUAndGPU, CPUOnly"),
        ("coreml", "ModelFormat", "mlprogram", "takes MLProgram, NeuralNetwork"),
        ("coreml", "computeunits", "ALL", "did you mean MLComputeUnits"),
        ("xnnpack", "intra_op_num_threads", "0", "an integer from 1"),
        ("xnnpack", "intra_op_threads", "2", "did you mean intra_op_num_threads"),
        ("acl", "fast_math", "1", "did you mean enable_fast_math"),
        ("cann", "precision_mode", "fp16", "force_fp16"),
        ("cann", "precision_mode_v2", "force_fp16", "takes fp16, origin"),
        ("cann", "soc_version", "Ascend310P3", "has no option 'soc_version'"),
        ("cann", "npu_mem_limit", "2GB", "an integer from 1"),
    ],
)
def test_others_are_refused(device: str, name: str, value: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        ort_provider_tables.options(device, {name: value})


def test_two_ways_to_say_the_precision_exclude_each_other() -> None:
    with pytest.raises(InputError, match="precision_mode and precision_mode_v2 of the provider cann exclude"):
        ort_provider_tables.options("cann", {"precision_mode": "force_fp16", "precision_mode_v2": "fp16"})


def test_defaults_and_the_pool_of_threads() -> None:
    assert ort_provider_tables.options("coreml", {}, 4) == {"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1"}
    assert ort_provider_tables.options("xnnpack", {}) == {}
    assert ort_provider_tables.options("xnnpack", {}, 4) == {"intra_op_num_threads": "4"}
    assert ort_provider_tables.options("xnnpack", {"intra_op_num_threads": "2"}, 4) == {"intra_op_num_threads": "2"}


def test_a_provider_without_a_table_gets_what_the_user_gave() -> None:
    assert ort_provider_tables.options("cpu", {}, 2) == {}
    assert ort_provider_tables.options("vitisai", {"config_file": "x.json"}) == {"config_file": "x.json"}
    assert ort_provider_tables.strictness("vitisai") == ""


def test_a_wrong_option_is_refused_before_the_device_is_looked_for(tmp_path: Path) -> None:
    artifact = onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})
    wrong = SessionSettings(options=(("provider.MLComputeUnit", "ALL"),))
    with pytest.raises(InputError, match="no option 'MLComputeUnit'; did you mean MLComputeUnits"):
        OnnxRuntime().open(artifact, "coreml", wrong)
    right = SessionSettings(options=(("provider.MLComputeUnits", "ALL"),))
    with pytest.raises(PlacementError, match="offers no device 'coreml' here"):
        OnnxRuntime().open(artifact, "coreml", right)


def test_what_a_provider_is_by_design_stands_beside_the_nodes_that_it_left() -> None:
    left = [NodePlacement("head", "LayerNormalization", "cpu")]
    assert "it needs allow_cpu" in ort._shown(left, "xnnpack")
    assert ort._shown(left, "vitisai").endswith("allow the CPU explicitly")
    assert "1 nodes did not go to coreml: LayerNormalization head" in ort._shown(left, "coreml")
