"""What must hold between the manifest's fields: each rule broken on purpose, then everything broken at random."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_bundle as tiny
from edgekit.bundle import schema
from edgekit.bundle.manifest import SCHEMA_VERSION, Manifest
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.rules import check_manifest
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

Path_ = tuple["str | int", ...]


@pytest.fixture(scope="module")
def plain(tiny_bundle: Path) -> Any:
    """The tiny bundle's manifest as JSON gives it; copy it before changing it."""
    return json.loads(tiny.contents(tiny_bundle)["manifest.json"])


def _set(plain: Any, path: Path_, value: Any) -> Any:
    changed = target = copy.deepcopy(plain)
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


def _check(plain: Any) -> None:
    check_manifest(schema.loads(Manifest, json.dumps(plain), "manifest.json"), "manifest.json")


def test_the_unchanged_manifest_is_right(plain: Any) -> None:
    _check(plain)


IMAGE, TEXT = ("variants", 0, "image"), ("variants", 0, "text")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), 0, "schema_version: 0 is not a version"),
        (("schema_version",), -1, "schema_version: -1 is not a version"),
        (("name",), "", "name: is empty"),
        (("name",), "a\nb", "name: holds a control character"),
        (("license",), "MIT\x1b[2J", "license: holds a control character"),
        (("version",), "1\r", "version: holds a control character"),
        (("files", 0, "size"), -1, r"files\[0\]: card.md: the size or the SHA-256 is malformed"),
        (("files", 0, "sha256"), "0" * 63, "SHA-256 is malformed"),
        (("files", 0, "sha256"), "A" * 64, "SHA-256 is malformed"),
        (("files", 0, "sha256"), "g" * 64, "SHA-256 is malformed"),
        (("files", 0, "sha256"), "0" * 64 + "\n", "SHA-256 is malformed"),
        (("files", 0, "path"), "../x", "'../x' is not a plain relative path"),
        (("files", 0, "path"), "/etc/passwd", "is not a plain relative path"),
        (("files", 0, "path"), "manifest.json", "'manifest.json' stands in it twice"),
        (("files", 0, "path"), "MANIFEST.json", "'MANIFEST.json' stands in it twice"),
        (("files", 1, "path"), "card.md", "'card.md' stands in it twice"),
        (("embedding", "dimension"), 0, "embedding.dimension: 0 is not in 1..65536"),
        (("embedding", "dimension"), 1 << 40, "embedding.dimension: 1099511627776 is not in"),
        (("embedding", "dimension"), 17, r"image.output.shape: \('batch', 16\) does not end in .* dimension 17"),
        (("embedding", "logit_scale"), 0, "embedding.logit_scale: 0.0 is not positive"),
        (("embedding", "logit_scale"), -1.5, "embedding.logit_scale: -1.5 is not positive"),
        (("embedding", "space"), "", "embedding.space: is empty"),
        (("image", "height"), 0, "image.height: 0 is not in 1..8192"),
        (("image", "width"), 8193, "image.width: 8193 is not in 1..8192"),
        (("image", "shortest_edge"), -1, "image.shortest_edge: -1 is not in 0..8192"),
        (("image", "fill"), [0, 256, 0], r"image.fill: \(0, 256, 0\) is not in 0..255"),
        (("image", "fill"), [-1, 0, 0], "image.fill"),
        (("image", "std"), [0.1, 0.0, 0.1], "image.std: .* is not positive"),
        (("text", "context_length"), 0, "text.context_length: 0 is not in 1..65536"),
        (("text", "context_length"), 65537, "text.context_length: 65537 is not in"),
        (("text", "pad_id"), -1, "text.pad_id: -1 is not in 0..2147483647"),
        (("text", "pad_id"), 1 << 31, "text.pad_id: 2147483648 is not in"),
        (("text", "templates"), ["{}", "a photo"], r"text.templates\[1\]: 'a photo' has not exactly one '{}'"),
        (("text", "templates"), ["{} {}"], r"text.templates\[0\]"),
        (("text", "tokenizer"), "text/other.json", "text.tokenizer: 'text/other.json' is not among the bundle's files"),
        (("text", "tokenizer"), "manifest.json", "'manifest.json' is not among the bundle's files"),
        (("variants",), [], "variants: is empty"),
        (("variants", 0, "id"), "", r"variants\[0\].id: is empty"),
        (("variants", 0, "id"), "a\tb", r"variants\[0\].id: .*control character"),
        ((*IMAGE, "artifact"), "x.onnx", r"variants\[0\].image.artifact: 'x.onnx' is not among"),
        ((*TEXT, "artifact"), "../x.onnx", r"variants\[0\].text.artifact: '../x.onnx' is not among"),
        ((*IMAGE, "sidecars"), ["x.data"], r"variants\[0\].image.sidecars: 'x.data' is not among"),
        ((*IMAGE, "sidecars"), ["a/x.data", "b/x.data"], "two files have the same base name"),
        ((*IMAGE, "input", "name"), "", r"variants\[0\].image.input: has no name"),
        ((*IMAGE, "input", "shape"), [0, 32, 32, 3], r"variants\[0\].image.input: .*not positive"),
        ((*TEXT, "output", "shape"), [-1, 16], r"variants\[0\].text.output: .*not positive"),
        ((*TEXT, "output", "shape"), [16], r"variants\[0\].text.output.shape"),
        ((*TEXT, "output", "shape"), ["batch", "dimension"], r"variants\[0\].text.output.shape"),
        ((*IMAGE, "tolerance", "cosine_min"), 1.001, r"variants\[0\].image.tolerance.cosine_min: is not in -1..1"),
        ((*TEXT, "tolerance", "centred_min"), -1.001, r"variants\[0\].text.tolerance.centred_min: is not in -1..1"),
        (("golden", "images"), [], "golden: a bundle needs at least one golden photo"),
        (("golden", "texts"), [], "golden: a bundle needs at least one golden photo and one golden text"),
        (("golden", "texts", 0, "token_ids"), [1] * 9, r"golden.texts\[0\].token_ids: more than context_length"),
        (("golden", "texts", 1, "token_ids"), [-1], r"golden.texts\[1\].token_ids"),
        (("golden", "texts", 1, "token_ids"), [1 << 31], r"golden.texts\[1\].token_ids"),
        (("golden", "images", 0, "photo"), "x.jpg", r"golden.images\[0\].photo: 'x.jpg' is not among"),
        (("golden", "images", 1, "pixels"), "x.png", r"golden.images\[1\].pixels: 'x.png' is not among"),
        (("golden", "image_embeddings"), "x.npy", "golden.image_embeddings: 'x.npy' is not among"),
        (("golden", "text_embeddings"), "x.npy", "golden.text_embeddings: 'x.npy' is not among"),
        (("provenance",), [], "provenance: is empty"),
        (("provenance", 0, "action"), "other", r"provenance: step 0 \(other\) was altered"),
        (("provenance", 0, "previous"), "0" * 64, "provenance: step 0 .* does not follow"),
    ],
)
def test_each_rule(plain: Any, path: Path_, value: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        _check(_set(plain, path, value))
    assert str(caught.value).startswith("manifest.json")


def test_two_variants_of_one_id(plain: Any) -> None:
    with pytest.raises(BundleError, match="two variants have the same id"):
        _check(_set(plain, ("variants",), plain["variants"] * 2))


def test_a_newer_schema_asks_for_a_newer_edgekit(tiny_bundle: Path) -> None:
    """Even where it has fields of which nothing is known here."""

    def edit(plain: Any) -> None:
        plain.update(schema_version=SCHEMA_VERSION + 1, fields_of_the_future={})
        del plain["files"]

    with pytest.raises(BundleError, match=r"schema_version is 2, this edgekit reads up to 1; upgrade edgekit"):
        open_bundle(tiny.edit_manifest(tiny_bundle, edit))


@pytest.mark.parametrize("version", ["1", 1.0, True, None, [1]])
def test_a_version_that_is_no_number(tiny_bundle: Path, version: Any) -> None:
    with pytest.raises(BundleError, match="schema_version: expected int"):
        open_bundle(tiny.edit_manifest(tiny_bundle, lambda plain: plain.update(schema_version=version)))


def _paths(value: Any, path: Path_ = ()) -> list[Path_]:
    found = [path] if path else []
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return found + [deeper for key, item in items for deeper in _paths(item, (*path, key))]


ODD: st.SearchStrategy[Any] = (
    st.sampled_from([None, True, "", [], {}, 0, -1, 1 << 31, 1 << 64, 10**400, 0.5, -0.0, 1e308, float("nan")])
    | st.text(max_size=4)
    | st.integers()
    | st.floats()
    | st.sampled_from(["manifest.json", "card.md", "../x", "\ud800", "{}", "0" * 64, "batch"])
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_is_accepted_or_refused_with_a_reason(tiny_bundle: Path, plain: Any, data: st.DataObject) -> None:
    """Whatever is accepted must also survive being read: digests, references, golden inputs."""
    changed = copy.deepcopy(plain)
    for path in data.draw(st.lists(st.sampled_from(_paths(plain)), min_size=1, max_size=3)):
        try:
            kind = data.draw(st.sampled_from(["set", "delete", "double"]))
            target: Any = changed
            for key in path[:-1]:
                target = target[key]
            if kind == "set":
                target[path[-1]] = data.draw(ODD)
            elif kind == "delete":
                del target[path[-1]]
            elif isinstance(target, list):
                target.extend(copy.deepcopy(target[-1:]))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change removed this place
    try:
        open_bundle(tiny.edit_manifest(tiny_bundle, lambda _: changed)).verify()
    except BundleError as error:
        str(error).encode()
