"""Finding a transformers checkpoint: a local folder as it is, or a hub repository brought into the hub's own cache."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
_CONFIG_PATTERNS = ["*.json", "*.txt", "*.model", "README.md"]
_HUB_TIMEOUT_S = 10.0
# The card's facts stand between two lines of dashes at its top, perhaps after a byte order mark.
_FACTS = re.compile(r"\A\ufeff?---[ \t]*\n(.*?)^---[ \t]*$", re.MULTILINE | re.DOTALL)
_LICENSE_LINE = re.compile(r"^license:[ \t]*[\"']?([A-Za-z0-9.+-]+)", re.MULTILINE)
_SPDX = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "gpl-3.0": "GPL-3.0-only"}


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk.

    Attributes:
        folder: where its files are.
        name: short name, the last part of the repository id or of the path.
        license: SPDX id of its card, or ``unknown``.
    """

    folder: Path
    name: str
    license: str


def find(spec: str, *, needs_tokenizer: bool) -> Checkpoint:
    """Return the checkpoint that `spec` names.

    Args:
        spec: a folder, or a hub repository id such as ``openai/clip-vit-base-patch32``.
        needs_tokenizer: whether the tokenizer's files must be there too.

    Returns:
        The checkpoint, its files checked to be present.

    Raises:
        InputError: no such folder, a missing file, or a hub that cannot be reached; the message names the file.
    """
    local = Path(spec).expanduser()
    folder = local if local.is_dir() else _from_hub(spec)
    _check_complete(folder, spec, needs_tokenizer=needs_tokenizer)
    return Checkpoint(folder, (folder if folder == local else Path(spec)).resolve().name, license_of(folder))


def _from_hub(repo: str) -> Path:
    if Path(repo).exists():
        raise InputError(f"{repo} is a file; give the folder of a transformers checkpoint")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo):
        raise InputError(f"{repo}: no such folder, and not a hub repository id (owner/name)")
    from huggingface_hub import HfApi, snapshot_download

    try:
        listed = [f.rfilename for f in HfApi().model_info(repo, timeout=_HUB_TIMEOUT_S).siblings or []]
    except Exception as error:  # any network stack's own types: the cache may still hold the repository
        return _from_cache(repo, error)
    # A repository often holds the same weights in several formats: take one.
    pattern = "*.safetensors" if any(name.endswith(".safetensors") for name in listed) else "*.bin"
    try:
        return Path(snapshot_download(repo, allow_patterns=[*_CONFIG_PATTERNS, pattern], etag_timeout=_HUB_TIMEOUT_S))
    except Exception as error:
        raise _unreachable(repo, error) from error


def _from_cache(repo: str, reason: Exception) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, local_files_only=True))
    except Exception:
        raise _unreachable(repo, reason) from reason


def _unreachable(repo: str, reason: Exception) -> InputError:
    first_line = (str(reason).splitlines() or [""])[0]
    return InputError(
        f"{repo}: no such folder here, and the hub did not give that repository "
        f"({type(reason).__name__}: {first_line}). Wanted from it: config.json, {_WEIGHTS[0]} or {_WEIGHTS[2]}, "
        f"{_PROCESSORS[0]} and {_TOKENIZERS[0]}. Put these files in a folder and convert hf:FOLDER instead"
    )


def _check_complete(folder: Path, spec: str, *, needs_tokenizer: bool) -> None:
    wanted: list[tuple[str, ...]] = [("config.json",), _WEIGHTS, _PROCESSORS]
    if needs_tokenizer:
        wanted.append(_TOKENIZERS)
    for names in wanted:
        if not any((folder / name).is_file() for name in names):
            hint = " (or give --tokenizer)" if names is _TOKENIZERS else ""
            raise InputError(f"{spec}: missing {' or '.join(names)} in {folder}{hint}")
    for index in (folder / name for name in _WEIGHTS if name.endswith(".index.json")):
        if index.is_file():
            _check_shards(index)


def _check_shards(index: Path) -> None:
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index}: not a weight index ({error}); fetch it again") from error
    if wrong := [shard for shard in shards if not isinstance(shard, str) or not shard]:
        raise InputError(f"{index}: not a weight index (weight_map names a file {wrong[0]!r}); fetch it again")
    for shard in sorted(shards):
        if Path(shard).name != shard or shard == "..":
            raise InputError(f"{index}: the weight file {shard!r} lies outside the folder")
        if not (index.parent / shard).is_file():
            raise InputError(f"{index.parent}: missing {shard}, which {index.name} names")


def license_of(folder: Path) -> str:
    """Return the SPDX id that a folder's model card states.

    Args:
        folder: a folder, with or without a ``README.md`` that begins with the hub's block of facts.

    Returns:
        The id, or ``unknown``.
    """
    card = folder / "README.md"
    if not card.is_file():
        return "unknown"
    text = card.read_text(encoding="utf-8", errors="replace")
    facts = _FACTS.match(text)
    found = None if facts is None else _LICENSE_LINE.search(facts[1])
    if found is None or found[1] == "other":
        return "unknown"
    return _SPDX.get(found[1].lower(), found[1])
