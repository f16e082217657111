"""Whole path for each family: load, export, run in ONNX Runtime, compare with the model and processor themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

from edgekit.converters.records import SourceModel, SourceOptions
from edgekit.converters.sources import hf, hf_load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAMILIES = ["align", "altclip", "chinese_clip", "clip", "clip_legacy_eos", "dual_encoder", "siglip", "siglip2"]
LIMIT = 1e-4
TEXTS = (
    "a photo of a cat",
    "dogs",
    "",
    "红色的自行车 in the snow",
    "the quick brown fox jumps over the lazy dog and then over every other dog of the village until it is dark",
)


class Converted(NamedTuple):
    """One family: its folder, what the source made of it, and both graphs opened."""

    folder: Path
    source: SourceModel
    image: Any
    text: Any


@pytest.fixture(scope="module")
def converted(
    checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Converted]:
    done: dict[str, Converted] = {}

    def convert(family: str) -> Converted:
        if family not in done:
            torch.set_num_threads(1)
            folder = checkpoint(family)
            source = hf.load(str(folder), SourceOptions())
            out = tmp_path_factory.mktemp(f"{family}-onnx")
            source.image_tower.export(out / "image.onnx")
            source.text_tower.export(out / "text.onnx")
            sessions = [onnxruntime.InferenceSession(str(out / name)) for name in ("image.onnx", "text.onnx")]
            done[family] = Converted(folder, source, *sessions)
        return done[family]

    return convert


def photo(width: int, height: int, seed: int) -> Image.Image:
    """A smooth picture, as photos are: noise alone would resize to grey."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def own_answers(folder: Path, images: list[Image.Image], texts: list[str], padding: str, length: int) -> Any:
    """``model(**processor(...))`` with the attention that transformers chooses by itself."""
    library = hf_load.transformers()
    model = library.AutoModel.from_pretrained(folder).eval()
    tokens = library.AutoTokenizer.from_pretrained(folder)(
        texts, padding=padding, max_length=length, truncation=True, return_tensors="pt"
    )
    pixels = hf_load.image_processor(folder)(images=images, return_tensors="pt")
    with torch.inference_mode():
        return model(**tokens, **pixels)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch", [1, 3, 5])
def test_embeddings_are_the_models_own(converted: Callable[[str], Converted], family: str, batch: int) -> None:
    folder, source, image, text = converted(family)
    photos = [photo(40 + 13 * i, 61 - 7 * i, i) for i in range(batch)]
    texts = list(TEXTS[:batch])
    # Models without an attention mask see their padding, so that it belongs to the input; others must not notice.
    masked = "attention_mask" in hf_load.tokenizer(folder).model_input_names
    own = own_answers(folder, photos, texts, "longest" if masked else "max_length", source.text.context_length)

    pixels = np.stack([source.image_reference(p) for p in photos])
    tokenizer = Tokenizer.from_str(source.text.tokenizer_json)
    ids = np.array([e.ids for e in tokenizer.encode_batch(texts)], dtype=np.int32)
    found_image = image.run(None, {"pixels": pixels})[0]
    found_text = text.run(None, {"token_ids": ids})[0]

    assert found_image.shape == found_text.shape == (batch, source.dimension)
    assert np.abs(found_image - own.image_embeds.numpy()).max() <= LIMIT
    assert np.abs(found_text - own.text_embeds.numpy()).max() <= LIMIT
    logits = found_image @ found_text.T * source.logit_scale + source.logit_bias
    assert np.abs(logits - own.logits_per_image.numpy()).max() <= LIMIT * max(source.logit_scale, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_different_inputs_embed_differently(converted: Callable[[str], Converted], family: str) -> None:
    """Parity on embeddings that are all alike would prove nothing."""
    source = converted(family).source
    pixels = np.stack([source.image_reference(photo(50, 50, seed)) for seed in (1, 2)])
    images = source.image_tower.reference(pixels)
    texts = source.text_tower.reference(source.text.reference(["a photo of a cat", "the lazy dog"]))
    assert float(images[0] @ images[1]) < 0.9999
    assert float(texts[0] @ texts[1]) < 0.9999


@pytest.mark.parametrize("family", FAMILIES)
def test_reference_is_the_graphs_target_at_several_lengths(converted: Callable[[str], Converted], family: str) -> None:
    _, source, _, text = converted(family)
    ids = source.text.reference(["a photo of a cat", "dogs"])
    length = ids.shape[1]
    for columns in (length, max(1, length // 2), max(1, length // 3)):
        cut = ids[:, :columns]
        padded = np.pad(cut, ((0, 0), (0, length - columns)), constant_values=source.text.pad_id)
        expected = source.text_tower.reference(padded)
        assert np.abs(text.run(None, {"token_ids": padded})[0] - expected).max() <= LIMIT
        if text.get_inputs()[0].shape[1] == "L":
            assert text.run(None, {"token_ids": cut})[0].shape == expected.shape


@pytest.mark.parametrize("family", ["chinese_clip", "altclip", "align", "dual_encoder", "clip"])
def test_padding_does_not_change_a_text_where_the_model_masks_it(
    converted: Callable[[str], Converted], family: str
) -> None:
    _, source, _, text = converted(family)
    full = source.text.reference(["a photo of a cat"])
    used = int((full[0] != source.text.pad_id).sum()) + 1  # one padding id stays: it may also be the end of text
    short = text.run(None, {"token_ids": full[:, :used]})[0]
    assert np.abs(short - text.run(None, {"token_ids": full})[0]).max() <= LIMIT


@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_keep_the_contract(converted: Callable[[str], Converted], family: str) -> None:
    _, source, image, text = converted(family)
    pixels, ids = image.get_inputs(), text.get_inputs()
    assert [(v.name, v.type) for v in pixels] == [("pixels", "tensor(uint8)")]
    assert pixels[0].shape[1:] == [source.image.height, source.image.width, 3]
    assert [(v.name, v.type) for v in ids] == [("token_ids", "tensor(int32)")]
    for session in (image, text):
        assert [(v.name, v.type) for v in session.get_outputs()] == [("embedding", "tensor(float)")]
        assert isinstance(session.get_inputs()[0].shape[0], str)


@pytest.mark.parametrize(
    ("family", "scores", "length"),
    [("clip", "softmax", 24), ("siglip", "sigmoid", 16), ("align", "softmax", 64), ("altclip", "softmax", 24)],
)
def test_record_of_a_family(converted: Callable[[str], Converted], family: str, scores: str, length: int) -> None:
    folder, source, _, _ = converted(family)
    assert source.scores == scores
    assert source.text.context_length == length
    assert source.name == folder.name
    assert source.license == "unknown"
    assert len(source.weights_sha256) == 64
    assert {"torch", "transformers"} <= set(source.toolchain)
    assert source.templates[0].count("{}") == 1


def test_pipeline_ids_are_the_tokenizers_own(converted: Callable[[str], Converted]) -> None:
    folder, source, _, _ = converted("siglip2")
    own = hf_load.tokenizer(folder)(
        list(TEXTS), padding="max_length", max_length=source.text.context_length, truncation=True
    )["input_ids"]
    assert source.text.reference(list(TEXTS)).tolist() == own
