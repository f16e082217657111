"""Teachers and recipes for tests of students: a tiny bundle with enough words, and a small open_clip model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest import mock

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import tiny_bundle
from edgekit.converters.distill.recipe import DataSpec, Recipe, StudentSpec, TeacherSpec, Training
from tiny_towers import DIMENSION

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.converters.distill.recipe import ImageStudent, TextStudent

_WORDS = tiny_bundle.WORDS
_LETTERS = [chr(code) for code in range(97, 123)]
TEXTS = (
    *("a photo of a red cat", "two dogs in the sky", "a cup of coffee on a bicycle", "w1 w2 w3 w4"),
    *(f"z{a}{b}" for a in "ab" for b in _LETTERS),
)
# The sizes are those of the tiny bundle, so that it can stand for a conversion of this model.
CONFIG: dict[str, Any] = {
    "embed_dim": DIMENSION,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 4, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 160, "width": 32, "heads": 4, "layers": 4},
}


def bundle(path: Path, *, pieces: bool = False) -> Path:
    """Write the tiny bundle with more words than the ids that an export is checked with; return `path`.

    With `pieces` the tokenizer is a WordPiece of the same number of tokens, which a vocabulary can be cut out of.
    """
    words = (*tiny_bundle.WORDS, *(f"w{i}" for i in range(100)))
    with mock.patch.object(tiny_bundle, "WORDS", words):
        rows = tiny_bundle.make_tokenizer().get_vocab_size()
        extra = {"text/tokenizer.json": word_piece(rows).encode()} if pieces else {}
        return tiny_bundle.build(path, extra=extra)


def word_piece(rows: int) -> str:
    """Return a WordPiece tokenizer of `rows` tokens: special ones, letters, and words."""
    names = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    names += [word for word in _WORDS if len(word) > 1]
    names += [f"##{a}{b}" for a in _LETTERS for b in _LETTERS]
    vocabulary = {name: i for i, name in enumerate(names[:rows])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[BOS]", "[EOS]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[(name, vocabulary[name]) for name in ("[BOS]", "[EOS]")]
    )
    tokenizer.enable_truncation(tiny_bundle.CONTEXT_LENGTH)
    tokenizer.enable_padding(length=tiny_bundle.CONTEXT_LENGTH, pad_id=0, pad_token="[PAD]")
    return tokenizer.to_str()


def open_clip_config(folder: Path, stem: str, **changes: Any) -> str:
    """Write a small open_clip configuration; return it as a source. `changes` go into its text part."""
    path = folder / f"{stem}.json"
    path.write_text(json.dumps({**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **changes}}))
    return f"open_clip:{path}"


def recipe(
    folder: Path,
    image: ImageStudent | None = None,
    text: TextStudent | None = None,
    *,
    teacher: str = "teacher",
    dimension: int = 0,
    seed: int = 0,
) -> Recipe:
    """Return a recipe for a student; a file of texts is written into `folder`."""
    texts = folder / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    return Recipe(
        (TeacherSpec(teacher),),
        DataSpec(texts=(str(texts),)),
        StudentSpec(image=image, text=text, dimension=dimension),
        training=Training(steps=1, seed=seed),
    )
