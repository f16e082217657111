"""Where token ids go in a graph and in a tokenizer, when some of them are left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from edgekit.bundle.manifest import TextSpec
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import token_closure, token_table, vocabulary
from edgekit.errors import UnsupportedModelError
from small_towers import run

EXAMPLES = settings(max_examples=20, deadline=None, derandomize=True)
SIZE = 12


def tower(*nodes, constants=None, tables=1):
    """Ids (N, 3) to the sum of their rows; `nodes` are placed before the look-ups, which read ``ids``."""
    stored = {f"table{i}": np.arange(SIZE * 4, dtype=np.float32).reshape(SIZE, 4) + i for i in range(tables)}
    stored |= constants or {}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    source = "ids" if nodes else "token_ids"
    rest = [helper.make_node("Gather", [f"table{i}", source], [f"rows{i}"], name=f"look{i}") for i in range(tables)]
    rest.append(helper.make_node("Sum", [f"rows{i}" for i in range(tables)], ["all"], name="sum"))
    rest.append(helper.make_node("ReduceSum", ["all"], ["embedding"], name="total", keepdims=0))
    x = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", 3])
    y = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [])
    graph = helper.make_graph([*nodes, *rest], "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op, *inputs, out="ids", **attributes):
    return helper.make_node(op, list(inputs), [out], name=f"/{op}", **attributes)


PLAIN = {
    "cast": (node("Cast", "token_ids", to=TensorProto.INT64), {}),
    "slice": (node("Slice", "token_ids", "a", "b", "one"), {"a": [0], "b": [2], "one": [1]}),
    "reshape": (node("Reshape", "token_ids", "flat"), {"flat": [-1]}),
    "unsqueeze": (node("Unsqueeze", "token_ids", "one"), {"one": [1]}),
    "first": (node("Gather", "token_ids", "zero", axis=1), {"zero": 0}),
}


@pytest.mark.parametrize(("before", "constants"), PLAIN.values(), ids=PLAIN.keys())
@EXAMPLES
@given(kept=st.sets(st.integers(0, SIZE - 1), min_size=1), seed=st.integers(0, 9))
def test_ids_are_followed_through_what_only_moves_them(before, constants, kept, seed):
    """Whatever is kept, the rows of kept ids stay the same to the bit."""
    constants = {name: np.array(value, np.int64) for name, value in constants.items()}
    old = np.random.default_rng(seed).choice(sorted(kept), (2, 3)).astype(np.int32)
    model = tower(before, constants=constants)
    expected = run(model, old)
    new_ids = {i: n for n, i in enumerate(sorted(kept))}
    assert token_table.cut_rows(model, np.array(sorted(kept)), new_ids) == (SIZE * 16, len(kept) * 16)
    new = np.vectorize(new_ids.__getitem__, otypes=[np.int32])(old)
    np.testing.assert_array_equal(run(model, new), expected)


def test_each_table_is_cut_once_however_often_it_is_read():
    model = tower(tables=2)
    model.graph.node[1].input[0] = "table0"
    assert token_table.cut_rows(model, np.array([1, 4]), {1: 0, 4: 1}) == (SIZE * 16, 32)
    assert [tuple(t.dims) for t in model.graph.initializer] == [(2, 4)]
    model = tower(tables=3)
    assert token_table.cut_rows(model, np.array([1, 4]), {1: 0, 4: 1}) == (3 * SIZE * 16, 3 * 32)


@pytest.mark.parametrize("order", [("token_ids", "pad"), ("pad", "token_ids")], ids=["right", "left"])
def test_ids_in_comparisons_are_renumbered_on_either_side(order):
    compare = node("Equal", *order, out="is pad")
    masked = [
        compare,
        node("Cast", "is pad", out="flat", to=TensorProto.FLOAT),
        node("Identity", "token_ids"),
    ]
    model = tower(*masked, constants={"pad": np.array([3, 5], np.int32).reshape(2, 1, 1)})
    assert token_table.compared_ids(model) == {3, 5}
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, None))
    token_table.cut_rows(model, np.array([3, 5, 9]), {3: 0, 5: 1, 9: 2})
    equal = next(one for one in model.graph.node if one.op_type == "Equal")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (changed,) = [stored[name] for name in equal.input if name in stored]
    assert (changed.dtype, changed.tolist()) == (np.int32, [[[0]], [[1]]])


def test_a_comparison_with_what_is_no_token_is_refused():
    """Left as it is, the number could become a token's new id."""
    compared = node("Equal", "token_ids", "odd", out="is odd")
    model = tower(compared, node("Identity", "token_ids"), constants={"odd": np.array([3, -100], np.int32)})
    with pytest.raises(UnsupportedModelError, match=r"'/Equal' compares token ids with -100, which is no token"):
        token_table.cut_rows(model, np.array([3, 5]), {3: 0, 5: 1})


REFUSED = {
    "added": (node("Add", "token_ids", "c"), r"'/Add' \(Add\)"),
    "two ids": (node("Equal", "token_ids", "token_ids", out="z"), r"'/Equal' \(Equal\)"),
    "as an index": (node("Gather", "c", "token_ids", axis=1), "along another axis than the first"),
    "joined": (node("Concat", "token_ids", "c", axis=1), r"'/Concat' \(Concat\)"),
    "moved by ids": (node("Gather", "token_ids", "token_ids", axis=1), r"'/Gather' \(Gather\)"),
}


