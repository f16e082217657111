"""Tokenizers of every family, trained here and saved in their libraries' own formats: nothing is fetched."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import corpus

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from edgekit.bundle.manifest import TextSpec
from edgekit.converters.torch_compat import prepare
from edgekit.text.encoder import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.converters.records import TextPipeline

prepare()


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """10,000 strings that tokenizers disagree about."""
    made = corpus.corpus()
    assert len(made) >= 10_000
    return made


@pytest.fixture(scope="session")
def long_texts() -> list[str]:
    return corpus.long_texts()


@pytest.fixture(scope="session")
def scripts() -> Callable[[list[str]], set[str]]:
    return corpus.scripts


def _encoder(pipeline: TextPipeline) -> TextEncoder:
    spec = TextSpec("text/tokenizer.json", pipeline.context_length, pipeline.pad_id, pipeline.cleaning, True, ())
    return TextEncoder(pipeline.tokenizer_json, spec)


@pytest.fixture(scope="session")
def encoder() -> Callable[[TextPipeline], TextEncoder]:
    return _encoder


@pytest.fixture(scope="session")
def differing() -> Callable[[TextPipeline, Sequence[str]], list[str]]:
    """The texts whose ids are not the reference's."""

    def compare(pipeline: TextPipeline, texts: Sequence[str]) -> list[str]:
        wrong = (_encoder(pipeline).encode(texts) != pipeline.reference(texts)).any(axis=1)
        return [texts[index] for index in np.flatnonzero(wrong)]

    return compare


def _training_texts() -> list[str]:
    short = corpus.corpus(0)[:700]
    rare = [text for text in short if text.strip() and not set(text) & set("\0\n\r")]
    return [*corpus._PHRASES * 200, *rare]


def bert(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertTokenizer

    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=1500, special_tokens=special, show_progress=False)
    raw.train_from_iterator(_training_texts(), trainer)
    BertTokenizer(vocab=raw.get_vocab()).save_pretrained(folder)


def clip(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1500, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    raw.train_from_iterator(_training_texts(), trainer)
    model = json.loads(raw.to_str())["model"]
    vocabulary = model["vocab"]
    for piece in [*(character + "</w>" for character in alphabet), "<|startoftext|>", "<|endoftext|>"]:
        vocabulary.setdefault(piece, len(vocabulary))
    CLIPTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in model["merges"]]).save_pretrained(folder)


def _sentencepiece(folder: Path, file: str, config: dict[str, Any], **options: Any) -> None:
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_training_texts()),
        model_writer=model,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    (folder / file).write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


_T5_IDS = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "vocab_size": 1200}
_GEMMA_OPTIONS = {
    "model_type": "bpe",
    "vocab_size": 1500,
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "bos_piece": "<bos>",
    "eos_piece": "<eos>",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "user_defined_symbols": ["<mask>", "  "],
}
_GEMMA_CONFIG = {"padding_side": "right", "add_bos_token": False, "add_eos_token": True}


def siglip(folder: Path) -> None:
    _sentencepiece(folder, "spiece.model", {"tokenizer_class": "SiglipTokenizer"}, character_coverage=0.995, **_T5_IDS)


def t5(folder: Path) -> None:
    _sentencepiece(folder, "spiece.model", {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}, **_T5_IDS)


def xlm_roberta(folder: Path) -> None:
    config = {"tokenizer_class": "XLMRobertaTokenizer"}
    _sentencepiece(folder, "sentencepiece.bpe.model", config, unk_id=0, bos_id=1, eos_id=2, vocab_size=1200)


def gemma(folder: Path) -> None:
    _sentencepiece(folder, "tokenizer.model", {"tokenizer_class": "GemmaTokenizer", **_GEMMA_CONFIG}, **_GEMMA_OPTIONS)


def siglip2(folder: Path) -> None:
    config = {"tokenizer_class": "Siglip2Tokenizer", **_GEMMA_CONFIG}
    _sentencepiece(folder, "tokenizer.model", config, **_GEMMA_OPTIONS)


_MAKERS: dict[str, Callable[[Path], None]] = {
    "bert": bert,
    "clip": clip,
    "gemma": gemma,
    "siglip": siglip,
    "siglip2": siglip2,
    "t5": t5,
    "xlm_roberta": xlm_roberta,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family name to its tokenizer's folder, made once in a session; do not write into it."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            _MAKERS[family](made[family])
        return made[family]

    return make
