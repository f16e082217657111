from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters import towers
from edgekit.errors import ConversionError, UnsupportedModelError

SPEC = ImageSpec(24, 32, "squash", 0, "bicubic", (0, 0, 0), (0.48, 0.45, 0.40), (0.27, 0.26, 0.28))


class Convolution(torch.nn.Module):
    """A tiny image encoder that sees position and colour."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv2d(3, 4, 8, stride=8)
        self.head = torch.nn.Linear(4 * 3 * 4, 6)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.head(self.convolution(x).flatten(1)))


class Words(torch.nn.Module):
    """A tiny text encoder: mean of the words that are not padding."""

    def __init__(self, length=12, fixed=False):
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(100, 8)
        self.positions = torch.nn.Parameter(torch.randn(length, 8))
        self.fixed = fixed

    def forward(self, ids):
        assert ids.dtype == torch.int64
        positions = self.positions if self.fixed else self.positions[: ids.shape[1]]
        kept = (ids != 0).unsqueeze(-1)
        return ((self.words(ids) + positions) * kept).sum(1)


class Attention(torch.nn.Module):
    """A transformer layer with an infinite causal mask, as PyTorch ships it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(100, 16)
        layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2)
        self.register_buffer("mask", torch.full((12, 12), -torch.inf).triu(1))

    def forward(self, ids):
        length = ids.shape[1]
        x = self.layers(self.words(ids), mask=self.mask[:length, :length])
        return x[torch.arange(ids.shape[0]), ids.argmax(dim=-1)]


class BakedLength(Words):
    """Runs at any length, but a traced graph keeps the length it was traced at."""

    def forward(self, ids):
        weights = torch.full((int(ids.shape[1]),), 1.0 / int(ids.shape[1]))
        return (self.words(ids) * weights[:, None]).sum(1)


class BakedBatch(Words):
    """Computes a row from the number of rows it was traced with."""

    def forward(self, ids):
        return self.words(ids).sum(1) + torch.arange(float(int(ids.shape[0]))).sum() * torch.arange(8.0)


class NoOnnxForm(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x[:, 0, :24, :24]).real


@pytest.fixture
def pixels(photos):
    return np.stack([np.asarray(photo.resize((SPEC.width, SPEC.height))) for photo in photos])


@pytest.fixture
def ids():
    batch = np.zeros((5, 12), np.int32)
    generator = np.random.default_rng(0)
    for row, length in enumerate((1, 3, 5, 8, 12)):
        batch[row, :length] = generator.integers(3, 99, length)
        batch[row, length - 1] = 99
    return batch


def test_an_image_tower_keeps_the_contract(tmp_path, pixels, check_tower):
    shape = check_tower(towers.image_tower(Convolution(), SPEC), tmp_path / "image.onnx", pixels)
    assert shape == ["N", 24, 32, 3]
    model = onnx.load(str(tmp_path / "image.onnx"))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    output = model.graph.output[0].type.tensor_type
    assert output.elem_type == onnx.TensorProto.FLOAT
    assert [dim.dim_param or dim.dim_value for dim in output.shape.dim] == ["N", 6]


def test_the_reference_is_the_normalized_encoder_in_evaluation_mode(pixels):
    encode = Convolution().train()
    found = towers.image_tower(encode, SPEC).reference(pixels)
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
    with torch.no_grad():
        rows = encode.eval()((planes - mean) / std)
    expected = rows / rows.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_channels_are_not_exchanged(tmp_path, channel, run_graph):
    tower = towers.image_tower(Convolution(), SPEC)
    tower.export(tmp_path / "image.onnx")
    batch = np.zeros((1, 24, 32, 3), np.uint8)
    batch[..., channel] = 255
    _, (found,) = run_graph(tmp_path / "image.onnx", batch)
    np.testing.assert_allclose(found, tower.reference(batch), atol=1e-5)