@pytest.mark.parametrize(("before", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_whatever_computes_with_ids_is_refused_by_name(before, words):
    model = tower(before, constants={"c": np.ones((2, 3), np.int32)})
    with pytest.raises(UnsupportedModelError, match=words):
        token_table.compared_ids(model)
    with pytest.raises(UnsupportedModelError, match=words):
        token_table.cut_rows(model, np.array([0]), {0: 0})


def test_the_place_of_the_largest_id_is_no_id():
    model = tower(node("ArgMax", "token_ids", out="where", axis=1), node("Identity", "token_ids"))
    assert token_table.compared_ids(model) == set()


VOCAB = ["a", "b", "c", "ab", "bc", "abc", "cab", "<pad>"]
MERGES = [["a", "b"], ["b", "c"], ["ab", "c"], ["c", "ab"]]


def bpe(**model):
    vocab = {token: i for i, token in enumerate(VOCAB)}
    special = {"id": 7, "content": "<pad>", "single_word": False, "lstrip": False, "rstrip": False,
               "normalized": False, "special": True}  # fmt: skip
    settings_ = {
        "strategy": {"Fixed": 3},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 7,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": settings_,
        "added_tokens": [special],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": vocab, "merges": MERGES, **model},
    }


@EXAMPLES
@given(st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=4))
def test_merges_between_kept_tokens_give_kept_texts_as_before(texts):
    parsed = bpe()
    parsed["truncation"] = parsed["padding"] = None
    before = Tokenizer.from_str(json.dumps(parsed))
    old = [before.encode(text) for text in texts]
    kept = vocabulary.kept_ids(parsed, {i for one in old for i in one.ids})
    smaller = vocabulary.renumbered(parsed, {i: n for n, i in enumerate(kept)})
    after = Tokenizer.from_str(json.dumps(smaller))
    assert [after.encode(text).tokens for text in texts] == [one.tokens for one in old]
    assert {"a", "b", "c", "<pad>"} <= set(after.get_vocab())
    assert sorted(after.get_vocab().values()) == list(range(len(kept)))


def test_a_whole_pruning_of_a_graph_and_its_tokenizer(tmp_path):
    store.save(tower(), tmp_path / "text.onnx")
    spec = TextSpec("text/tokenizer.json", 3, 7, "none", True, ("{}",))
    found = vocabulary.prune(tmp_path / "text.onnx", tmp_path / "small.onnx", json.dumps(bpe()).encode(), spec, ["abc"])
    assert found.kept == (0, 1, 2, 3, 5, 7)
    assert (found.tokens_before, found.tokens_after, found.spec.pad_id) == (8, 6, 5)
    assert found.examples == ("bc", "cab")
    before, after = np.array([[5, 7, 7]], np.int32), np.array([[4, 5, 5]], np.int32)
    np.testing.assert_array_equal(run(tmp_path / "small.onnx", after), run(tmp_path / "text.onnx", before))


def test_padding_with_what_is_no_token_is_refused(tmp_path):
    store.save(tower(), tmp_path / "text.onnx")
    parsed = bpe()
    parsed["padding"]["pad_id"] = 9
    spec = TextSpec("text/tokenizer.json", 3, 9, "none", True, ("{}",))
    with pytest.raises(UnsupportedModelError, match="the padding id 9 is no token"):
        vocabulary.prune(tmp_path / "text.onnx", tmp_path / "s.onnx", json.dumps(parsed).encode(), spec, ["abc"])
    assert not (tmp_path / "s.onnx").exists()


def test_two_tokens_with_one_id_are_refused():
    parsed = bpe()
    parsed["model"]["vocab"]["other"] = 0
    with pytest.raises(UnsupportedModelError, match="two tokens have one id"):
        vocabulary.kept_ids(parsed, {0})


def test_a_summary_without_a_table_is_no_division_by_zero():
    spec = TextSpec("text/tokenizer.json", 3, 0, "none", True, ("{}",))
    text = str(vocabulary.Pruned(b"", spec, (0,), 4, 1, 0, 0, ()))
    assert text.startswith("dropped 3 of 4 tokens, 0.0 of 0.0 MB of the token table (0%)")


@pytest.mark.parametrize(
    ("token", "kept"),
    [("x", True), ("##x", True), ("x</w>", True), ("<0x1F>", True), ("<0x1f>", False), ("xy", False), ("##", False)],
)
def test_tokens_of_one_character_are_what_anything_can_be_written_in(token, kept):
    model = {"type": "WordPiece", "vocab": {token: 0}, "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"}
    assert (token_closure.closure(model, []) == {token}) == kept


def test_the_unknown_token_stays():
    vocab = {"[UNK]": 0, "word": 1}
    assert token_closure.closure({"type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]"}, []) == {"[UNK]"}


def test_ends_of_words_are_parts_of_their_own():
    vocab = {token: i for i, token in enumerate(["c", "a", "t</w>", "at</w>", "cat</w>", "t", "dog</w>"])}
    model = {"type": "BPE", "vocab": vocab, "merges": ["a t</w>", "c at</w>"], "end_of_word_suffix": "</w>"}
    assert token_closure.closure(model, ["cat</w>"]) == {"c", "a", "t</w>", "at</w>", "cat</w>", "t"}


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
def test_processors_of_either_kind_are_renumbered_within_a_sequence(kind):
    given_ = {
        "type": "Sequence",
        "processors": [{"type": "ByteLevel"}, {"type": kind, "sep": ["s", 2], "cls": ["c", 1]}],
    }
    found = vocabulary._processor(given_, {1: 0, 2: 1}.__getitem__)
    assert found["processors"] == [{"type": "ByteLevel"}, {"type": kind, "sep": ["s", 1], "cls": ["c", 0]}]
    assert given_["processors"][1]["sep"] == ["s", 2]
