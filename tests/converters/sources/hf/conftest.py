"""Tiny random checkpoints in transformers' own on-disk format, with tokenizers trained here: nothing is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CORPUS = [
    "a photo of a cat",
    "a photo of two dogs playing in the snow",
    "the quick brown fox jumps over the lazy dog",
    "une photo d'un chien rouge sur la plage",
    "ein Fahrrad vor dem Haus",
    "一张猫的照片",
    "红色的自行车",
    "a man riding a motorcycle at night, long exposure",
] * 4
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 24,
}
BERT = {**TEXT, "type_vocab_size": 2}


def _clip_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizerFast

    raw = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator(CORPUS, trainer)
    import json

    model = json.loads(raw.to_str())["model"]
    vocab = dict(model["vocab"])
    for char in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab.setdefault(char, len(vocab))
        vocab.setdefault(char + "</w>", len(vocab))
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    return CLIPTokenizerFast(vocab=vocab, merges=merges, model_max_length=TEXT["max_position_embeddings"])


def _bert_tokenizer(length: int = 24) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertTokenizerFast

    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    return BertTokenizerFast(vocab=raw.get_vocab(), model_max_length=length)


def _unigram_tokenizer(length: int, inputs: list[str]) -> Any:
    """A SentencePiece-like tokenizer: ends with </s>, pads to the full length, as SigLIP's does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", raw.token_to_id("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=length,
        model_input_names=inputs,
    )


def _roberta_tokenizer(length: int) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[(t, raw.token_to_id(t)) for t in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        model_max_length=length,
        model_input_names=["input_ids", "attention_mask"],
    )


def _clip(*, legacy_eos: bool) -> tuple[Any, Any, Any]:
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tokenizer = _clip_tokenizer()
    text = {
        **TEXT,
        "vocab_size": max(128, len(tokenizer)),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": 2 if legacy_eos else tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return CLIPModel(config), tokenizer, images


def clip() -> tuple[Any, Any, Any]:
    return _clip(legacy_eos=False)


def clip_legacy_eos() -> tuple[Any, Any, Any]:
    return _clip(legacy_eos=True)


def siglip() -> tuple[Any, Any, Any]:
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokenizer = _unigram_tokenizer(16, ["input_ids"])
    text = {**TEXT, "vocab_size": max(128, len(tokenizer)), "max_position_embeddings": 16, "projection_size": 32}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))
    return model, tokenizer, SiglipImageProcessorPil(size={"height": 32, "width": 32})


def siglip2() -> tuple[Any, Any, Any]:
    """SigLIP 2 at a fixed resolution, as its checkpoints store it: a SigLIP model with Gemma's tokenizer."""
    import json

    from tokenizers import Tokenizer, models, trainers
    from transformers import GemmaTokenizerFast, SiglipConfig, SiglipImageProcessorPil, SiglipModel

    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{i:02X}>" for i in range(256))]
    raw.train_from_iterator(
        ["▁" + word for line in CORPUS for word in line.lower().split(" ")],
        trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False),
    )
    state = json.loads(raw.to_str())["model"]
    tokenizer = GemmaTokenizerFast(
        vocab=state["vocab"],
        merges=[tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in state["merges"]],
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        model_max_length=16,
        model_input_names=["input_ids"],
    )
    text = {**TEXT, "vocab_size": max(128, len(tokenizer)), "max_position_embeddings": 16, "projection_size": 32}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))
    return model, tokenizer, SiglipImageProcessorPil(size={"height": 32, "width": 32}, resample=2)


def chinese_clip() -> tuple[Any, Any, Any]:
    from transformers import ChineseCLIPConfig, ChineseCLIPImageProcessorPil, ChineseCLIPModel

    tokenizer = _bert_tokenizer()
    config = ChineseCLIPConfig(
        text_config={**BERT, "vocab_size": max(128, len(tokenizer))}, vision_config=VISION, projection_dim=16
    )
    images = ChineseCLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    return ChineseCLIPModel(config), tokenizer, images


def align() -> tuple[Any, Any, Any]:
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessorPil

    tokenizer = _bert_tokenizer(512)
    vision = {
        "image_size": 32,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "hidden_dim": 24,
        "num_block_repeats": [1, 1],
        "in_channels": [32, 16],
        "out_channels": [16, 24],
        "kernel_sizes": [3, 3],
        "strides": [1, 2],
        "expand_ratios": [1, 6],
        "depthwise_padding": [],
    }
    text = {**BERT, "vocab_size": max(128, len(tokenizer)), "max_position_embeddings": 80}
    config = AlignConfig(text_config=text, vision_config=vision, projection_dim=24)
    images = EfficientNetImageProcessorPil(
        size={"height": 32, "width": 32},
        do_center_crop=False,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
        resample=2,
    )
    return AlignModel(config), tokenizer, images


def altclip() -> tuple[Any, Any, Any]:
    from transformers import AltCLIPConfig, AltCLIPModel, CLIPImageProcessorPil

    tokenizer = _roberta_tokenizer(24)
    text = {
        **BERT,
        "vocab_size": max(128, len(tokenizer)),
        "max_position_embeddings": 26,
        "pad_token_id": 1,
        "project_dim": 20,
    }
    config = AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    images = CLIPImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    return AltCLIPModel(config), tokenizer, images


def dual_encoder() -> tuple[Any, Any, Any]:
    from transformers import (
        BertConfig,
        BertModel,
        VisionTextDualEncoderModel,
        ViTConfig,
        ViTImageProcessorPil,
        ViTModel,
    )

    tokenizer = _bert_tokenizer()
    vision = ViTModel(ViTConfig(**VISION))
    text = BertModel(BertConfig(**BERT, vocab_size=max(128, len(tokenizer))))
    model = VisionTextDualEncoderModel(vision_model=vision, text_model=text)
    return model, tokenizer, ViTImageProcessorPil(size={"height": 32, "width": 32})


FAMILIES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "clip": clip,
    "clip_legacy_eos": clip_legacy_eos,
    "siglip": siglip,
    "siglip2": siglip2,
    "chinese_clip": chinese_clip,
    "align": align,
    "altclip": altclip,
    "dual_encoder": dual_encoder,
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family name to a saved checkpoint folder, made once in a session; do not write into it."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            import torch

            from edgekit.converters.torch_compat import prepare

            prepare()

            torch.manual_seed(len(family))
            model, tokenizer, images = FAMILIES[family]()
            folder = tmp_path_factory.mktemp(family)
            # Larger weights than at initialization: different inputs must embed differently, or parity proves little.
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if weight.ndim > 1 and "logit" not in name:
                        weight.normal_(0, 0.12)
            model.eval().save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            images.save_pretrained(folder)
            made[family] = folder
        return made[family]

    return make
