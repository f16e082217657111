"""What the configurations beside exported towers say, and what is told of a field that says nothing usable."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgekit.converters.sources import onnx_folder_settings as settings
from edgekit.converters.sources.onnx_folder_layouts import LAYOUTS, Parts
from edgekit.errors import EdgekitError, InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONNX_CLIP, IMMICH, TRANSFORMERS = LAYOUTS
PREPROCESS = {"size": [32, 48], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "resize_mode": "squash"}
ASSUMED = "logit_scale 100 assumed: the folder states none"
Make = Any


@pytest.fixture
def parts(tmp_path: Path) -> Make:
    """Write a folder's two configurations; no setting needs the graphs."""

    def make(layout: Any, config: Any, preprocess: Any = None) -> Parts:
        (tmp_path / "config.json").write_text(json.dumps(config))
        other = tmp_path / layout.preprocess[0]
        if preprocess is not None:
            other.parent.mkdir(exist_ok=True)
            other.write_text(json.dumps(preprocess))
        return Parts(layout, tmp_path, tmp_path, tmp_path, tmp_path / "config.json", other, None)

    return make


def test_each_dialect_says_the_context_length_in_its_own_place(parts: Make) -> None:
    found = settings.context_length
    assert found(parts(ONNX_CLIP, {"context_length": 20})) == 20
    assert found(parts(IMMICH, {"text_cfg": {"context_length": 21}})) == 21
    assert found(parts(IMMICH, {"model_cfg": {"text_cfg": {"context_length": 22}}})) == 22
    assert found(parts(IMMICH, {"embed_dim": 3})) == 77  # open_clip's own default
    assert found(parts(TRANSFORMERS, {"text_config": {"max_position_embeddings": 23}})) == 23
    assert found(parts(TRANSFORMERS, {"text_config": None})) is None
    assert found(parts(TRANSFORMERS, {"text_config": {}})) is None


@pytest.mark.parametrize(
    ("layout", "config", "told"),
    [
        (ONNX_CLIP, {}, "context_length is None, a positive integer"),
        (ONNX_CLIP, {"context_length": 0}, "context_length is 0, a positive integer"),
        (IMMICH, {"text_cfg": {"context_length": 20.0}}, r"context_length is 20\.0, a positive integer"),
        (IMMICH, {"text_cfg": [20]}, r"text_cfg is \[20\], an object"),
        (IMMICH, {"model_cfg": "ViT-B-32"}, "model_cfg is 'ViT-B-32', an object"),
        (TRANSFORMERS, {"text_config": 3}, "text_config is 3, an object"),
        (TRANSFORMERS, {"text_config": {"max_position_embeddings": -1}}, r"text_config\.max_position_embeddings is -1"),
    ],
)
def test_a_length_that_is_none_is_told_with_its_field(parts: Make, layout: Any, config: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"config\.json: {told}"):
        settings.context_length(parts(layout, config))


def test_the_cleaning_is_open_clips_or_none(parts: Make) -> None:
    assert settings.cleaning(parts(TRANSFORMERS, {})) == "none"
    assert settings.cleaning(parts(IMMICH, {})) == "whitespace"
    assert settings.cleaning(parts(IMMICH, {"text_cfg": {"tokenizer_kwargs": None}})) == "whitespace"
    nested = {"model_cfg": {"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}}}}
    assert settings.cleaning(parts(IMMICH, nested)) == "canonicalize"
    with pytest.raises(UnsupportedModelError, match=r"tokenizer_kwargs\.clean=\['lower'\] is not supported"):
        settings.cleaning(parts(IMMICH, {"text_cfg": {"tokenizer_kwargs": {"clean": ["lower"]}}}))
    with pytest.raises(InputError, match=r"config\.json: tokenizer_kwargs is \['clean'\], an object was expected"):
        settings.cleaning(parts(IMMICH, {"text_cfg": {"tokenizer_kwargs": ["clean"]}}))


def test_onnx_clip_brings_openais_scaling_itself(parts: Make) -> None:
    spec = settings.preprocessing(parts(ONNX_CLIP, {"image_size": 40})).spec
    assert (spec.height, spec.width, spec.resize_mode, spec.shortest_edge) == (40, 40, "shortest", 40)
    assert (spec.mean[0], spec.std[2]) == (0.48145466, 0.27577711)  # as OpenAI published them


def test_immichs_preprocessing_is_read_whole(parts: Make) -> None:
    found = settings.preprocessing(parts(IMMICH, {}, PREPROCESS))
    assert (found.spec.height, found.spec.width, found.spec.resize_mode) == (32, 48, "squash")
    assert (found.spec.mean, found.spec.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    from PIL import Image

    image = Image.fromarray(np.arange(60 * 50 * 3, dtype=np.uint8).reshape(60, 50, 3))
    expected = np.asarray(image.resize((48, 32), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found.reference(image), expected)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": "big"}, "size is 'big'"),
        ({"size": [32]}, r"size is \[32\], a number or height and width"),
        ({"size": [32, 0]}, "size is 0, a positive integer"),
        ({"size": None}, "size is None"),
        ({"mean": [0.5, 0.5]}, r"mean is \[0\.5, 0\.5\], one or three numbers"),
        ({"mean": None}, "mean is None"),
        ({"std": [0.2, 0, 0.2]}, "std is .*, one or three positive numbers"),
        ({"std": "0.5"}, r"std is '0\.5'"),
        ({"interpolation": "lanczos"}, "interpolation 'lanczos' is not supported, only bicubic"),
        ({"resize_mode": "longest", "fill_color": 256}, "fill_color is 256, levels of 0 to 255"),
        ({"resize_mode": "longest", "fill_color": [1, 2]}, r"fill_color is \[1, 2\]"),
        ({"resize_mode": "longest", "fill_color": 1.5}, r"fill_color is 1\.5, levels of 0 to 255"),
        ({"mode": "L"}, "colour mode L"),
    ],
)
def test_a_malformed_preprocessing_is_told_with_file_and_field(parts: Make, change: Any, told: str) -> None:
    with pytest.raises(EdgekitError, match=rf"preprocess_cfg\.json: {told}"):
        settings.preprocessing(parts(IMMICH, {}, {**PREPROCESS, **change}))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"logit_scale": 50}, (50.0, 0.0, "softmax", "")),
        ({"logit_scale": 9.5, "logit_bias": -3}, (9.5, -3.0, "sigmoid", "")),
        ({}, (100.0, 0.0, "softmax", ASSUMED)),
        # Where training started is not where it ended.
        (
            {"logit_scale_init_value": 2.6592},
            (100.0, 0.0, "softmax", "logit_scale 100 assumed: the folder states none"),
        ),
    ],
)
def test_scale_and_bias_of_the_configuration(parts: Make, config: Any, expected: tuple[Any, ...]) -> None:
    found = settings.logits(parts(IMMICH, config))
    assert (found.scale, found.bias, found.scores, found.note) == expected


