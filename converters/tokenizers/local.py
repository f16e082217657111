"""Tokenizers given as a path, where a hub is out of reach."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import InputError

_EXPECTED = (
    "expected a folder in Hugging Face format (tokenizer_config.json with tokenizer.json, vocabulary files or a "
    "sentencepiece .model), a tokenizer.json, or open_clip's bpe_simple_vocab_16e6.txt.gz"
)
_FOLDER_FILES = ("tokenizer_config.json", "tokenizer.json")


@dataclass(frozen=True)
class LocalTokenizer:
    """What a path held.

    Attributes:
        path: as given.
        bpe_file: True when it is a merges file for open_clip's `SimpleTokenizer(bpe_path=…)`.
        tokenizer: the loaded tokenizer of transformers; None when `bpe_file`.
    """

    path: Path
    bpe_file: bool
    tokenizer: Any


def load_local_tokenizer(path: Path) -> LocalTokenizer:
    """Open a tokenizer from the local disk; nothing is fetched and no code in it is run.

    Args:
        path: folder or file.

    Returns:
        The tokenizer of transformers, or the knowledge that the file is open_clip's BPE vocabulary.

    Raises:
        InputError: the path is missing, or holds none of the known forms; the message names both.
    """
    if path.is_dir():
        return LocalTokenizer(path, bpe_file=False, tokenizer=_from_folder(path))
    if not path.is_file():
        msg = f"{path}: no such file or folder; {_EXPECTED}"
        raise InputError(msg)
    if path.suffix == ".json":
        return LocalTokenizer(path, bpe_file=False, tokenizer=_from_json(path))
    if path.suffix == ".gz":
        _check_merges(path)
        return LocalTokenizer(path, bpe_file=True, tokenizer=None)
    msg = f"{path}: not a tokenizer; {_EXPECTED}"
    raise InputError(msg)


def _from_folder(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in _FOLDER_FILES):
        msg = f"{folder}: holds neither {' nor '.join(_FOLDER_FILES)}; {_EXPECTED}"
        raise InputError(msg)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    # transformers lets through whatever its parts raise: OSError, KeyError, ValueError, bare Exception.
    except Exception as error:
        msg = f"{folder}: transformers cannot load this tokenizer ({_first_line(error)}); {_EXPECTED}"
        raise InputError(msg) from error
    check_vocabulary(folder, tokenizer)
    return tokenizer


def check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """Refuse a vocabulary that transformers made up, as it does without a word where the files are missing.

    Args:
        folder: what the tokenizer was loaded from.
        tokenizer: what transformers made of it.

    Raises:
        InputError: the folder lacks the vocabulary files of the tokenizer's class; the message names them.
    """
    wanted = [file for kind, file in tokenizer.vocab_files_names.items() if kind != "tokenizer_file"]
    if (folder / "tokenizer.json").is_file() or (folder / "tokenizer.model").is_file():
        return
    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing or not wanted:
        names = " and ".join(missing or ["tokenizer.json"])
        msg = f"{folder}: {type(tokenizer).__name__} needs {names}, which the folder lacks; {_EXPECTED}"
        raise InputError(msg)


def _from_json(path: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    try:
        padding = json.loads(path.read_text(encoding="utf-8")).get("padding")
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))
    except Exception as error:
        msg = f"{path}: not a tokenizer.json of the tokenizers library ({_first_line(error)}); {_EXPECTED}"
        raise InputError(msg) from error
    if padding is None:
        msg = f"{path}: does not say which token pads: give its folder, with the tokenizer_config.json"
        raise InputError(msg)
    return tokenizer


def _check_merges(path: Path) -> None:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            next(lines)
            first = next(lines, "").split()
    except (OSError, EOFError, UnicodeDecodeError, StopIteration) as error:
        msg = f"{path}: not a gzip of text ({_first_line(error)}); {_EXPECTED}"
        raise InputError(msg) from error
    if len(first) != 2:
        msg = f"{path}: the second line is not a merge of two pieces; {_EXPECTED}"
        raise InputError(msg)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
