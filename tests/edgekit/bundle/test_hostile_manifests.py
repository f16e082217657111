"""Manifests that pass every rule and are still wrong for their models: loading may fail only with edgekit's errors."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.errors import EdgekitError
from edgekit.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

FILES = (
    *("card.md", "text/tokenizer.json", "golden/photo0.jpg", "golden/pixels0.png", "golden/image_embeddings.npy"),
    *("golden/text_embeddings.npy", "variants/fp32/image.onnx", "variants/fp32/image.onnx.data"),
    "variants/fp32/text.onnx",
)
TENSORS = [
    {"name": name, "dtype": dtype, "shape": shape}
    for name in ("pixels", "token_ids", "embedding")
    for dtype in ("float32", "uint8", "int32", "int64", "complex", "")
    for shape in (["n", 32, 32, 3], ["n", "l"], ["n", 16], [1, 16], [], ["n"])
]
CHANGES: dict[tuple[str | int, ...], st.SearchStrategy[Any]] = {
    ("embedding", "logit_scale"): st.sampled_from([1e-300, 1e300, 5]),
    ("embedding", "logit_bias"): st.sampled_from([-1e308, 1e308]),
    ("embedding", "scores"): st.sampled_from(["softmax", "sigmoid"]),
    ("image", "height"): st.sampled_from([1, 31, 33]),
    ("image", "width"): st.sampled_from([1, 31, 33]),
    ("image", "shortest_edge"): st.sampled_from([0, 1, 31, 64, 8192]),
    ("image", "resize_mode"): st.sampled_from(["shortest", "longest", "squash"]),
    ("image", "crop_rounding"): st.sampled_from(["half_even", "floor"]),
    ("image", "interpolation"): st.sampled_from(["nearest", "lanczos", "box", "hamming"]),
    ("text", "context_length"): st.sampled_from([6, 7, 9, 65536]),
    ("text", "pad_id"): st.sampled_from([1, 50, (1 << 31) - 1]),
    ("text", "cleaning"): st.sampled_from(["whitespace", "lower", "canonicalize", "siglip"]),
    ("text", "trim_padding"): st.booleans(),
    ("text", "templates"): st.sampled_from([[], ["{}", "{}"], ["{}\x00"]]),
    ("text", "tokenizer"): st.sampled_from(FILES),
    ("golden", "images", 0, "photo"): st.sampled_from(FILES),
    ("golden", "images", 0, "pixels"): st.sampled_from(FILES),
    ("golden", "image_embeddings"): st.sampled_from(FILES),
    ("golden", "text_embeddings"): st.sampled_from(FILES),
    ("golden", "texts", 0, "token_ids"): st.sampled_from([[], [0], [999], [(1 << 31) - 1] * 8]),
    ("golden", "texts", 0, "text"): st.text(max_size=3),
    ("variants", 0, "format"): st.sampled_from(["", "tflite", "ONNX"]),
    ("variants", 0, "image", "artifact"): st.sampled_from(FILES),
    ("variants", 0, "text", "artifact"): st.sampled_from(FILES),
    ("variants", 0, "image", "sidecars"): st.sampled_from([[], ["card.md"], ["variants/fp32/image.onnx"], [*FILES]]),
    ("variants", 0, "image", "input"): st.sampled_from(TENSORS),
    ("variants", 0, "text", "input"): st.sampled_from(TENSORS),
    ("variants", 0, "image", "output"): st.sampled_from(TENSORS),
    ("variants", 0, "text", "output"): st.sampled_from(TENSORS),
}


def _change(plain: Any, path: tuple[str | int, ...], value: Any) -> None:
    for key in path[:-1]:
        plain = plain[key]
    plain[path[-1]] = copy.deepcopy(value)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_loading_fails_only_with_edgekits_own_errors(tiny_bundle: Path, data: st.DataObject) -> None:
    paths = data.draw(st.lists(st.sampled_from(sorted(CHANGES, key=str)), min_size=1, max_size=2, unique=True))

    def edit(plain: Any) -> None:
        for path in paths:
            _change(plain, path, data.draw(CHANGES[path]))

    changed = tiny.edit_manifest(tiny_bundle, edit)
    for use in (_verify, _classify):
        try:
            use(changed)
        except EdgekitError as error:
            str(error).encode()


def _verify(data: bytes) -> None:
    verify(open_bundle(data))


def _classify(data: bytes) -> None:
    with edgekit.load(data, check="always") as clip:
        clip.classify(str(tiny.PHOTOS / "cat.jpg"), ["a cat", "a dog"])


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_every_kind_of_wrong_variant_is_refused_and_every_right_one_loads(kind: str, tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "one.edge", variants=(kind,))
    if kind in ("fp32", "static"):
        _classify(bundle.read_bytes())
    else:
        with pytest.raises(EdgekitError, match=f"{kind} on onnxruntime"):
            edgekit.load(bundle)
