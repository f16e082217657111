# ruff: noqa: S311, SIM905 (nothing here is secret; one string reads better than a list of forty)
"""Strings that tokenizers disagree about, made the same way on every run."""

from __future__ import annotations

import random
import unicodedata

# First and last code point of blocks, so that every script is sampled; the later ones came with Unicode 14 to 17.
_BLOCKS = (
    "0020-007F 0080-00FF 0100-017F 0180-024F 0250-02AF 02B0-02FF 0300-036F 0370-03FF 0400-052F 0530-058F 0590-05FF "
    "0600-06FF 0700-074F 0750-07BF 07C0-085F 0860-08FF 0900-097F 0980-09FF 0A00-0A7F 0A80-0AFF 0B00-0B7F 0B80-0BFF "
    "0C00-0C7F 0C80-0CFF 0D00-0D7F 0D80-0DFF 0E00-0E7F 0E80-0EFF 0F00-0FFF 1000-109F 10A0-10FF 1100-11FF 1200-139F "
    "13A0-13FF 1400-167F 1680-16FF 1700-177F 1780-17FF 1800-18AF 18B0-18FF 1900-19DF 19E0-1AAF 1AB0-1AFF 1B00-1BFF "
    "1C00-1C7F 1C80-1CFF 1D00-1DFF 1E00-1FFF 2000-206F 2070-209F 20A0-20CF 20D0-20FF 2100-214F 2150-218F 2190-23FF "
    "2400-245F 2460-24FF 2500-27BF 27C0-2BFF 2C00-2DFF 2E00-2E7F 2E80-2FFF 3000-303F 3040-30FF 3100-31FF 3200-33FF "
    "3400-4DBF 4E00-9FFF A000-A4CF A4D0-A63F A640-A6FF A700-A7FF A800-A95F A960-ABFF AC00-D7AF D7B0-D7FF E000-F8FF "
    "F900-FAFF FB00-FB4F FB50-FDFF FE00-FE0F FE10-FE6F FE70-FEFF FF00-FFEF FFF0-FFFF 10000-1013F 10140-1034F "
    "10350-104FF 10500-107FF 10800-10AFF 10B00-10FFF 11000-110FF 11100-113FF 11400-117FF 11800-11AFF 11B00-11FFF "
    "12000-1254F 12F90-12FFF 13000-1345F 13460-143FF 14400-1467F 16100-1613F 16800-16B8F 16D40-16DFF 16E40-16FFF "
    "17000-18DFF 1AFF0-1B2FF 1BC00-1BCAF 1CC00-1CEBF 1CF00-1D35F 1D360-1D7FF 1D800-1DAAF 1DF00-1E2FF 1E4D0-1E6FF "
    "1E7E0-1E95F 1EC70-1EEFF 1F000-1F2FF 1F300-1F64F 1F650-1F8FF 1F900-1FAFF 1FB00-1FBFF 20000-2A6DF 2A700-2EBEF "
    "2F800-2FA1F 30000-323AF E0000-E01EF F0000-F00FF 10FF00-10FFFF"
).split()

_WHITESPACE = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_CONTROLS = "".join(
    map(chr, [*range(32), 0x7F, 0x80, 0x99, 0xAD, 0x200C, 0x200D, 0x200E, 0x202E, 0x2066, 0xFFF9, 0xFFFC])
)
_CASE = "İ ı ß ẞ ſ ΑΣ ΣΑΣ ας Σ. ΑΣ. ΑʰΣ Α\u0345Σ ǅ ǆ Ⅷ ⅷ Ⓐ ⓐ ﬀ ŉ ǰ ΐ K Å Ω ᲀ Ꭰ ꭰ Ა ა 𐐀 𐐨 Ꟶ Ა ᾳ ᾼ µ".split()
_EMOJI = "😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 🇩 ❤️ ☺ 1️⃣ #️⃣ 🧑🏿‍🚀 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🫠 🫪 🤦🏼‍♂️ ©️ ™".split()
_CONTRACTIONS = (
    "I'm you're he's we'll they've don't I'd I'M YOU'RE HE'S 'S 'ſ 'LL 'Ve ''s 's's I’m o'clock 'tis 'sd 're's".split()
)
_ENTITIES = (
    "&amp; &amp;amp; &amp;amp;amp; &lt;b&gt; &#39; &#x27; &quot;x&quot; &nbsp; &eacute; &notit; &#0; &#xD800; "
    "&#x110000; &#128; &copy 2020 &unknown; &&& &#; AT&T &#9; &ZeroWidthSpace; &NotEqualTilde; &lt;end_of_text&gt;"
).split(" ")
_MOJIBAKE = (
    "schÃ¶n â€œquotesâ€\x9d l’humanitÃ© âœ” No problems Ã\xa0 ðŸ˜€ "
    "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ Â£5 ¯\\_(ã\x83\x84)_/¯ \x1b[31mred\x1b[0m ﬁne ＬＯＵＤ"
).split(" ")
_LITERALS = (
    "<start_of_text> <end_of_text> <START_OF_TEXT> <End_Of_Text> <ſtart_of_text> <|startoftext|> <|endoftext|> "
    "<|ENDOFTEXT|> [CLS] [SEP] [PAD] [UNK] [MASK] [sep] <s> </s> <pad> <unk> <mask> <bos> <eos> </w> ## ##s ▁ ▁▁ "
    "▁the Ġ <0x0A> <extra_id_0> <start_of_text <s tart_of_text> <|image|>"
).split(" ")
_PHRASES = (
    "a photo of a cat|a diagram|Two dogs, one red ball & 3 people!|ein Fahrrad steht vor dem Haus|une fleur très jolie|"
    "красный велосипед|μια γάτα στο σπίτι ΟΔΟΣ|红色的自行车|猫の写真|고양이 사진|"
    "صورة قطة|תמונה של חתול|แมวสีดำ|एक बिल्ली की तस्वीर|"
    "“curly” ‘quotes’ — dashes… and «guillemets»|snake_case and CamelCase|1234567890 3.14 1,000,000 ½ ² ٣٤ ௧|"
    "e\u0301 vs \u00e9|"
    "https://example.org/a?b=c&d=e#f|#hashtag @user $5.00 50% C++ <html>|"
    "\u1100\u1161\u11a8 각|q\u0323\u0307 q\u0307\u0323"
).split("|")