@pytest.mark.parametrize("encode", [Words(), Attention()], ids=["mean", "attention"])
def test_a_text_tower_keeps_the_contract_at_every_length(tmp_path, encode, ids, check_tower, run_graph):
    tower = towers.text_tower(encode, 12, 0)
    shape = check_tower(tower, tmp_path / "text.onnx", ids)
    assert shape == ["N", "L"]
    _, (short,) = run_graph(tmp_path / "text.onnx", ids[:3, :5])
    np.testing.assert_allclose(short, tower.reference(ids[:3]), atol=1e-5)
    np.testing.assert_allclose(tower.reference(ids[:3, :5]), tower.reference(ids[:3]), atol=0)


def test_no_infinity_is_left_of_an_infinite_mask(tmp_path):
    towers.text_tower(Attention(), 12, 0).export(tmp_path / "text.onnx")
    model = onnx.load(str(tmp_path / "text.onnx"))
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    floats = [array for array in arrays if array.dtype == np.float32]
    assert min(array.min() for array in floats) == -1e4
    assert all(np.isfinite(array).all() for array in floats)


@pytest.mark.parametrize("encode", [Words(fixed=True), BakedLength()], ids=["module refuses", "tracer fixes"])
def test_a_fixed_length_is_stated(tmp_path, encode, ids, check_tower):
    shape = check_tower(towers.text_tower(encode, 12, 0), tmp_path / "text.onnx", ids)
    assert shape == ["N", 12]


def test_a_fixed_batch_is_an_error(tmp_path):
    with pytest.raises(ConversionError, match=r"text\.onnx: batch [13].*(differs|fails)"):
        towers.text_tower(BakedBatch(), 12, 0).export(tmp_path / "text.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_operator_without_onnx_form_is_named(tmp_path):
    with pytest.raises(UnsupportedModelError, match="linalg_eigvals"):
        towers.image_tower(NoOnnxForm(), SPEC).export(tmp_path / "image.onnx")
    assert list(tmp_path.iterdir()) == []


def test_another_module_may_be_exported_but_must_agree(tmp_path, pixels, check_tower):
    same, other = Convolution(), Convolution()
    check_tower(towers.image_tower(Convolution(), SPEC, export_as=same), tmp_path / "image.onnx", pixels)
    with torch.no_grad():
        other.head.weight.mul_(-1)
    with pytest.raises(ConversionError, match="differs from the module"):
        towers.image_tower(Convolution(), SPEC, export_as=other).export(tmp_path / "other.onnx")


def test_exports_are_reproducible_and_leave_only_two_files(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        towers.text_tower(Attention(), 12, 0).export(tmp_path / name / "text.onnx")
        contents.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert sorted(contents[0]) == ["text.onnx", "text.onnx.data"]
    assert contents[0] == contents[1]


def test_no_path_of_this_machine_is_in_the_graph(tmp_path):
    towers.text_tower(Attention(), 12, 0).export(tmp_path / "text.onnx")
    assert not re.search(rb"\.py|/home/|/tmp/|/usr/", (tmp_path / "text.onnx").read_bytes())


def test_the_callers_settings_come_back(tmp_path):
    torch.backends.mha.set_fastpath_enabled(True)
    towers.text_tower(Attention(), 12, 0).export(tmp_path / "text.onnx")
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_choice_of_attention_is_set_to_the_plain_form():
    chosen = []

    class Choosing(Words):
        def set_attn_implementation(self, name):
            chosen.append(name)

    towers.text_tower(Choosing(), 12, 0)
    assert set(chosen) == {"eager"}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-6e4, 6e4, width=32), min_size=4, max_size=4), st.sampled_from([torch.float32, torch.float16])
)
def test_unit_rows_survive_float16(values, dtype):
    row = torch.tensor([values]).to(dtype)
    unit = towers._unit_rows(row).float()
    assert torch.isfinite(unit).all()
    if row.abs().max() > 1e-3:
        assert abs(float(unit.norm()) - 1) < 5e-3
        expected = torch.nn.functional.normalize(row.double(), dim=-1).float()
        torch.testing.assert_close(unit, expected, atol=2e-3, rtol=0)
