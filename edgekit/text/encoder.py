"""Token ids from text, with the tokenizer that the bundle carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import BundleError, EdgekitError, TextError
from edgekit.text.cleaning import clean
from edgekit.text.siglip import split_tokenizer_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from tokenizers import Encoding, Tokenizer

    from edgekit.bundle.manifest import TextSpec
    from edgekit.text.siglip import SiglipText


class TextEncoder:
    """Turns texts into the ids that the checkpoint's own tokenizer gives.

    Nothing is written after construction, so one encoder may be used by many threads at once. Texts are encoded one
    by one on the calling thread: the `tokenizers` library's own thread pool warns when a process forks after its use,
    and a text costs far less than its embedding.
    """

    def __init__(self, tokenizer_json: bytes | str, spec: TextSpec) -> None:
        """Load a tokenizer.

        Args:
            tokenizer_json: JSON of the `tokenizers` library, as UTF-8 bytes or text.
            spec: the manifest's text settings.

        Raises:
            BundleError: the JSON cannot be read, or its truncation and padding disagree with `spec`.
        """
        self._spec = spec
        text = _decode(tokenizer_json, spec.tokenizer)
        self._siglip: SiglipText | None = None
        if spec.cleaning == "siglip":
            text, self._siglip = split_tokenizer_json(text)
        self._tokenizer = _load(text, spec.tokenizer)
        _check_settings(self._tokenizer, spec)
        # The empty text shows what the settings cannot: a post-processor that adds more than truncation allows.
        self.encode([""])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Encode texts to full length.

        Args:
            texts: N texts of any length, N may be 0; longer ones are truncated as the checkpoint does it.

        Returns:
            int32 (N, context_length), padded with `TextSpec.pad_id`.

        Raises:
            TextError: an element is not a string, or holds a lone surrogate that cleaning did not repair; the
                message names its index.
            BundleError: the tokenizer gives a wrong number of ids.
        """
        ids, _ = self._encode(texts)
        return ids

    def encode_trimmed(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Encode texts, without the trailing columns that hold padding in every row.

        Args:
            texts: as for `encode`.

        Returns:
            int32 (N, l) with 1 <= l <= context_length, where l is the length of the longest text; (N, context_length)
            when the manifest does not say that cutting is safe (`TextSpec.trim_padding`).

        Raises:
            TextError: as for `encode`.
            BundleError: as for `encode`.
        """
        ids, longest = self._encode(texts)
        return np.ascontiguousarray(ids[:, :longest]) if self._spec.trim_padding else ids

    def _encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], int]:
        if isinstance(texts, str):
            msg = "texts is one string, expected a sequence of strings: put it in a list"
            raise TextError(msg)
        length = self._spec.context_length
        ids = np.empty((len(texts), length), dtype=np.int32)
        longest = 1
        for index, text in enumerate(texts):
            encoding = self._encode_one(text, index)
            row = encoding.ids
            if len(row) != length:
                msg = f"{self._spec.tokenizer}: gives {len(row)} ids, text.context_length is {length}: convert again"
                raise BundleError(msg)
            ids[index] = row
            longest = max(longest, _used_columns(encoding.attention_mask))
        return ids, longest

    def _encode_one(self, text: str, index: int) -> Encoding:
        if not isinstance(text, str):
            msg = f"text {index} is {type(text).__name__}, expected a string"
            raise TextError(msg)
        try:
            cleaned = clean(text, self._spec.cleaning) if self._siglip is None else self._siglip.prepare(text)
            # The library only says "must be str" for a lone surrogate; this says which.
            cleaned.encode("utf-8")
            return self._tokenizer.encode(cleaned)
        except UnicodeEncodeError as error:
            surrogate = ord(error.object[error.start])
            msg = f"text {index} holds a lone surrogate (U+{surrogate:04X}): decode the text as UTF-8, or replace it"
            raise TextError(msg) from error
        # The library raises bare Exception, for instance where an unknown word meets a vocabulary without [UNK].
        except Exception as error:
            if isinstance(error, EdgekitError):
                raise
            msg = f"text {index} cannot be encoded: {error}"
            raise TextError(msg) from error


def _used_columns(attention_mask: list[int]) -> int:
    # The mask and not the ids: some models pad with their end-of-text token, which must stay.
    return len(attention_mask) - attention_mask[::-1].index(1) if 1 in attention_mask else 0


def _decode(tokenizer_json: bytes | str, name: str) -> str:
    if isinstance(tokenizer_json, str):
        return tokenizer_json
    try:
        return bytes(tokenizer_json).decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{name}: not UTF-8 ({error}): convert again"
        raise BundleError(msg) from error


def _load(tokenizer_json: str, name: str) -> Tokenizer:
    # Imported late: a native library that image-only use never needs.
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(tokenizer_json)
    # The library raises bare Exception, and a Rust panic on some malformed files, which is no Exception at all.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        msg = f"{name}: not a tokenizer that the tokenizers library here can read ({error}): convert again"
        raise BundleError(msg) from error


def _check_settings(tokenizer: Tokenizer, spec: TextSpec) -> None:
    truncation: dict[str, Any] = tokenizer.truncation or {}
    padding: dict[str, Any] = tokenizer.padding or {}
    found_and_expected = (
        ("truncation.max_length", truncation.get("max_length"), spec.context_length, "text.context_length"),
        ("padding.length", padding.get("length"), spec.context_length, "text.context_length"),
        ("padding.pad_id", padding.get("pad_id"), spec.pad_id, "text.pad_id"),
    )
    for setting, found, expected, field in found_and_expected:
        if found != expected:
            msg = f"{spec.tokenizer}: {setting} is {found}, but manifest.json says {field} is {expected}: convert again"
            raise BundleError(msg)
