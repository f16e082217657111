"""Each family whole, with reduced sizes: load, export both towers, and hold the files against open_clip itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from edgekit.converters.records import SourceOptions
from edgekit.converters.sources.open_clip import load

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
SIGLIP_TEXT = {
    **TEXT,
    "context_length": 64,
    "vocab_size": 500,
    "width": 64,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
    "tokenizer_kwargs": {"clean": "canonicalize"},
}


def timm(name, size, **settings):
    return {"timm_model_name": name, "timm_model_pretrained": False, "image_size": size, **settings}


def siglip(**text):
    return {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": timm("test_vit", 160, timm_pool="map", timm_proj="none"),
        "text_cfg": {**SIGLIP_TEXT, **text},
    }


FAMILIES = {
    "vit": {"vision_cfg": VISION, "text_cfg": TEXT},
    "vit-quickgelu": {"quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT},
    "tiny-clip": {"vision_cfg": {**VISION, "layers": 3, "width": 96}, "text_cfg": {**TEXT, "layers": 1}},
    "resnet": {"vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, "text_cfg": TEXT},
    "convnext": {"vision_cfg": timm("test_convnext", 160, timm_pool="", timm_proj="linear"), "text_cfg": TEXT},
    "eva02": {
        "custom_text": True,
        "vision_cfg": timm("eva02_tiny_patch14_224", 224, timm_pool="token", timm_proj=None),
        "text_cfg": TEXT,
    },
    "coca": {
        "custom_text": True,
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {**TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**TEXT, "context_length": 76, "attn_pooler_heads": 2},
    },
    "mobileclip": {
        "custom_text": True,
        "vision_cfg": timm("fastvit_t8", 256, timm_pool="avg", timm_proj=None),
        "text_cfg": {**TEXT, "no_causal_mask": True},
    },
    "vitamin": {
        "custom_text": True,
        "vision_cfg": timm("vitamin_small_224", 224, timm_pool="", timm_proj="linear"),
        "text_cfg": TEXT,
    },
    "own-blocks": {
        "custom_text": True,
        "vision_cfg": {**VISION, "qk_norm": True, "scale_heads": True, "scale_fc": True, "pool_type": "avg"},
        "text_cfg": {**TEXT, "qk_norm": True, "pool_type": "eos", "eos_id": 49407},
    },
    "relative-positions": {
        "vision_cfg": timm("test_vit_relpos", 160, timm_pool="avg", timm_proj="mlp"),
        "text_cfg": TEXT,
    },
}
# A text tower that looks at its padding, or pools behind it, is not the same on a shorter text.
TRIMMABLE = set(FAMILIES) - {"coca", "mobileclip"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family(family, write_config, tmp_path, photos, texts, check_tower, run_graph):
    config = {"embed_dim": 48, **FAMILIES[family]}
    source = load(str(write_config(f"test-{family}", config)), SourceOptions())
    assert source.name == f"test-{family}"
    assert source.dimension == 48
    assert source.scores == "softmax"
    assert source.logit_bias == 0
    assert source.logit_scale == pytest.approx(1 / 0.07)
    assert source.text.context_length == config["text_cfg"]["context_length"]

    size = config["vision_cfg"]["image_size"]
    pixels = np.stack([source.image_reference(photo) for photo in photos])
    assert pixels.shape == (5, size, size, 3)
    assert (source.image.height, source.image.width) == (size, size)
    assert check_tower(source.image_tower, tmp_path / "image.onnx", pixels) == ["N", size, size, 3]

    ids = source.text.reference(texts)
    shape = check_tower(source.text_tower, tmp_path / "text.onnx", ids)
    assert shape[1] in ("L", source.text.context_length)
    if family in TRIMMABLE:
        assert shape[1] == "L"
        length = int((ids[:4] != source.text.pad_id).sum(axis=1).max())
        assert length < source.text.context_length
        _, (trimmed,) = run_graph(tmp_path / "text.onnx", ids[:4, :length])
        np.testing.assert_allclose(trimmed, source.text_tower.reference(ids[:4]), atol=1e-5)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    """A byte-level tokenizer in Hugging Face format: <pad> 0, </s> 1, <unk> 2, at the ends of each text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "</s>", "<unk>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["a photo of a cat and a red bicycle", "one two three four five"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder = tmp_path_factory.mktemp("tokenizer")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("activation", ["exact", "tanh"])
