"""SentencePiece's character normalization, as SentencePiece itself applies it.

The `tokenizers` library reads the same table but applies it to one grapheme at a time, which leaves long sequences
(decomposed Hangul, stacked accents) as they are, or drops part of them. SentencePiece always takes the longest match.

Format: a 32-bit little-endian size, a double-array trie of that many bytes (units as in the Darts-clone library), then
the replacements, each ended by a zero byte.
"""

from __future__ import annotations

import struct
from array import array

from edgekit.errors import BundleError

_LABEL_MASK = (1 << 31) | 0xFF
_VALUE_MASK = (1 << 31) - 1


class Charsmap:
    """A table of replacements; it holds no state that changes, so threads may share it."""

    def __init__(self, table: bytes) -> None:
        """Read a table.

        Args:
            table: `precompiled_charsmap` of a SentencePiece model.

        Raises:
            BundleError: the table is cut or its sizes disagree.
        """
        size = struct.unpack_from("<I", table)[0] if len(table) >= 4 else 0
        if size == 0 or size % 4 or 4 + size >= len(table):
            msg = "text/tokenizer.json: the precompiled character map is damaged: convert again"
            raise BundleError(msg)
        self._units = array("I", struct.unpack_from(f"<{size // 4}I", table, 4))
        self._replacements = table[4 + size :]

    def prefix(self, text: bytes, start: int) -> tuple[str, int] | None:
        """Find the longest entry that the text continues with.

        Args:
            text: UTF-8.
            start: index of a character's first byte.

        Returns:
            The replacement and the number of bytes it replaces, or None where no entry matches.
        """
        units = self._units
        node = _offset(units[0])
        found: tuple[int, int] | None = None
        for index in range(start, len(text)):
            node ^= text[index]
            if node >= len(units) or units[node] & _LABEL_MASK != text[index]:
                break
            unit = units[node]
            node ^= _offset(unit)
            if unit >> 8 & 1 and node < len(units):
                found = (units[node] & _VALUE_MASK, index + 1 - start)
        if found is None:
            return None
        end = self._replacements.find(b"\0", found[0])
        return self._replacements[found[0] : end].decode("utf-8", "replace"), found[1]

    def normalize(self, text: str) -> str:
        """Replace every longest match, collapse spaces to one, drop trailing ones, and write each as ``▁``.

        Leading spaces stay, since SentencePiece sees a word before this text.

        Args:
            text: any text without lone surrogates.

        Returns:
            What SentencePiece's model looks up its pieces in.
        """
        data = text.encode("utf-8")
        parts: list[str] = []
        after_space = False
        index = 0
        while index < len(data):
            match = self.prefix(data, index)
            if match is None:
                length = _utf8_length(data[index])
                replacement = data[index : index + length].decode("utf-8")
            else:
                replacement, length = match
            index += length
            if after_space:
                replacement = replacement.lstrip(" ")
            if replacement:
                parts.append(replacement)
                after_space = replacement.endswith(" ")
        return "".join(parts).replace(" ", "▁").rstrip("▁")


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & (1 << 9)) >> 6)


def _utf8_length(first: int) -> int:
    if first < 0x80:
        return 1
    return 2 if first < 0xE0 else 3 if first < 0xF0 else 4
