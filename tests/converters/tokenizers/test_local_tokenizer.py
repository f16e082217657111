from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import open_clip
import pytest

from edgekit.converters.tokenizers.hf import pipeline_from_transformers
from edgekit.converters.tokenizers.local import load_local_tokenizer
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    Folder = Callable[[str], Path]


@pytest.mark.parametrize("family", ["bert", "clip", "gemma", "siglip", "siglip2", "t5", "xlm_roberta"])
def test_a_folder_gives_a_transformers_tokenizer(family: str, folder: Folder) -> None:
    found = load_local_tokenizer(folder(family))
    assert not found.bpe_file
    assert found.path == folder(family)
    assert found.tokenizer("a cat")["input_ids"]


def test_a_tokenizer_json_with_padding_is_enough(folder: Folder, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    raw = Tokenizer.from_file(str(folder("bert") / "tokenizer.json"))
    raw.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    raw.save(str(tmp_path / "tokenizer.json"))
    found = load_local_tokenizer(tmp_path / "tokenizer.json")
    whole = load_local_tokenizer(folder("bert"))
    texts = ["a photo of a cat", "İ 猫"]
    ours, theirs = (pipeline_from_transformers(each.tokenizer, 16).reference(texts) for each in (found, whole))
    assert ours.tolist() == theirs.tolist()


def test_a_tokenizer_json_without_padding_asks_for_its_folder(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    content = json.loads((folder("bert") / "tokenizer.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "padding": None}), encoding="utf-8")
    with pytest.raises(InputError, match=r"tokenizer\.json: does not say which token pads: give its folder"):
        load_local_tokenizer(path)


def test_open_clip_s_vocabulary_is_known() -> None:
    path = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    found = load_local_tokenizer(path)
    assert found.bpe_file
    assert found.tokenizer is None
    assert found.path == path


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{", "not a tokenizer.json"),
        ("tokenizer.json", b"[]", "not a tokenizer.json"),
        ("tokenizer.json", b"", "not a tokenizer.json"),
        ("tokenizer.json", b'{"model": {"type": "BPE"}}', "not a tokenizer.json"),
        ("tokenizer.json", b"\xff\xfe", "not a tokenizer.json"),
        ("bpe.txt.gz", b"not gzip", "not a gzip of text"),
        ("bpe.txt.gz", b"", "not a gzip of text"),
        ("bpe.txt.gz", gzip.compress(b"#version\na b\n" * 99, mtime=0)[:-30], "not a gzip of text"),
        ("bpe.txt.gz", gzip.compress(b"\xff\xfe\xff", mtime=0), "not a gzip of text"),
        ("bpe.txt.gz", gzip.compress(b"#version\nthree words here\n", mtime=0), "not a merge of two pieces"),
        ("bpe.txt.gz", gzip.compress(b"#version\n", mtime=0), "not a merge of two pieces"),
        ("model.bin", b"weights", "not a tokenizer"),
        ("vocab.txt", b"[PAD]\n", "not a tokenizer"),
    ],
)
def test_an_odd_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = _write(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as caught:
        load_local_tokenizer(path)
    assert str(caught.value).startswith(str(path))
    assert "expected a folder" in str(caught.value)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder; expected a folder in Hugging Face format"):
        load_local_tokenizer(tmp_path / "nowhere")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither tokenizer_config\.json nor tokenizer\.json"):
        load_local_tokenizer(tmp_path)


@pytest.mark.parametrize("config", ["{", "[]", '{"tokenizer_class": "NoSuchTokenizer"}'])
def test_a_folder_that_does_not_load_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "tokenizer_config.json").write_text(config, encoding="utf-8")
    with pytest.raises(InputError, match="transformers cannot load this tokenizer") as caught:
        load_local_tokenizer(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("class_name", "missing"),
    [
        ("T5Tokenizer", "spiece.model"),
        ("BertTokenizer", "vocab.txt"),
        ("CLIPTokenizer", "vocab.json and merges.txt"),
        ("GemmaTokenizer", "tokenizer.json"),
        ("XLMRobertaTokenizer", "sentencepiece.bpe.model"),
    ],
)
def test_a_vocabulary_that_transformers_would_make_up_is_refused(tmp_path: Path, class_name: str, missing: str) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": class_name}), encoding="utf-8")
    with pytest.raises(InputError, match=f"{class_name} needs {missing}, which the folder lacks"):
        load_local_tokenizer(tmp_path)


def test_a_vocabulary_needs_its_merges(folder: Folder, tmp_path: Path) -> None:
    whole = json.loads((folder("clip") / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}', encoding="utf-8")
    (tmp_path / "vocab.json").write_text(json.dumps(whole["vocab"]), encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot load this tokenizer .*merges"):
        load_local_tokenizer(tmp_path)
    merges = ["#version: 0.2", *(" ".join(pair) for pair in whole["merges"])]
    (tmp_path / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    ours, original = (load_local_tokenizer(path).tokenizer for path in (tmp_path, folder("clip")))
    assert ours("a photo of 猫")["input_ids"] == original("a photo of 猫")["input_ids"]


def test_code_in_a_folder_is_not_run(tmp_path: Path, folder: Folder) -> None:
    target = Path(shutil.copytree(folder("bert"), tmp_path / "bert"))
    proof = tmp_path / "ran"
    (target / "evil.py").write_text(f"import pathlib; pathlib.Path({str(proof)!r}).touch()", encoding="utf-8")
    (target / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}), encoding="utf-8"
    )
    with pytest.raises(InputError, match="transformers cannot load"):
        load_local_tokenizer(target)
    assert not proof.exists()
