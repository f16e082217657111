"""What cannot be converted, or is not complete: each refusal names the file, field or architecture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import hf, hf_files, hf_load
from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def clip(checkpoint: Callable[[str], Path], tmp_path: Path) -> Path:
    """A private copy of a tiny CLIP."""
    return Path(shutil.copytree(checkpoint("clip"), tmp_path / "clip"))


def load(folder: Path) -> Any:
    return hf.load(str(folder), SourceOptions())


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        (["config.json"], "config.json"),
        (["model.safetensors"], "model.safetensors"),
        (["preprocessor_config.json"], "preprocessor_config.json"),
        (["tokenizer.json", "tokenizer_config.json"], "tokenizer.json"),
    ],
)
def test_missing_file_is_named(clip: Path, gone: list[str], named: str) -> None:
    for name in gone:
        (clip / name).unlink()
    with pytest.raises(InputError, match=named):
        load(clip)


def test_a_vocabulary_that_transformers_would_make_up(clip: Path) -> None:
    """With the config alone, transformers 5 gives an empty tokenizer and says nothing."""
    (clip / "tokenizer.json").unlink()
    config = json.loads((clip / "tokenizer_config.json").read_text())
    (clip / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "CLIPTokenizer"}))
    with pytest.raises(InputError, match=r"vocab\.json"):
        hf_load.tokenizer(clip)


def test_weights_as_bin(clip: Path) -> None:
    model = hf_load.dual_encoder(clip)
    torch.save(model.state_dict(), clip / "pytorch_model.bin")
    digest = load(clip).weights_sha256
    (clip / "model.safetensors").unlink()
    assert load(clip).weights_sha256 == digest


def test_changed_weights_change_the_digest(clip: Path) -> None:
    digest = load(clip).weights_sha256
    model = hf_load.dual_encoder(clip)
    with torch.no_grad():
        model.visual_projection.weight[0, 0] += 1e-3
    model.save_pretrained(clip)
    assert load(clip).weights_sha256 != digest


def test_truncated_weights(clip: Path) -> None:
    path = clip / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="weights cannot be loaded"):
        load(clip)


def test_incomplete_weights_are_not_filled_with_random_ones(clip: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = clip / "model.safetensors"
    state = load_file(path)
    del state["visual_projection.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 tensors .*visual_projection.weight"):
        load(clip)


def test_missing_shard_is_named(clip: Path) -> None:
    (clip / "model.safetensors").rename(clip / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (clip / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"missing model-00002-of-00002\.safetensors"):
        load(clip)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}'])
def test_damaged_index(clip: Path, content: str) -> None:
    (clip / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError, match="not a weight index"):
        load(clip)


def test_index_that_points_outside(clip: Path) -> None:
    (clip / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(InputError, match="outside the folder"):
        load(clip)


@pytest.mark.parametrize("name", ["preprocessor_config.json", "tokenizer.json"])
def test_damaged_settings(clip: Path, name: str) -> None:
    (clip / name).write_text("{")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(clip)


def test_unknown_architecture(clip: Path) -> None:
    (clip / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(UnsupportedModelError, match="no-such-model"):
        load(clip)


def test_model_of_one_tower(clip: Path) -> None:
    library = hf_load.transformers()
    library.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1).save_pretrained(clip)
    with pytest.raises(UnsupportedModelError, match="BertModel has no get_image_features"):
        load(clip)


def test_naflex_is_refused_with_the_reason(clip: Path) -> None:
    library = hf_load.transformers()
    library.Siglip2Config().save_pretrained(clip)
    library.Siglip2ImageProcessorPil().save_pretrained(clip)
    with pytest.raises(UnsupportedModelError, match="NaFlex"):
        load(clip)


def test_naflex_model_is_refused_whatever_its_processor(clip: Path) -> None:
    hf_load.transformers().Siglip2Config().save_pretrained(clip)
    with pytest.raises(UnsupportedModelError, match=r"Siglip2Model.*NaFlex"):
        load(clip)


def test_code_in_a_checkpoint_is_not_run(clip: Path) -> None:
    config = json.loads((clip / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (clip / "config.json").write_text(json.dumps(config))
    marker = clip / "ran"
    (clip / "own.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    with pytest.raises((InputError, UnsupportedModelError)):
        load(clip)
    assert not marker.exists()


def test_tokenizer_option_replaces_the_checkpoints(
    clip: Path, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    expected = load(clip).text.reference(["a photo of a cat"])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (clip / name).rename(moved / name)
    found = hf.load(str(clip), SourceOptions(tokenizer=moved))
    assert np.array_equal(found.text.reference(["a photo of a cat"]), expected)


def test_tokenizer_option_of_another_kind(clip: Path) -> None:
    import open_clip

    vocabulary = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    with pytest.raises(InputError, match="Hugging Face format"):
        hf.load(str(clip), SourceOptions(tokenizer=vocabulary))


def test_tokenizer_without_padding(clip: Path) -> None:
    config = json.loads((clip / "tokenizer_config.json").read_text())
    config |= {"pad_token": None, "tokenizer_class": "PreTrainedTokenizerFast"}
    (clip / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="pad_token"):
        load(clip)


def test_license_of_the_card(clip: Path) -> None:
    (clip / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\nlicense: mit\n")
    assert load(clip).license == "Apache-2.0"


@pytest.mark.parametrize(
    ("card", "license_"),
    [
        ("---\nlicense: mit\n---\n", "MIT"),
        ('---\nlicense: "cc-by-4.0"\n---\n', "cc-by-4.0"),
        ("---\nlicense: other\n---\n", "unknown"),
        ("license: mit\n", "unknown"),
        ("---\ntags: [x]\n---\nlicense: mit\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_license_lines(tmp_path: Path, card: str, license_: str) -> None:
    (tmp_path / "README.md").write_text(card)
    assert hf_files.license_of(tmp_path) == license_


def test_hub_out_of_reach_names_what_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known\nmore")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        hf.load("nobody/nothing", SourceOptions())
    message = str(caught.value)
    for part in ("nobody/nothing", "Name or service not known", "config.json", "model.safetensors", "hf:FOLDER"):
        assert part in message
    assert "more" not in message


def test_cached_repository_serves_when_the_hub_does_not(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("offline")

    def cached(repo: str, *, local_files_only: bool = False) -> str:
        assert local_files_only
        return str(clip)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    found = hf_files.find("owner/some-clip", needs_tokenizer=True)
    assert found == hf_files.Checkpoint(clip, "some-clip", "unknown")


@pytest.mark.parametrize(
    ("listed", "pattern"), [("model.safetensors", "*.safetensors"), ("pytorch_model.bin", "*.bin")]
)
def test_one_weight_format_is_fetched(clip: Path, monkeypatch: pytest.MonkeyPatch, listed: str, pattern: str) -> None:
    import types

    import huggingface_hub

    asked: list[str] = []
    names = [types.SimpleNamespace(rfilename=name) for name in ("config.json", "pytorch_model.bin", listed)]

    def fetch(_: str, *, allow_patterns: list[str], etag_timeout: float) -> str:
        asked.extend(allow_patterns)
        return str(clip)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: types.SimpleNamespace(siblings=names))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert hf_files.find("owner/model", needs_tokenizer=True).name == "model"
    assert pattern in asked
    assert ("*.bin" in asked) != ("*.safetensors" in asked)


@pytest.mark.parametrize("spec", ["no such/folder/at all", "../nowhere/at/all", "a b"])
def test_neither_folder_nor_repository(spec: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        hf.load(spec, SourceOptions())


def test_file_instead_of_folder(clip: Path) -> None:
    with pytest.raises(InputError, match="is a file"):
        load(clip / "config.json")


def test_settings_of_transformers_are_put_back(clip: Path) -> None:
    logging = hf_load.transformers().utils.logging
    logging.set_verbosity_info()
    try:
        load(clip)
        assert logging.get_verbosity() == logging.INFO
        assert logging.is_progress_bar_enabled()
    finally:
        logging.set_verbosity_warning()


def test_loading_is_quiet(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(clip)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