def long_texts() -> list[str]:
    """Texts far past any context length, each of 100 KB or more."""
    return [
        "word " * 20_000,
        "😀" * 100_000,
        "a" * 100_000,
        "caption &amp;amp; schÃ¶n " * 4_500,
        "<end_of_text>" * 8_000,
        "\u0301" * 60_000,
        " " * 100_000 + "end",
    ]


def corpus(size: int = 10_000, seed: int = 2) -> list[str]:
    """At least `size` different short strings; the same ones for the same arguments."""
    rng = random.Random(seed)
    fixed = [*_CASE, *_EMOJI, *_CONTRACTIONS, *_ENTITIES, *_MOJIBAKE, *_LITERALS, *_PHRASES, *_WHITESPACE, *_CONTROLS]
    texts = dict.fromkeys(["", *fixed, *(f" {text} " for text in fixed), *(f"a{text}b" for text in fixed)])
    for block in _BLOCKS:
        texts.update(dict.fromkeys(_block_samples(rng, block)))
    recipes = (_mixture, _with_marks, _squeezed, _anything, _sentence)
    while len(texts) < size:
        texts[rng.choice(recipes)(rng, fixed)] = None
    return list(texts)


def scripts(texts: list[str]) -> set[str]:
    """First words of the Unicode names that occur, a stand-in for scripts."""
    return {unicodedata.name(character, "UNNAMED").split()[0] for text in texts for character in text}


def _block_samples(rng: random.Random, block: str) -> list[str]:
    first, last = (int(end, 16) for end in block.split("-"))
    alone = [chr(rng.randint(first, last)) for _ in range(6)]
    runs = ["".join(chr(rng.randint(first, last)) for _ in range(rng.randint(2, 12))) for _ in range(8)]
    spaced = [" ".join(runs[:3]), f"the {runs[3]} cat", f"{runs[4]}s", f"1{runs[5]}2", f"'{alone[0]}", f"{runs[6]}'S"]
    return [*alone, *runs, *spaced]


def _mixture(rng: random.Random, fixed: list[str]) -> str:
    return "".join(rng.choice(fixed) for _ in range(rng.randint(2, 6)))


def _sentence(rng: random.Random, fixed: list[str]) -> str:
    return rng.choice(_WHITESPACE).join(rng.choice(fixed) for _ in range(rng.randint(2, 9)))


def _with_marks(rng: random.Random, fixed: list[str]) -> str:
    text = rng.choice(fixed)
    return "".join(c + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(0, 3))) for c in text)


def _squeezed(rng: random.Random, fixed: list[str]) -> str:
    text = "".join(rng.choice(fixed) for _ in range(3))
    return rng.choice([text.upper(), text.lower(), text.title(), text[::-1], unicodedata.normalize("NFD", text)])


def _anything(rng: random.Random, fixed: list[str]) -> str:
    points = [rng.randrange(0x20, 0xD800) if rng.random() < 0.8 else rng.randrange(0xE000, 0x110000) for _ in range(12)]
    return "".join(map(chr, points[: rng.randint(1, 12)])) + rng.choice(["", rng.choice(fixed)])
