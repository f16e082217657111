"""Foreign towers against the same arithmetic in NumPy, and what is refused before or while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import foreign_graphs as foreign
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters import onnx_towers
from edgekit.errors import ConversionError, UnsupportedModelError
from foreign_graphs import DIMENSION, HEIGHT, PAD, WIDTH, info

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ImageSpec(HEIGHT, WIDTH, "squash", 0, "bicubic", (0, 0, 0), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
LENGTH = 7
IDS = np.array([[3, 4, 5, PAD, PAD, PAD, PAD], [9, 8, 7, 6, 5, 4, 3], [29, PAD, PAD, PAD, PAD, PAD, PAD]])
PIXELS = np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
channel = st.floats(0.05, 1.0)


def run(path: Path, name: str, batch: Any) -> Any:
    return onnxruntime.InferenceSession(str(path)).run(None, {name: batch})[0]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mean=st.tuples(channel, channel, channel), std=st.tuples(channel, channel, channel), rows=st.integers(1, 5))
def test_any_scaling_is_built_into_the_graph(tmp_path: Path, mean: Any, std: Any, rows: int) -> None:
    spec = ImageSpec(HEIGHT, WIDTH, "squash", 0, "bicubic", (0, 0, 0), mean, std)
    tower = onnx_towers.image_tower(foreign.image(tmp_path / "in.onnx"), spec)
    tower.export(tmp_path / "out.onnx")
    expected = foreign.image_rows(PIXELS[:rows], mean, std)
    np.testing.assert_allclose(run(tmp_path / "out.onnx", "pixels", PIXELS[:rows]), expected, atol=2e-5)
    np.testing.assert_allclose(tower.reference(PIXELS[:rows]), expected, atol=2e-5)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_fixed_batch_is_served_in_pieces_and_freed(tmp_path: Path, batch: int) -> None:
    tower = onnx_towers.image_tower(foreign.image(tmp_path / "in.onnx", batch), SPEC)
    assert tower.batch == batch
    expected = foreign.image_rows(PIXELS, SPEC.mean, SPEC.std)
    np.testing.assert_allclose(tower.reference(PIXELS), expected, atol=1e-5)  # 5 rows: the last piece is not full
    tower.export(tmp_path / "out.onnx")
    np.testing.assert_allclose(run(tmp_path / "out.onnx", "pixels", PIXELS), expected, atol=1e-5)


def test_weights_that_are_listed_as_inputs_stay_weights(tmp_path: Path) -> None:
    """PyTorch before 1.5, and many converters, list every initializer among the inputs."""
    path = foreign.image(tmp_path / "in.onnx")
    model = onnx.load(path)
    model.graph.input.append(info("matrix", TensorProto.FLOAT, foreign.MATRIX.shape))
    onnx.save(model, path)
    onnx_towers.image_tower(path, SPEC).export(tmp_path / "out.onnx")
    assert [value.name for value in onnx.load(tmp_path / "out.onnx").graph.input] == ["pixels"]
    expected = foreign.image_rows(PIXELS, SPEC.mean, SPEC.std)
    np.testing.assert_allclose(run(tmp_path / "out.onnx", "pixels", PIXELS), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [["N", 3], ["N", 3, 8, 3], ["N", 1, 4, 6], ["N", 4, 6, 1], None])
def test_an_image_input_of_another_shape_is_named(tmp_path: Path, shape: Any) -> None:
    node = helper.make_node("ReduceMean", ["image"], ["embedding"], keepdims=0)
    path = foreign.save(tmp_path / "in.onnx", [node], [info("image", 1, shape)], [info("embedding", 1, None)])
    with pytest.raises(UnsupportedModelError, match=r"in\.onnx: input 'image' has shape .*\(N, 3, H, W\)"):
        onnx_towers.image_tower(path, SPEC)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.DOUBLE, TensorProto.STRING])
def test_pixels_of_another_type_are_named(tmp_path: Path, kind: int) -> None:
    node = helper.make_node("Identity", ["image"], ["embedding"])
    inputs, outputs = [info("image", kind, ["N", 3, HEIGHT, WIDTH])], [info("embedding", kind, None)]
    path = foreign.save(tmp_path / "in.onnx", [node], inputs, outputs)
    with pytest.raises(UnsupportedModelError, match=r"in\.onnx: input 'image' is tensor\(.*\); float or uint8"):
        onnx_towers.image_tower(path, SPEC)


@pytest.mark.parametrize(("told", "height", "width"), [("height 4", 5, WIDTH), ("width 6", HEIGHT, 5)])
def test_a_size_that_is_not_the_configurations_is_named(tmp_path: Path, told: str, height: int, width: int) -> None:
    other = ImageSpec(height, width, "squash", 0, "bicubic", (0, 0, 0), SPEC.mean, SPEC.std)
    with pytest.raises(UnsupportedModelError, match=f"input 'image' has {told}, the configuration 5"):
        onnx_towers.image_tower(foreign.image(tmp_path / "in.onnx"), other)


def test_a_graph_that_does_not_run_is_told_with_its_shapes(tmp_path: Path) -> None:
    """72 values are no rows of 7."""
    node = helper.make_node("Reshape", ["image", "shape"], ["embedding"])
    inputs, outputs = [info("image", 1, ["N", 3, HEIGHT, WIDTH])], [info("embedding", 1, ["N", 7])]
    path = foreign.save(tmp_path / "in.onnx", [node], inputs, outputs, {"shape": np.array([-1, 7])})
    tower = onnx_towers.image_tower(path, SPEC)
    with pytest.raises(UnsupportedModelError, match=r"in\.onnx: fails on 'image' \[5, 3, 4, 6\]: .*Reshape"):
        tower.reference(PIXELS)
    with pytest.raises(UnsupportedModelError, match=r"in\.onnx: fails on"):
        tower.export(tmp_path / "out.onnx")
    assert not list(tmp_path.glob("out*"))


def test_a_contract_graph_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    """A graph whose rows depend on their neighbours, here on the largest value of the batch, fixes no batch openly."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["product"]),
        helper.make_node("CumSum", ["product", "axis"], ["embedding"]),
    ]
    inputs, outputs = [info("image", 1, [1, 3, HEIGHT, WIDTH])], [info("embedding", 1, [1, DIMENSION])]
    values = {"matrix": foreign.MATRIX, "axis": np.array(0)}
    path = foreign.save(tmp_path / "in.onnx", nodes, inputs, outputs, values)
    with pytest.raises(UnsupportedModelError, match=r"differs from it by .* at batch 3 .*takes only batch 1, which is"):
        onnx_towers.image_tower(path, SPEC).export(tmp_path / "out.onnx")