@pytest.mark.parametrize("nested", [False, True])
def test_a_sigmoid_without_its_terms_is_refused_wherever_it_says_so(parts: Make, nested: bool) -> None:
    config: dict[str, Any] = {"init_logit_bias": -10}
    with pytest.raises(InputError, match=r'config\.json: the model scores with a sigmoid.*add "logit_scale"'):
        settings.logits(parts(IMMICH, {"model_cfg": config} if nested else config))
    with pytest.raises(InputError, match="sigmoid"):
        settings.logits(parts(IMMICH, {"logit_bias": -3.0}))  # a bias alone is half of it


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"logit_scale": -5.0}, "logit_scale is -5; the exponentiated scale is larger than zero"),
        ({"logit_scale": 0}, "logit_scale is 0; the exponentiated"),
        ({"logit_scale": "4.6"}, r"logit_scale is '4\.6', a number"),
        ({"logit_scale": True}, "logit_scale is True, a number"),
        ({"logit_scale": 9.0, "logit_bias": [1]}, r"logit_bias is \[1\], a number"),
        ({"logit_scale": 9.0, "logit_bias": float("inf")}, "logit_bias is inf, a number"),
    ],
)
def test_a_term_that_is_none_is_told(parts: Make, config: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"config\.json: {told}"):
        settings.logits(parts(IMMICH, config))


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_terms_beside_the_towers_in_any_precision(parts: Make, tmp_path: Path, kind: torch.dtype) -> None:
    save_file(
        {"logit_scale": torch.tensor(4.5, dtype=kind), "logit_bias": torch.tensor([-16.0], dtype=kind)},
        tmp_path / "model.safetensors",
    )
    found = settings.logits(parts(IMMICH, {}))
    assert (found.scale, found.bias, found.scores) == (pytest.approx(math.exp(4.5)), -16.0, "sigmoid")
    # What the configuration states wins: somebody wrote it there on purpose.
    stated = settings.logits(parts(IMMICH, {"logit_scale": 7.0}))
    assert (stated.scale, stated.bias) == (7.0, -16.0)


def _raw(path: Path) -> None:
    path.write_bytes(b"not safetensors")


def _save(**tensors: torch.Tensor) -> Callable[[Path], None]:
    return lambda path: save_file(tensors, path)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (_raw, "not readable as safetensors"),
        (_save(logit_scale=torch.zeros(0)), r"logit_scale is a tensor of shape \(0,\), a number"),
        (_save(logit_scale=torch.zeros(2, 3)), r"logit_scale is a tensor of shape \(2, 3\)"),
        (_save(logit_scale=torch.tensor(math.nan)), "logit_scale is nan"),
        (_save(logit_scale=torch.tensor(1e4)), r"logit_scale is 10000\.0"),
        (_save(logit_bias=torch.tensor(-math.inf)), "logit_bias is -inf"),
    ],
)
def test_damaged_terms_beside_the_towers_are_told(parts: Make, tmp_path: Path, write: Any, told: str) -> None:
    write(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=rf"model\.safetensors: {told}"):
        settings.logits(parts(IMMICH, {}))
