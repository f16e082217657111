from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from edgekit.bundle.manifest import TextSpec
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import token_closure, token_table, vocabulary
from edgekit.errors import ConversionError, InputError, UnsupportedModelError
from edgekit.text import TextEncoder
from small_towers import DIMENSION, Graph, run

_CORPUS = [
    "a photo of a red bicycle leaning on the wall of a house",
    "two cats are sleeping on a wooden chair near the window",
    "the quick brown fox jumps over the lazy dog again and again",
    "a bowl of fresh fruit: bananas, oranges, apples and grapes",
    "children playing football in the park on a sunny afternoon",
    "ein Haus am See, früh morgens, mit Bäumen und Vögeln",
] * 4
_KEPT = ["a photo of a red cat", "two bananas on a chair", "früh morgens am See"]
_LENGTH = 24


def _finish(tokenizer, trainer, pad, ends):
    tokenizer.train_from_iterator(_CORPUS, trainer)
    first, last = ends
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ends],
    )
    tokenizer.enable_truncation(_LENGTH)
    tokenizer.enable_padding(length=_LENGTH, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
    return tokenizer.to_str().encode()


def _word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    return _finish(tokenizer, trainer, "[PAD]", ("[CLS]", "[SEP]"))


def _clip_bpe():
    """Byte-level BPE with a mark on the end of a word; padding is an ordinary token, the end the highest id."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=sorted(alphabet), end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    parsed = json.loads(tokenizer.to_str())
    for token in sorted(alphabet):
        parsed["model"]["vocab"].setdefault(f"{token}</w>", len(parsed["model"]["vocab"]))
    for token in ("<start>", "<end>"):
        parsed["model"]["vocab"][token] = len(parsed["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(parsed))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<start>", "<end>")],
    )
    tokenizer.enable_truncation(_LENGTH)
    tokenizer.enable_padding(length=_LENGTH, pad_id=0, pad_token=tokenizer.id_to_token(0))
    return tokenizer.to_str().encode()


def _unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    trainer = trainers.UnigramTrainer(vocab_size=220, special_tokens=special, unk_token="<unk>", show_progress=False)
    return _finish(tokenizer, trainer, "<pad>", ("<s>", "</s>"))


_TOKENIZERS = {"WordPiece": _word_piece, "BPE": _clip_bpe, "Unigram": _unigram}


def _spec(tokenizer):
    padding = json.loads(tokenizer)["padding"]
    return TextSpec("text/tokenizer.json", _LENGTH, padding["pad_id"], "none", True, ("{}",))


def _tower(size, pad_id, end=None):
    """Mean of the rows of what is not padding, plus the row of the highest id."""
    g = Graph(0)
    ids = g.op("wide", "Cast", "token_ids", to=TensorProto.INT64)
    rows = g.op("rows", "Gather", g.weight("table", size, 32), ids)
    is_pad = g.op("is_pad", "Equal", ids, g.const("pad", pad_id, np.int64))
    used = g.op("mask", "Cast", g.op("used", "Not", is_pad), to=TensorProto.FLOAT)
    mask = g.op("column", "Unsqueeze", used, g.const("last", [2], np.int64))
    total = g.op("total", "ReduceSum", g.op("kept", "Mul", rows, mask), g.const("middle", [1], np.int64), keepdims=0)
    highest = g.op("highest", "ArgMax", ids, axis=1, keepdims=1)
    at = g.op("at", "Unsqueeze", highest, "last")
    wide = g.op("spread", "Expand", at, g.const("shape", [1, 1, 32], np.int64))
    end = g.op("end", "Squeeze", g.op("picked", "GatherElements", rows, wide, axis=1), "middle")
    both = g.op("both", "Add", total, end)
    g.unit(g.op("project", "MatMul", both, g.weight("projection", 32, DIMENSION)))
    return g.model(helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"]))


@pytest.fixture(scope="module", params=_TOKENIZERS)
def made(request, tmp_path_factory):
    """A tokenizer, its settings, a tower on disk, and what pruning made of them."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = _TOKENIZERS[request.param]()
    size = len(json.loads(tokenizer)["model"]["vocab"])
    spec = _spec(tokenizer)
    store.save(_tower(size, spec.pad_id), folder / "text.onnx")
    pruned = vocabulary.prune(folder / "text.onnx", folder / "small.onnx", tokenizer, spec, _KEPT)
    return tokenizer, spec, folder, pruned


def test_embeddings_of_kept_texts_are_equal_to_the_bit(made):
    tokenizer, spec, folder, pruned = made
    before = run(folder / "text.onnx", TextEncoder(tokenizer, spec).encode(_KEPT))
    after = run(folder / "small.onnx", TextEncoder(pruned.tokenizer, pruned.spec).encode(_KEPT))
    np.testing.assert_array_equal(after, before)


def test_ids_are_renumbered_in_order(made):
    tokenizer, spec, _, pruned = made
    assert list(pruned.kept) == sorted(pruned.kept)
    old = TextEncoder(tokenizer, spec).encode(_KEPT)
    new = TextEncoder(pruned.tokenizer, pruned.spec).encode(_KEPT)
    np.testing.assert_array_equal(np.array(pruned.kept)[new], old)


def test_it_says_what_went(made):
    tokenizer, _, folder, pruned = made
    size = len(json.loads(tokenizer)["model"]["vocab"])
    assert pruned.tokens_before == size
    assert len(pruned.kept) == pruned.tokens_after < size
    assert pruned.bytes_before == size * 32 * 4
    assert pruned.bytes_after == pruned.tokens_after * 32 * 4
    assert f"dropped {size - pruned.tokens_after} of {size} tokens" in str(pruned)
    table = next(t for t in onnx.load(str(folder / "small.onnx")).graph.initializer if t.name.startswith("table"))
    assert tuple(table.dims) == (pruned.tokens_after, 32)
    vocabulary_left = Tokenizer.from_str(pruned.tokenizer.decode()).get_vocab()
    assert not set(pruned.examples) & set(vocabulary_left)
    assert sorted(vocabulary_left.values()) == list(range(pruned.tokens_after))


@settings(max_examples=40, deadline=None)
@given(text=st.text(alphabet="abcdefghijklmnopqrstuvwxyz äöü,.:", max_size=60))
def test_any_other_text_can_still_be_encoded(made, text):
    tokenizer, _, _, pruned = made
    old = Tokenizer.from_str(tokenizer.decode())
    new = Tokenizer.from_str(pruned.tokenizer.decode())
    old.no_truncation()
    new.no_truncation()
    unknown = {"[UNK]", "<unk>"}
    before = [token for token in old.encode(text).tokens if token in unknown]
    after = [token for token in new.encode(text).tokens if token in unknown]
    assert len(after) <= len(before)
    assert TextEncoder(pruned.tokenizer, pruned.spec).encode([text]).max() < pruned.tokens_after


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(" ".join(_CORPUS).split()), min_size=1, max_size=8), st.sampled_from(sorted(_TOKENIZERS))
)
def test_whatever_is_kept_stays_the_same(words, kind):
    tokenizer = _cached(kind)
    parsed = json.loads(tokenizer)
    text = " ".join(words)
    before = Tokenizer.from_str(tokenizer.decode()).encode(text)
    kept = vocabulary.kept_ids(parsed, set(before.ids))
    smaller = vocabulary.renumbered(parsed, {old: new for new, old in enumerate(kept)})
    after = Tokenizer.from_str(json.dumps(smaller)).encode(text)
    assert after.tokens == before.tokens
    assert [kept[i] for i in after.ids] == before.ids


