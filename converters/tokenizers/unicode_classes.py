r"""Character classes of the `regex` module, written out as explicit ranges.

The `tokenizers` library searches with another engine, whose Unicode tables are of another version: ``\p{L}`` there
misses 17,000 letters that the `regex` module knows. Ranges mean the same everywhere, for ever.
"""

from __future__ import annotations

from functools import lru_cache

_SURROGATES = range(0xD800, 0xE000)


@lru_cache(maxsize=1)
def _every_character() -> str:
    return "".join(chr(point) for point in range(0x110000) if point not in _SURROGATES)


@lru_cache(maxsize=64)
def character_class(pattern: str) -> str:
    r"""Write out which characters a pattern of the `regex` module matches, ignoring case.

    Args:
        pattern: matches one character at a time, such as ``[\p{L}]``.

    Returns:
        A bracket expression of ``\x{…}`` ranges, for Oniguruma.
    """
    import regex

    ranges: list[list[int]] = []
    for character in regex.findall(pattern, _every_character(), flags=regex.IGNORECASE):
        point = ord(character)
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "[" + "".join(_range(first, last) for first, last in ranges) + "]"


def any_case(text: str) -> str:
    """Write out what the `regex` module matches for a literal text when it ignores case.

    Args:
        text: literal characters, no pattern.

    Returns:
        One bracket expression per character: ``s`` also stands for ``S`` and U+017F.
    """
    import regex

    return "".join(character_class(regex.escape(character)) for character in text)


def _range(first: int, last: int) -> str:
    return f"\\x{{{first:x}}}" if first == last else f"\\x{{{first:x}}}-\\x{{{last:x}}}"
