"""Foreign graphs of every kind met in the wild, turned into contract graphs, or refused with the reason."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import nn

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters import onnx_towers
from edgekit.converters.sources import onnx_folder_session, onnx_folder_surgery
from edgekit.errors import InputError, UnsupportedModelError


def _helpers() -> Any:
    """The towers and the exporter that conftest.py defines, importable whatever pytest's import mode."""
    name = "onnx_folder_test_helpers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("conftest.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


H = _helpers()
SIZE, LENGTH = H.SIZE, H.LENGTH
SPEC = ImageSpec(SIZE, SIZE, "squash", 0, "bicubic", (0, 0, 0), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
PIXELS = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
NO_MASK: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def check_image(path: Path, module: nn.Module, inputs: torch.Tensor, tmp_path: Path, limit: float = 1e-5) -> Any:
    """Export `path` to the contract; both it and the tower's reference must give the module's own rows."""
    tower = onnx_towers.image_tower(path, SPEC)
    tower.export(tmp_path / "contract.onnx")
    with torch.inference_mode():
        expected = nn.functional.normalize(module.eval()(inputs).float(), dim=-1).numpy()
    found = onnxruntime.InferenceSession(str(tmp_path / "contract.onnx")).run(None, {"pixels": PIXELS})[0]
    assert np.abs(found - expected).max() <= limit
    assert np.abs(tower.reference(PIXELS) - expected).max() <= limit
    return tower


def normalized() -> torch.Tensor:
    values = (torch.from_numpy(PIXELS).float() / 255 - torch.tensor(SPEC.mean)) / torch.tensor(SPEC.std)
    return values.permute(0, 3, 1, 2)


def text_ids(seed: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Ids of 1..5 tokens after a start and before an end, then padding with 0."""
    generator = np.random.default_rng(seed)
    ids = np.zeros((5, LENGTH), np.int64)
    for row in range(5):
        ids[row, : row + 3] = [2, *generator.integers(4, 90, row + 1), 3]
    return ids


def test_channels_first(tmp_path: Path) -> None:
    module = H.Image()
    H.export(module, {"image": H.pixels()}, tmp_path / "in.onnx")
    tower = check_image(tmp_path / "in.onnx", module, normalized(), tmp_path)
    assert (tower.channel_axis, tower.uint8, tower.batch) == (1, False, 0)


def test_channels_last(tmp_path: Path) -> None:
    module = H.Image(channels_last=True)
    H.export(module, {"image": torch.zeros(1, SIZE, SIZE, 3)}, tmp_path / "in.onnx")
    assert check_image(tmp_path / "in.onnx", module, normalized().permute(0, 2, 3, 1), tmp_path).channel_axis == 3


@pytest.mark.parametrize("channels_last", [True, False])
def test_uint8_pixels_pass_unscaled(tmp_path: Path, channels_last: bool) -> None:
    module = H.Image(channels_last=channels_last, scaled=False)
    pixels = torch.from_numpy(PIXELS) if channels_last else torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    H.export(module, {"image": pixels[:1].contiguous()}, tmp_path / "in.onnx")
    assert check_image(tmp_path / "in.onnx", module, pixels, tmp_path).uint8


def test_names_of_the_contract_in_a_foreign_graph(tmp_path: Path) -> None:
    module = H.Image()
    H.export(module, {"pixels": H.pixels()}, tmp_path / "in.onnx", outputs=("embedding",))
    check_image(tmp_path / "in.onnx", module, normalized(), tmp_path)


@pytest.mark.parametrize("opset", [11, 13, 16])
def test_older_opset_is_upgraded(tmp_path: Path, opset: int) -> None:
    module = H.Image()
    H.export(module, {"image": H.pixels()}, tmp_path / "in.onnx", opset=opset)
    check_image(tmp_path / "in.onnx", module, normalized(), tmp_path)


@pytest.mark.parametrize("opset", [18, 20])
def test_newer_opset_is_lowered(tmp_path: Path, opset: int) -> None:
    module = H.Image()
    H.export(module, {"image": H.pixels()}, tmp_path / "in.onnx", opset=opset)
    check_image(tmp_path / "in.onnx", module, normalized(), tmp_path)


def test_newer_operator_is_named(tmp_path: Path) -> None:
    """Gelu exists from opset 20 on."""
    path = tmp_path / "in.onnx"
    H.export(H.Image(), {"image": H.pixels()}, path, opset=20)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Gelu", ["embedding"], ["gelu"], name="the_gelu"))
    model.graph.output[0].name = "gelu"
    onnx.save(model, path)
    with pytest.raises(UnsupportedModelError, match=r"the_gelu.*Gelu.*opset 20"):
        onnx_towers.image_tower(path, SPEC).export(tmp_path / "contract.onnx")
    assert not (tmp_path / "contract.onnx").exists()


def test_fixed_batch_is_freed(tmp_path: Path) -> None:
    class Pooled(H.Image):  # type: ignore[misc, name-defined]
        """Flattens with sizes that follow the batch."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.out(torch.relu(self.conv(pixels)).flatten(1))

    module = Pooled()
    H.export(module, {"image": H.pixels()}, tmp_path / "in.onnx", free=())
    assert check_image(tmp_path / "in.onnx", module, normalized(), tmp_path).batch == 1


def test_frozen_batch_is_refused(tmp_path: Path) -> None:
    class Frozen(H.Image):  # type: ignore[misc, name-defined]
        """Its batch is written into a Reshape."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.out(torch.relu(self.conv(pixels)).reshape(1, 256))

    H.export(Frozen(), {"image": H.pixels()}, tmp_path / "in.onnx", free=())
    tower = onnx_towers.image_tower(tmp_path / "in.onnx", SPEC)
    assert tower.reference(PIXELS).shape == (5, H.DIMENSION)
    with pytest.raises(UnsupportedModelError, match="only batch 1"):
        tower.export(tmp_path / "contract.onnx")


def test_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "in.onnx"
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT16, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT16, ["N", 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)

    class Mean(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean(dim=(2, 3))

    check_image(path, Mean(), normalized(), tmp_path, limit=5e-3)


def test_quantized_graph_is_taken_as_it_is(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    H.export(H.CausalText(100), {"text": H.ids()}, tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "in.onnx", weight_type=QuantType.QUInt8)
    tower = onnx_towers.text_tower(tmp_path / "in.onnx", LENGTH, 0, NO_MASK)
    tower.export(tmp_path / "contract.onnx")
    ids = text_ids().astype(np.int32)
    found = onnxruntime.InferenceSession(str(tmp_path / "contract.onnx")).run(None, {"token_ids": ids})[0]
    assert np.abs(found - tower.reference(ids)).max() <= 1e-5
    assert any(n.op_type.startswith("MatMulInteger") for n in onnx.load(tmp_path / "contract.onnx").graph.node)


@pytest.mark.parametrize(
    ("outputs", "chosen"),
    [
        (("last_hidden_state", "pooler_output"), "pooler_output"),
        (("image_embeds", "pooler_output"), "image_embeds"),
        (("anything",), "anything"),
        (("first", "second"), None),
    ],
)
def test_choice_of_output(tmp_path: Path, outputs: tuple[str, ...], chosen: str | None) -> None:
    class Several(H.Image):  # type: ignore[misc, name-defined]
        def forward(self, pixels: torch.Tensor) -> Any:
            rows = super().forward(pixels)
            return rows if len(outputs) == 1 else tuple(rows + i for i in range(len(outputs)))

    H.export(Several(), {"image": H.pixels()}, tmp_path / "in.onnx", outputs=outputs)
    if chosen is None:
        with pytest.raises(UnsupportedModelError, match=r"\['first', 'second'\]"):
            onnx_towers.image_tower(tmp_path / "in.onnx", SPEC)
        return
    tower = onnx_towers.image_tower(tmp_path / "in.onnx", SPEC)
    assert tower.output == chosen
    tower.export(tmp_path / "contract.onnx")
    found = onnxruntime.InferenceSession(str(tmp_path / "contract.onnx")).run(None, {"pixels": PIXELS})[0]
    assert np.abs(found - tower.reference(PIXELS)).max() <= 1e-5


def test_unused_branch_is_dropped(tmp_path: Path) -> None:
    class Two(H.Image):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(256, 999)

        def forward(self, pixels: torch.Tensor) -> Any:
            hidden = torch.relu(self.conv(pixels)).flatten(1)
            return self.out(hidden), self.other(hidden)

    H.export(Two(), {"image": H.pixels()}, tmp_path / "in.onnx", outputs=("image_embeds", "other"))
    onnx_towers.image_tower(tmp_path / "in.onnx", SPEC).export(tmp_path / "contract.onnx")
    shapes = [list(t.dims) for t in onnx.load(tmp_path / "contract.onnx").graph.initializer]
    assert not any(999 in shape for shape in shapes)


def test_output_of_tokens_is_refused(tmp_path: Path) -> None:
    class Tokens(H.Image):  # type: ignore[misc, name-defined]
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.conv(pixels).flatten(2)

    H.export(Tokens(), {"image": H.pixels()}, tmp_path / "in.onnx")
    with pytest.raises(UnsupportedModelError, match="one row per input"):
        onnx_towers.image_tower(tmp_path / "in.onnx", SPEC)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_ids_of_either_width(tmp_path: Path, dtype: torch.dtype) -> None:
    module = H.CausalText(100)
    H.export(module, {"text": H.ids(dtype=dtype)}, tmp_path / "in.onnx")
    tower = onnx_towers.text_tower(tmp_path / "in.onnx", LENGTH, 0, NO_MASK)
    tower.export(tmp_path / "contract.onnx")
    ids = text_ids()
    expected = nn.functional.normalize(module(torch.from_numpy(ids)), dim=-1).detach().numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "contract.onnx"))
    assert np.abs(session.run(None, {"token_ids": ids.astype(np.int32)})[0] - expected).max() <= 1e-5
    assert session.get_inputs()[0].shape == ["N", LENGTH]


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("rule", ["ones", "not_pad", "to_first_pad"])
def test_mask_rule_is_found_and_built_into_the_graph(tmp_path: Path, rule: str, types: bool) -> None:
    module = H.MaskedText(100, types=types)
    inputs = {"input_ids": H.ids(), "attention_mask": torch.ones(1, LENGTH, dtype=torch.int64)}
    if types:
        inputs["token_type_ids"] = torch.zeros(1, LENGTH, dtype=torch.int64)
    H.export(module, inputs, tmp_path / "in.onnx", free=(0, 1))
    ids = text_ids()
    pad = 3 if rule == "to_first_pad" else 0
    ids[ids == 0] = pad
    lengths = np.arange(5) + 3
    mask = np.ones_like(ids) if rule == "ones" else (np.arange(LENGTH) < lengths[:, None]).astype(np.int64)
    tower = onnx_towers.text_tower(tmp_path / "in.onnx", LENGTH, pad, {"input_ids": ids, "attention_mask": mask})
    assert tower.rule == rule
    tower.export(tmp_path / "contract.onnx")
    arguments = [torch.from_numpy(ids), torch.from_numpy(mask), *([torch.zeros_like(torch.from_numpy(ids))] * types)]
    expected = nn.functional.normalize(module(*arguments), dim=-1).detach().numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "contract.onnx"))
    assert np.abs(session.run(None, {"token_ids": ids.astype(np.int32)})[0] - expected).max() <= 1e-5
    assert session.get_inputs()[0].shape == ["N", "L"]


def test_mask_that_no_rule_gives(tmp_path: Path) -> None:
    inputs = {"input_ids": H.ids(), "attention_mask": torch.ones(1, LENGTH, dtype=torch.int64)}
    H.export(H.MaskedText(100), inputs, tmp_path / "in.onnx")
    mask = np.tile(np.arange(LENGTH) % 2, (5, 1))
    with pytest.raises(UnsupportedModelError, match="does not follow from the token ids"):
        onnx_towers.text_tower(tmp_path / "in.onnx", LENGTH, 0, {"input_ids": text_ids(), "attention_mask": mask})


def test_unknown_text_input_is_named(tmp_path: Path) -> None:
    inputs = {"input_ids": H.ids(), "language": torch.ones(1, LENGTH, dtype=torch.int64)}
    H.export(H.MaskedText(100), inputs, tmp_path / "in.onnx")
    with pytest.raises(UnsupportedModelError, match="language"):
        onnx_towers.text_tower(tmp_path / "in.onnx", LENGTH, 0, NO_MASK)


def test_two_image_inputs_are_refused(tmp_path: Path) -> None:
    class Pair(H.Image):  # type: ignore[misc, name-defined]
        def forward(self, pixels: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels + more)

    H.export(Pair(), {"image": H.pixels(), "more": H.pixels()}, tmp_path / "in.onnx")
    with pytest.raises(UnsupportedModelError, match="more"):
        onnx_towers.image_tower(tmp_path / "in.onnx", SPEC)


def test_vendor_operator_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.onnx"
    H.export(H.Image(), {"image": H.pixels()}, path)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Gelu", ["embedding"], ["gelu"], name="fused", domain="com.microsoft"))
    model.graph.output[0].name = "gelu"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with pytest.raises(UnsupportedModelError, match=r"com\.microsoft::Gelu"):
        onnx_towers.image_tower(path, SPEC).export(tmp_path / "contract.onnx")


def external(tmp_path: Path) -> Path:
    path = tmp_path / "in.onnx"
    H.export(H.Image(), {"image": H.pixels()}, path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_external_data(tmp_path: Path) -> None:
    tower = onnx_towers.image_tower(external(tmp_path), SPEC)
    tower.export(tmp_path / "contract.onnx")
    found = onnxruntime.InferenceSession(str(tmp_path / "contract.onnx")).run(None, {"pixels": PIXELS})[0]
    assert np.abs(found - tower.reference(PIXELS)).max() <= 1e-5


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"missing .*weights\.bin"):
        onnx_towers.image_tower(path, SPEC)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "a/../../b", "..\\b", "C:\\b", ""])
def test_graph_that_points_outside(tmp_path: Path, location: str) -> None:
    path = external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="outside"):
        onnx_towers.image_tower(path, SPEC)
    with pytest.raises(InputError, match="outside"):
        onnx_folder_session.digest([path])


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x00" * 64])
def test_damaged_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"in\.onnx"):
        onnx_towers.image_tower(path, SPEC)


def test_truncated_graph(tmp_path: Path) -> None:
    path = tmp_path / "in.onnx"
    H.export(H.Image(), {"image": H.pixels()}, path)
    whole = path.read_bytes()
    for end in range(1, len(whole), len(whole) // 9):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"in\.onnx"):
            onnx_towers.image_tower(path, SPEC)


def test_digest_does_not_depend_on_where_weights_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    H.export(H.Image(), {"image": H.pixels()}, path)
    onnx.save(onnx.load(path), tmp_path / "two.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert onnx_folder_session.digest([path]) == onnx_folder_session.digest([tmp_path / "two.onnx"])


@given(ids=st.lists(st.integers(0, 4), min_size=1, max_size=12), pad=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_masks(ids: list[int], pad: int) -> None:
    row = np.array([ids])
    assert onnx_folder_surgery.mask_of(row, "ones", pad).tolist() == [[1] * len(ids)]
    assert onnx_folder_surgery.mask_of(row, "not_pad", pad).tolist() == [[int(i != pad) for i in ids]]
    first = ids.index(pad) if pad in ids else len(ids)
    assert onnx_folder_surgery.mask_of(row, "to_first_pad", pad).tolist() == [
        [int(position <= first) for position in range(len(ids))]
    ]