_MADE: dict[str, bytes] = {}


def _cached(kind):
    if kind not in _MADE:
        _MADE[kind] = _TOKENIZERS[kind]()
    return _MADE[kind]


def test_parts_of_a_merged_token_are_kept():
    merges = [["a", "b"], ["c", "d"], ["ab", "cd"], ["x", "y"]]
    vocab = {token: i for i, token in enumerate(["a", "b", "c", "d", "x", "y", "ab", "cd", "abcd", "xy"])}
    model = {"type": "BPE", "vocab": vocab, "merges": merges}
    kept = token_closure.closure(model, ["abcd"])
    assert kept == {"a", "b", "c", "d", "x", "y", "ab", "cd", "abcd"}
    pruned = token_closure.pruned_model(model, kept, {vocab[token]: i for i, token in enumerate(sorted(kept))})
    assert pruned["merges"] == merges[:3]


def test_merges_may_be_written_as_text():
    vocab = {"a": 0, "b": 1, "ab": 2}
    model = {"type": "BPE", "vocab": vocab, "merges": ["a b"]}
    assert token_closure.closure(model, ["ab"]) == {"a", "b", "ab"}
    assert token_closure.pruned_model(model, {"a", "b"}, {0: 0, 1: 1})["merges"] == []


def test_byte_tokens_are_kept():
    vocab = {"<0x0A>": 0, "<0xFF>": 1, "<0xZZ>": 2, "word": 3, "w": 4}
    model = {"type": "BPE", "vocab": vocab, "merges": []}
    assert token_closure.closure(model, []) == {"<0x0A>", "<0xFF>", "w"}


def test_the_least_score_of_a_unigram_is_kept():
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["hello", -2.0], ["world", -9.0], ["x", -3.0]]}
    assert token_closure.closure(model, []) == {"<unk>", "world", "x"}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"type": "WordLevel", "vocab": {"a": 0}}, "'WordLevel' cannot be pruned"),
        ({"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}, "dropout"),
        (
            {"type": "BPE", "vocab": {"a": 0}, "merges": [], "continuing_subword_prefix": "##"},
            "continuing_subword_prefix",
        ),
    ],
    ids=["kind", "dropout", "prefix"],
)
def test_tokenizers_that_cannot_be_pruned_safely_are_refused(model, reason):
    with pytest.raises(UnsupportedModelError, match=reason):
        token_closure.closure(model, ["a"])


def test_an_unknown_post_processor_is_refused():
    parsed = json.loads(_cached("WordPiece"))
    parsed["post_processor"] = {"type": "Magic"}
    with pytest.raises(UnsupportedModelError, match="'Magic' cannot be renumbered"):
        vocabulary.kept_ids(parsed, {0})


