"""What a user may type, and what is said when it cannot be had."""

from __future__ import annotations

import http.server
import json
import re
import threading

import pytest
import transformers
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import open_clip_hub
from edgekit.converters.sources.open_clip import load
from edgekit.converters.sources.open_clip_request import parse
from edgekit.converters.torch_compat import prepare
from edgekit.errors import ConversionError, EdgekitError, InputError, MissingDependencyError, UnsupportedModelError
from tiny_open_clip import CONFIG

NO_OPTIONS = SourceOptions()


@pytest.fixture(scope="module", autouse=True)
def prepared():
    prepare()


@pytest.fixture
def no_hub(monkeypatch):
    asked = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # other tests, or the user, may have set it
    monkeypatch.setattr(open_clip_hub, "reachable", lambda url: bool(asked.append(url)))
    return asked


def test_a_name_alone_means_random_weights():
    request = parse("ViT-B-32")
    assert (request.model, request.tag, request.file) == ("ViT-B-32", "", None)
    assert request.is_random
    assert request.config["embed_dim"] == 512


def test_a_tag():
    request = parse("ViT-B-32:laion2b_s34b_b79k")
    assert request.tag == "laion2b_s34b_b79k"
    assert not request.is_random
    assert open_clip_hub.wanted_file(request.tag_config).startswith("laion/CLIP-ViT-B-32-laion2B-s34B-b79K/")


def test_tags_are_spelled_as_open_clip_allows():
    assert parse("ViT-B-32:LAION2B-S34B-B79K").tag_config == parse("ViT-B-32:laion2b_s34b_b79k").tag_config


def test_a_file(tmp_path):
    file = tmp_path / "with:colon.pt"
    file.write_bytes(b"weights")
    assert parse(f"ViT-B-32:{file}").file == file


def test_a_configuration_file_takes_a_name(write_config):
    path = write_config("request-own", CONFIG)
    request = parse(str(path))
    assert request.model == "request-own"
    assert request.config == CONFIG
    other = {**CONFIG, "embed_dim": 24}
    path.write_text(json.dumps(other))
    assert parse(str(path)).config == other


def test_a_repository():
    request = parse("hf-hub:someone/model")
    assert request.model == "hf-hub:someone/model"
    assert not request.is_random


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "write open_clip:NAME"),
        (":openai", "write open_clip:NAME"),
        ("ViT-B-32:", "write open_clip:NAME"),
        ("ViT-B-33", "no model 'ViT-B-33' .*ViT-B-32"),
        ("ViT-B-32:no_such_tag", "'no_such_tag' is neither.*laion2b_s34b_b79k.*nor a local file"),
        ("ViT-S-16:any", "no weights for ViT-S-16"),
        ("ViT-B-32:weights.pt", "weights.pt: no such weight file"),
        ("ViT-B-32:folder/weights", "folder/weights: no such weight file"),
        ("ViT-B-32:openai", "QuickGELU.*open_clip:ViT-B-32-quickgelu:openai"),
        ("no/such.json", "no/such.json: no such configuration"),
        ("hf-hub:a/b:file.pt", "nothing may follow"),
        ("local-dir:/no/such/folder", "no such folder"),
    ],
)
def test_wrong_requests(spec, message):
    with pytest.raises(InputError, match=message):
        parse(spec)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable as JSON"),
        ("[]", "a JSON object"),
        ('{"embed_dim": 3}', "lacks vision_cfg, text_cfg"),
        ('{"model_cfg": {}}', "give local-dir:"),
        (b"\xff\xfe", "not readable as JSON"),
    ],
)
def test_wrong_configurations(content, message, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        parse(str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": "512"}, "embed_dim is '512', a positive integer"),
        ({"embed_dim": 0}, "embed_dim is 0, a positive integer"),
        ({"vision_cfg": []}, r"vision_cfg is \[\], an object"),
        ({"text_cfg": None}, "text_cfg is None, an object"),
        ({"text_cfg": "bert"}, "text_cfg is 'bert', an object"),
        ({"text_cfg": {"context_length": "77"}}, "context_length is '77', an integer of at least 2"),
        ({"text_cfg": {"context_length": 1}}, "context_length is 1, an integer of at least 2"),
        ({"text_cfg": {"tokenizer_kwargs": ["clean"]}}, r"tokenizer_kwargs is \['clean'\], an object"),
        ({"text_cfg": {"hf_model_name": 5}}, "hf_model_name is 5, the name of a repository or a folder"),
        ({"text_cfg": {"hf_tokenizer_name": ["a"]}}, r"hf_tokenizer_name is \['a'\], the name"),
    ],
)
@pytest.mark.parametrize("home", ["own.json", "open_clip_config.json"])
def test_a_field_of_the_wrong_kind_is_told_with_its_file(changes, message, home, tmp_path):
    """Of a configuration file and of a checkpoint folder alike, and before any model is built."""
    path, config = tmp_path / home, {**CONFIG, **changes}
    path.write_text(json.dumps(config if home == "own.json" else {"model_cfg": config}))
    (tmp_path / "open_clip_model.safetensors").touch()
    with pytest.raises(InputError, match=rf"{home}: {message}"):
        parse(str(path) if home == "own.json" else f"local-dir:{tmp_path}")


