"""A checkpoint on disk is complete, or what is missing is named; its card says the licence."""

from __future__ import annotations

import json
import os
import types
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.sources import hf_files
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All that is looked for; nothing is opened yet."""
    home = tmp_path / "some-clip"
    home.mkdir()
    for name in PARTS:
        (home / name).write_text("{}")
    return home


def find(folder: Path, *, needs_tokenizer: bool = True) -> hf_files.Checkpoint:
    return hf_files.find(str(folder), needs_tokenizer=needs_tokenizer)


def test_a_whole_folder_is_named_after_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(folder) == hf_files.Checkpoint(folder, "some-clip", "unknown")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert hf_files.find("~/some-clip", needs_tokenizer=True).folder == folder
    monkeypatch.chdir(folder)
    assert hf_files.find(".", needs_tokenizer=True).name == "some-clip"


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_in_the_place_of_a_file_is_a_missing_file(folder: Path, part: str) -> None:
    (folder / part).unlink()
    (folder / part).mkdir()
    with pytest.raises(InputError, match=rf"some-clip: missing .*{part}"):
        find(folder)


@pytest.mark.parametrize(
    ("instead_of", "name"),
    [
        ("model.safetensors", "pytorch_model.bin"),
        ("preprocessor_config.json", "processor_config.json"),
        ("tokenizer.json", "vocab.txt"),
        ("tokenizer.json", "spiece.model"),
        ("tokenizer.json", "sentencepiece.bpe.model"),
    ],
)
def test_every_usual_name_serves(folder: Path, instead_of: str, name: str) -> None:
    (folder / instead_of).rename(folder / name)
    assert find(folder).folder == folder


def test_without_a_tokenizer_the_option_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"missing tokenizer\.json or .*\(or give --tokenizer\)"):
        find(folder)
    assert find(folder, needs_tokenizer=False).name == "some-clip"


@pytest.mark.parametrize("shard", [3, None, True, "", ["x"], {"file": "x"}])
def test_an_index_that_names_no_file_is_told(folder: Path, shard: Any) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json: not a weight index .*; fetch it again"):
        find(folder)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b'{"weight_map": null}', b"null", b"3"])
def test_a_damaged_index_is_told(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(InputError, match="not a weight index"):
        find(folder)


@pytest.mark.parametrize("shard", ["..", ".", "/etc/passwd", "../w.bin", "sub/w.bin", "w.bin/"])
def test_an_index_leads_out_of_no_folder(folder: Path, shard: str) -> None:
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(InputError, match="lies outside the folder"):
        find(folder)


def test_shards_that_are_all_there_are_a_checkpoint(folder: Path) -> None:
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    (folder / "model.safetensors").rename(folder / names[0])
    (folder / names[1]).write_bytes(b"")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": names[1], "b": names[0], "c": names[1]}}))
    assert find(folder).folder == folder
    (folder / names[0]).unlink()
    with pytest.raises(InputError, match=f"missing {names[0]}, which {index.name} names"):
        find(folder)


@pytest.mark.parametrize(
    ("card", "license_"),
    [
        (b"\xef\xbb\xbf---\nlicense: mit\n---\n", "MIT"),  # with a byte order mark
        (b"---\r\nlicense: bsd-3-clause\r\n---\r\n", "BSD-3-Clause"),
        (b'---\ntitle: "a --- b"\nlicense: gpl-3.0\n---\n', "GPL-3.0-only"),
        (b"---\nlicense: mit\n--- \ntext", "MIT"),
        (b"---\nlicense: llama3.1 # see the file\n---\n", "llama3.1"),
        (b"---\nlicense:\n- mit\n- apache-2.0\n---\n", "unknown"),  # several: which holds is not said
        (b"---\nlicense: [mit]\n---\n", "unknown"),
        (b"---\nlicense_name: own\nx-license: mit\n---\n", "unknown"),
        (b"---\nlicense: mit\n", "unknown"),  # the block is not closed
        (b"----\nlicense: mit\n----\n", "unknown"),
        (b"---\n---\nlicense: mit\n", "unknown"),
        (b"---\nlicense: \xff\xfe\n---\n", "unknown"),
    ],
)
def test_the_licence_stands_in_the_cards_facts(tmp_path: Path, card: bytes, license_: str) -> None:
    (tmp_path / "README.md").write_bytes(card)
    assert hf_files.license_of(tmp_path) == license_


@settings(max_examples=60, deadline=None)
@given(
    before=st.text(alphabet="ab:- #\n", max_size=20),
    identifier=st.from_regex(r"[A-Za-z][A-Za-z0-9.+-]{0,12}", fullmatch=True),
    body=st.text(max_size=30),
)
def test_whatever_stands_around_it(tmp_path_factory: Any, before: str, identifier: str, body: str) -> None:
    """Lines of the facts that are not the licence's, and the text below, change nothing."""
    facts = "\n".join(f"x{line}" for line in before.split("\n"))
    folder = tmp_path_factory.mktemp("card")
    card = f"---\n{facts}\nlicense: {identifier}\n---\n{body}"
    (folder / "README.md").write_bytes(card.encode("utf-8", "replace"))
    expected = "unknown" if identifier == "other" else identifier
    assert hf_files.license_of(folder).lower().startswith(expected.lower())


def test_a_card_that_is_a_folder_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").mkdir()
    assert hf_files.license_of(tmp_path) == "unknown"
    assert hf_files.license_of(tmp_path / "absent") == "unknown"


def test_an_interrupted_fetch_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub lists the repository, and goes away while the files come."""
    listed = types.SimpleNamespace(siblings=[types.SimpleNamespace(rfilename="model.safetensors")])

    def broken(*_: object, **__: object) -> str:
        raise TimeoutError("read timed out\nat byte 12")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: listed)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"owner/model: .*\(TimeoutError: read timed out\)\. Wanted from it"):
        hf_files.find("owner/model", needs_tokenizer=True)


def test_a_fetched_repository_that_lacks_a_file_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    nothing = types.SimpleNamespace(siblings=None)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: nothing)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    monkeypatch.chdir(os.sep)
    with pytest.raises(InputError, match=r"owner/model: missing preprocessor_config\.json or .* in"):
        hf_files.find("owner/model", needs_tokenizer=True)