def test_post_processors_of_pairs_are_renumbered():
    settings_ = {"type": "Sequence", "processors": [{"type": "BertProcessing", "sep": ["S", 3], "cls": ["C", 2]}]}
    found = vocabulary._processor(settings_, lambda i: i * 10)
    assert found["processors"][0] == {"type": "BertProcessing", "sep": ["S", 30], "cls": ["C", 20]}
    assert vocabulary._processor({"type": "ByteLevel"}, lambda i: i) == {"type": "ByteLevel"}


@pytest.mark.parametrize("content", [b"no json", b"[]", b"{}"])
def test_something_else_than_a_tokenizer_is_refused(content):
    with pytest.raises(UnsupportedModelError, match="not JSON of the tokenizers library"):
        vocabulary.parse(content)


def test_no_texts_and_one_path_are_refused(made):
    tokenizer, spec, folder, _ = made
    with pytest.raises(InputError, match="needs texts to keep"):
        vocabulary.prune(folder / "text.onnx", folder / "x.onnx", tokenizer, spec, [])
    with pytest.raises(InputError, match="would replace the float graph"):
        vocabulary.prune(folder / "text.onnx", folder / "text.onnx", tokenizer, spec, _KEPT)


def test_a_tokenizer_that_changes_is_refused(monkeypatch, made, tmp_path):
    tokenizer, spec, folder, _ = made
    encoded = Tokenizer.from_str(tokenizer.decode()).encode(_KEPT[0]).tokens
    used = max((token for token in encoded if not token.startswith(("[", "<"))), key=len)
    broken = vocabulary.renumbered

    def without(parsed, new_ids):
        smaller = broken(parsed, new_ids)
        vocab = smaller["model"]["vocab"]
        if isinstance(vocab, dict):
            vocab[f"{used}-renamed"] = vocab.pop(used)
            smaller["model"]["merges"] = [m for m in smaller["model"].get("merges", []) if "".join(m) != used]
        else:
            smaller["model"]["vocab"] = [[f"{t}-renamed" if t == used else t, score] for t, score in vocab]
        return smaller

    monkeypatch.setattr(vocabulary, "renumbered", without)
    with pytest.raises(ConversionError, match="gives other tokens for"):
        vocabulary.prune(folder / "text.onnx", tmp_path / "x.onnx", tokenizer, spec, _KEPT)


def test_a_graph_that_computes_with_ids_is_refused():
    model = _tower(50, 0)
    for node in model.graph.node:
        if node.name == "is_pad":
            node.op_type = "Less"
    with pytest.raises(UnsupportedModelError, match=r"node 'is_pad' \(Less\) computes with token ids"):
        token_table.compared_ids(model)


def test_ids_that_the_graph_compares_with_stay_and_are_renumbered():
    model = _tower(50, 7)
    assert token_table.compared_ids(model) == {7}
    token_table.cut_rows(model, np.array([3, 7, 9]), {3: 0, 7: 1, 9: 2})
    equal = next(node for node in model.graph.node if node.op_type == "Equal")
    constant = next(t for t in model.graph.initializer if t.name == equal.input[1])
    assert numpy_helper.to_array(constant) == 1


def test_a_table_shorter_than_the_vocabulary_is_refused():
    with pytest.raises(UnsupportedModelError, match="has 50 rows, the tokenizer ids to 60"):
        token_table.cut_rows(_tower(50, 0), np.array([0, 60]), {0: 0, 60: 1})


def test_a_tower_without_a_table_is_refused():
    x = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"])
    y = helper.make_tensor_value_info("embedding", TensorProto.INT64, [2])
    nodes = [helper.make_node("Shape", ["token_ids"], ["embedding"])]
    model = helper.make_model(helper.make_graph(nodes, "none", [x], [y]), opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(UnsupportedModelError, match="looks up no stored table"):
        token_table.cut_rows(model, np.array([0]), {0: 0})


def test_the_starters_own_tokenizer_can_be_pruned():
    """A real vocabulary of thousands of word pieces, with the labels of a small application."""
    path = Path(__file__).parents[4] / "samples" / "starter.edge"
    with zipfile.ZipFile(path) as archive:
        tokenizer = archive.read("text/tokenizer.json")
        text = json.loads(archive.read("manifest.json"))["text"]
    spec = TextSpec(**{**text, "templates": tuple(text["templates"])})
    labels = ["a photo of a tabby cat", "a motorcycle", "an espresso", "Ein Zebra überquert 3 Straßen", "日本"]
    parsed = json.loads(tokenizer)
    before = TextEncoder(tokenizer, spec).encode(labels)
    kept = vocabulary.kept_ids(parsed, {int(i) for i in np.unique(before)})
    new_ids = {old: new for new, old in enumerate(kept)}
    smaller = json.dumps(vocabulary.renumbered(parsed, new_ids)).encode()
    after = TextEncoder(smaller, replace(spec, pad_id=new_ids[spec.pad_id])).encode(labels)
    np.testing.assert_array_equal(np.array(kept)[after], before)
    assert len(kept) < 2200
    assert len(smaller) < 0.15 * len(tokenizer)