@pytest.mark.parametrize("preprocess", [[], "bicubic", 3])
def test_a_folders_preprocessing_is_an_object(preprocess, tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    (tmp_path / "open_clip_model.safetensors").touch()
    with pytest.raises(InputError, match=r"open_clip_config\.json: preprocess_cfg is .*, an object was expected"):
        parse(f"local-dir:{tmp_path}")


def test_wrong_weight_file_types_and_folders(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"read from .*\.safetensors"):
        parse(f"ViT-B-32:{tmp_path / 'weights.onnx'}")
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {"embed_dim": 1}}')
    with pytest.raises(InputError, match="'model_cfg' needs"):
        parse(f"local-dir:{tmp_path}")


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("ViT-B32:/.jsonhf\\ é\0"), max_size=20))
def test_any_text_gives_a_request_or_an_error_of_ours(spec):
    try:
        assert parse(spec).model
    except EdgekitError as error:
        assert str(error)


def test_a_tag_without_hub_names_the_file(no_hub):
    with pytest.raises(ConversionError, match=r"timm/vit_base.*open_clip_model\.safetensors.*quickgelu:/path/to/file"):
        load("ViT-B-32-quickgelu:openai", NO_OPTIONS)
    assert len(no_hub) == 1


def test_a_tokenizer_without_hub_names_the_option(no_hub):
    with pytest.raises(ConversionError, match=r"timm/ViT-B-16-SigLIP\..*--tokenizer FOLDER"):
        load("ViT-B-16-SigLIP", NO_OPTIONS)


def test_a_repository_without_hub_names_its_files(no_hub):
    with pytest.raises(ConversionError, match=r"someone/model.*local-dir:FOLDER"):
        load("hf-hub:someone/model", NO_OPTIONS)
    with pytest.raises(ConversionError, match=r"someone/model/open_clip_config\.json.*local-dir:FOLDER"):
        load("hf-hub:someone/model", SourceOptions(tokenizer=no_such_path()))


def test_a_text_configuration_without_hub_is_named(no_hub, tokenizer_folder, write_config):
    text = {"hf_model_name": "someone/text", "hf_tokenizer_name": str(tokenizer_folder), "context_length": 12}
    path = write_config("request-text", {**CONFIG, "text_cfg": text})
    with pytest.raises(ConversionError, match=r"someone/text/config\.json.*hf_model_name"):
        load(str(path), NO_OPTIONS)


def test_local_work_asks_no_hub(no_hub, write_config):
    source = load(str(write_config("request-local", CONFIG)), NO_OPTIONS)
    assert source.text.context_length == 12
    assert no_hub == []


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, "cat": 3, "Cat": 4, "dog": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    folder = tmp_path_factory.mktemp("words")
    fast.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("clean", "expected"), [("whitespace", 4), ("lower", 3), (None, 4)])