def test_siglip(activation, write_config, tmp_path, photos, texts, check_tower, tokenizer_folder):
    """SigLIP and SigLIP 2 (tanh): sigmoid scores with a bias, 64 tokens, the last one pooled."""
    extra = {"act_kwargs": {"approximate": "tanh"}} if activation == "tanh" else {}
    config = siglip(hf_tokenizer_name=str(tokenizer_folder), **extra)
    source = load(str(write_config(f"test-siglip-{activation}", config)), SourceOptions())
    assert (source.scores, source.logit_bias) == ("sigmoid", -10)
    assert (source.text.context_length, source.text.cleaning, source.text.pad_id) == (64, "canonicalize", 0)
    pixels = np.stack([source.image_reference(photo) for photo in photos])
    check_tower(source.image_tower, tmp_path / "image.onnx", pixels)
    check_tower(source.text_tower, tmp_path / "text.onnx", source.text.reference(texts))


@pytest.mark.parametrize(
    ("kind", "pooler", "projection"),
    [("roberta", "mean_pooler", "mlp"), ("xlm-roberta", "mean_pooler", "linear"), ("bert", "cls_pooler", "linear")],
)
def test_a_hugging_face_text_tower(
    kind, pooler, projection, write_config, tmp_path, texts, check_tower, run_graph, tokenizer_folder
):
    small = {
        "vocab_size": 500,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 96,
        "pad_token_id": 0,
    }
    folder = tmp_path / "text"
    transformers.AutoConfig.for_model(kind, **small).save_pretrained(folder)
    text = {
        "hf_model_name": str(folder),
        "hf_tokenizer_name": str(tokenizer_folder),
        "hf_pooler_type": pooler,
        "hf_proj_type": projection,
        "context_length": 40,
    }
    config = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": text}
    source = load(str(write_config(f"test-{kind}", config)), SourceOptions())
    assert source.dimension == 24
    ids = source.text.reference(texts)
    assert ids.shape == (5, 40)
    assert check_tower(source.text_tower, tmp_path / "text.onnx", ids) == ["N", "L"]
    length = int((ids[:2] != 0).sum(axis=1).max())
    _, (trimmed,) = run_graph(tmp_path / "text.onnx", ids[:2, :length])
    np.testing.assert_allclose(trimmed, source.text_tower.reference(ids[:2]), atol=1e-5)


def test_an_encoder_of_a_translation_model(write_config, tmp_path, texts, check_tower, tokenizer_folder):
    """NLLB's text tower: the encoder half of an encoder-decoder, whose positions depend on the padding."""
    folder = tmp_path / "text"
    transformers.M2M100Config(
        vocab_size=500,
        d_model=32,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=96,
        pad_token_id=0,
    ).save_pretrained(folder)
    text = {
        "hf_model_name": str(folder),
        "hf_tokenizer_name": str(tokenizer_folder),
        "hf_pooler_type": "cls_pooler",
        "hf_proj_type": "linear",
        "context_length": 40,
    }
    config = {"embed_dim": 24, "init_logit_bias": -10, "vision_cfg": VISION, "text_cfg": text}
    source = load(str(write_config("test-nllb", config)), SourceOptions())
    assert source.scores == "sigmoid"
    check_tower(source.text_tower, tmp_path / "text.onnx", source.text.reference(texts))


def test_merged_branches_are_exported_and_the_reference_is_the_original(write_config, tmp_path):
    from edgekit.converters.sources import open_clip_model, open_clip_request, open_clip_text
    from edgekit.converters.sources.open_clip_reparameterize import reparameterized

    config = {"embed_dim": 48, **FAMILIES["mobileclip"]}
    model = open_clip_model.create(open_clip_request.parse(str(write_config("test-branches", config))))
    encoder = open_clip_text.ImageEncoder(model)
    merged = reparameterized(encoder)
    count = [sum(1 for _ in each.parameters()) for each in (encoder, merged)]
    assert count[1] <= count[0] / 2
    images = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(merged(images), encoder(images), atol=1e-4, rtol=1e-3)
    plain = {"embed_dim": 48, **FAMILIES["vit"]}
    other = open_clip_model.create(open_clip_request.parse(str(write_config("test-no-branches", plain))))
    assert reparameterized(open_clip_text.ImageEncoder(other)) is None
