"""A last check of every converted tokenizer, on texts that tokenizers disagree about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.bundle.manifest import TextSpec
from edgekit.errors import UnsupportedModelError
from edgekit.text.encoder import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.converters.records import TextPipeline

_TEXTS = (
    "",
    " ",
    "a photo of a cat",
    "A Photo, of TWO cats & 3 dogs!",
    "  leading\tand trailing\n whitespace \u3000\x85\x1c ",
    "I'm you're he's we'll they've don't I'd 'S 'ſ",
    "snake_case C++ #tag @user 1,234.50 ½ ² ٣٤",
    "&amp;lt;b&amp;gt; &#39; schÃ¶n â€œquotesâ€\x9d “curly” … ﬁ ＬＯＵＤ",
    "ΣΑΣ ΟΔΟΣ İstanbul ẞ ǅ ﬀ Å",
    "e\u0301 é q\u0323\u0307 q\u0307\u0323 \u1100\u1161\u11a8 각 ⓐ\u033e",
    "红色的自行车 猫の写真 고양이 사진",
    "красный велосипед صورة قطة תמונה แมวสีดำ एक बिल्ली",
    "😀 👍🏽 👩\u200d👩\u200d👧 🇩🇪 1\ufe0f\u20e3 🫪",
    "\x00 \x07 \x7f \xad \u200b \ufeff \ue000 \ufffe \U000e0041 \U0010ffff",
    "▁ ▁▁the Ġ </w> ## ##s <0x0A>",
    "word " * 200,
)


def check_same_ids(pipeline: TextPipeline, name: str, special_tokens: Sequence[str] = ()) -> None:
    """Compare the pipeline's JSON with its reference.

    Args:
        pipeline: the converted tokenizer.
        name: the source tokenizer's class, for the error.
        special_tokens: tokens to try as literal text too.

    Raises:
        UnsupportedModelError: the ids of a text differ; the message quotes it.
    """
    spec = TextSpec("text/tokenizer.json", pipeline.context_length, pipeline.pad_id, pipeline.cleaning, False, ())
    encoder = TextEncoder(pipeline.tokenizer_json, spec)
    literals = [form.format(token) for token in special_tokens for form in ("{0}", "a{0}b", "the {0} cat {0}")]
    texts = [*_TEXTS, *literals]
    differing = (encoder.encode(texts) != pipeline.reference(texts)).any(axis=1)
    if differing.any():
        text = texts[int(differing.argmax())]
        msg = (
            f"{name}: {int(differing.sum())} of {len(texts)} probe texts get other ids from the tokenizers library, "
            f"first {text[:60]!r}: this tokenizer is not supported"
        )
        raise UnsupportedModelError(msg)