def test_a_given_tokenizer_keeps_the_models_cleaning(clean, expected, tokenizer_folder, write_config, no_hub):
    settings = {} if clean is None else {"tokenizer_kwargs": {"clean": clean}}
    text = {**CONFIG["text_cfg"], "hf_tokenizer_name": "someone/words", **settings}
    path = write_config(f"request-clean-{clean}", {**CONFIG, "text_cfg": text})
    source = load(str(path), SourceOptions(tokenizer=tokenizer_folder))
    assert source.text.cleaning == (clean or "whitespace")
    assert source.text.context_length == 12
    assert source.text.reference(["Cat  dog"])[0, :3].tolist() == [expected, 5, 0]
    assert no_hub == []


def test_a_given_vocabulary_of_open_clip(write_config):
    from open_clip.tokenizer import default_bpe

    path = write_config("request-bpe", CONFIG)
    given_file = load(str(path), SourceOptions(tokenizer=open_path(default_bpe())))
    own = load(str(path), NO_OPTIONS)
    texts = ["A Cat", "a cat"]
    assert given_file.text.reference(texts).tolist() == own.text.reference(texts).tolist()
    hugging_face = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "hf_tokenizer_name": "someone/words"}}
    with pytest.raises(InputError, match="does not use it"):
        load(str(write_config("request-bpe-hf", hugging_face)), SourceOptions(tokenizer=open_path(default_bpe())))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer_kwargs": {"language": "deu_Latn"}}, "tokenizer_kwargs language"),
        ({"tokenizer_mode": "clips"}, "tokenizer_mode 'clips'"),
        ({"tokenizer_kwargs": {"clean": "none"}}, "text cleaning 'none'"),
    ],
)
def test_settings_that_a_given_tokenizer_cannot_keep(settings, message, tokenizer_folder, write_config):
    text = {**CONFIG["text_cfg"], "hf_tokenizer_name": "someone/words", **settings}
    path = write_config(f"request-{re.sub('[^a-z]', '', message)}", {**CONFIG, "text_cfg": text})
    with pytest.raises(UnsupportedModelError, match=message):
        load(str(path), SourceOptions(tokenizer=tokenizer_folder))


def test_a_tokenizer_folder_that_is_broken(write_config, tmp_path):
    (tmp_path / "broken").mkdir()
    text = {**CONFIG["text_cfg"], "hf_tokenizer_name": str(tmp_path / "broken")}
    path = write_config("request-broken", {**CONFIG, "text_cfg": text})
    with pytest.raises(UnsupportedModelError, match="cannot build the tokenizer"):
        load(str(path), NO_OPTIONS)
    with pytest.raises(InputError, match="broken"):
        load(str(path), SourceOptions(tokenizer=tmp_path / "broken"))


def test_without_open_clip_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingDependencyError, match=r"edgekit\[convert\]"):
        load("ViT-B-32", NO_OPTIONS)


def test_a_server_that_answers_is_reachable():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        assert open_clip_hub.reachable(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not open_clip_hub.reachable(f"http://127.0.0.1:{server.server_port}/closed")


def test_the_hubs_setting_comes_back(no_hub):
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    with open_clip_hub.fast_hub(True):
        assert constants.HF_HUB_OFFLINE
    assert before == constants.HF_HUB_OFFLINE
    with open_clip_hub.fast_hub(False):
        assert before == constants.HF_HUB_OFFLINE


def test_quiet_leaves_logging_as_it_was(capfd):
    import logging
    import warnings

    handlers = logging.getLogger().handlers[:]
    with open_clip_hub.quiet():
        logging.error("noise")
        warnings.warn("noise", UserWarning, stacklevel=1)
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().manager.disable == 0
    assert "noise" not in capfd.readouterr().err


def test_wanted_file_of_a_plain_address():
    assert open_clip_hub.wanted_file({"url": "https://example.org/w.pt"}) == "https://example.org/w.pt"
    assert open_clip_hub.wanted_file({"hf_hub": "a/b/w.bin", "url": "x"}) == "a/b/w.bin"


def no_such_path():
    return open_path("/no/such/tokenizer")


def open_path(text):
    from pathlib import Path

    return Path(text)