@pytest.mark.parametrize("kind", ["INT64", "INT32", "FLOAT", "FLOAT16", "DOUBLE", "BOOL"])
def test_a_mask_of_any_type_is_derived_from_the_ids(tmp_path: Path, kind: str) -> None:
    path = foreign.text(tmp_path / "in.onnx", mask=getattr(TensorProto, kind))
    mask = (IDS != PAD).astype(np.int64)
    tower = onnx_towers.text_tower(path, LENGTH, PAD, {"input_ids": IDS, "attention_mask": mask})
    tower.export(tmp_path / "out.onnx")
    expected = foreign.text_rows(IDS, mask)
    np.testing.assert_allclose(run(tmp_path / "out.onnx", "token_ids", IDS.astype(np.int32)), expected, atol=1e-6)
    np.testing.assert_allclose(tower.reference(IDS), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.FLOAT, TensorProto.DOUBLE])
def test_ids_of_any_numeric_type(tmp_path: Path, kind: int) -> None:
    tower = onnx_towers.text_tower(foreign.text(tmp_path / "in.onnx", ids=kind), LENGTH, PAD, {})
    tower.export(tmp_path / "out.onnx")
    expected = foreign.text_rows(IDS)
    np.testing.assert_allclose(run(tmp_path / "out.onnx", "token_ids", IDS.astype(np.int32)), expected, atol=1e-6)
    np.testing.assert_allclose(tower.reference(IDS.astype(np.int32)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.INT64, ["N"]),
        (TensorProto.INT64, ["N", "L", 1]),
        (TensorProto.INT64, None),
        (TensorProto.STRING, ["N", "L"]),
        (TensorProto.UINT8, ["N", "L"]),
    ],
)
@pytest.mark.parametrize("name", ["input_ids", "attention_mask"])
def test_a_text_input_of_another_shape_or_type_is_named(tmp_path: Path, name: str, kind: int, shape: Any) -> None:
    wrong, other = info(name, kind, shape), {"input_ids": "attention_mask", "attention_mask": "input_ids"}[name]
    inputs = [wrong, info(other, TensorProto.INT64, ["N", "L"])]
    nodes = [
        helper.make_node("Shape", ["attention_mask"], ["sizes"]),
        helper.make_node("Shape", ["input_ids"], ["more"]),
        helper.make_node("Concat", ["sizes", "more"], ["all"], axis=0),
        helper.make_node("Cast", ["all"], ["text_embeds"], to=TensorProto.FLOAT),
    ]
    path = foreign.save(tmp_path / "in.onnx", nodes, inputs, [info("text_embeds", 1, None)])
    with pytest.raises(UnsupportedModelError, match=rf"in\.onnx: input '{name}' is tensor.*of shape \(N, L\) were"):
        onnx_towers.text_tower(path, LENGTH, PAD, {})


def test_a_length_that_is_not_the_tokenizers_is_named(tmp_path: Path) -> None:
    path = foreign.text(tmp_path / "in.onnx", length=LENGTH)
    with pytest.raises(UnsupportedModelError, match=r"'input_ids' has length 7, the tokenizer's settings say 77"):
        onnx_towers.text_tower(path, 77, PAD, {})
    tower = onnx_towers.text_tower(path, LENGTH, PAD, {})
    assert tower.fixed_length
    # Shorter ids are filled up before the graph, which takes only this length, sees them.
    np.testing.assert_array_equal(tower.reference(IDS[:, :3]), tower.reference(np.pad(IDS[:, :3], ((0, 0), (0, 4)))))


def test_ids_that_the_graph_does_not_know_are_an_error_of_ours(tmp_path: Path) -> None:
    tower = onnx_towers.text_tower(foreign.text(tmp_path / "in.onnx"), LENGTH, PAD, {})
    with pytest.raises(ConversionError, match=r"in\.onnx: fails on 'input_ids' \[1, 7\]: .*Gather"):
        tower.reference(np.full((1, LENGTH), foreign.WORDS + 5))
