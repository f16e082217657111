"""Arrays of frozen labels: each wrong type, shape and digest is refused by its path; subsets score as they should."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgekit
import tiny_bundle as tiny
from edgekit import frozen_labels
from edgekit.bundle.label_records import LabelFiles
from edgekit.bundle.manifest import EmbeddingSpec
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, EdgekitError, TextError
from edgekit.frozen_labels import FrozenLabels, Head
from frozen_bundle import EXAMPLES, NAMES, freeze, npy, vectors
from tiny_towers import DIMENSION

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.label_records import HeadKind

K = len(NAMES)
# The shape and type of each array, by the kind of head that has it.
ARRAYS: dict[str, tuple[HeadKind | None, tuple[int, ...], str]] = {
    "vectors": (None, (K, DIMENSION), "float32"),
    "weights": ("ridge", (K, DIMENSION + 1), "float32"),
    "keys": ("cache", (EXAMPLES, DIMENSION), "float32"),
    "classes": ("cache", (EXAMPLES,), "int32"),
}
SPEC = EmbeddingSpec("s", DIMENSION, 20.0, -3.0, "softmax")


def values(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Right values of an array: unit rows, or zeros."""
    made = np.zeros(shape)
    if name in {"vectors", "keys"} and made.ndim == 2 and made.shape[1]:
        made[:, 0] = 1
    return made.astype(dtype)


def refused(tmp_path: Path, name: str, data: bytes) -> str:
    """Return the message for a bundle with another content of an array."""
    path = f"labels/{name}.npy"
    bundle = open_bundle(freeze(tmp_path / "a.edge", head=ARRAYS[name][0], extra={path: data}))
    with pytest.raises(BundleError) as caught:
        frozen_labels.read(bundle, bundle.manifest.variants[0])
    return str(caught.value).removeprefix(f"{bundle.where}: ")


@pytest.mark.parametrize("name", ARRAYS)
def test_right_values_are_read(tmp_path: Path, name: str) -> None:
    head, shape, dtype = ARRAYS[name]
    extra = {f"labels/{name}.npy": npy(values(name, shape, dtype))}
    bundle = open_bundle(freeze(tmp_path / "a.edge", head=head, extra=extra))
    assert frozen_labels.read(bundle, bundle.manifest.variants[0]).names == NAMES


TYPES = ("float16", "float32", "float64", ">f4", "int32", "int64", ">i4", "uint8", "bool")
WRONG = [(name, dtype) for name, (_, _, wanted) in ARRAYS.items() for dtype in TYPES if dtype != wanted]


@pytest.mark.parametrize(("name", "dtype"), WRONG, ids=[f"{name}-{dtype}" for name, dtype in WRONG])
def test_each_wrong_type_is_refused_by_path(tmp_path: Path, name: str, dtype: str) -> None:
    _, shape, wanted = ARRAYS[name]
    made = values(name, shape, dtype)
    told = refused(tmp_path, name, npy(made))
    assert told == f"labels/{name}.npy: must be finite {wanted} {shape}, is {made.dtype} {shape}"


@pytest.mark.parametrize("change", ["row less", "row more", "column less", "column more", "flat", "deep", "empty"])
@pytest.mark.parametrize("name", ARRAYS)
def test_each_wrong_shape_is_refused_by_path(tmp_path: Path, name: str, change: str) -> None:
    _, shape, dtype = ARRAYS[name]
    wrong = {
        "row less": (shape[0] - 1, *shape[1:]),
        "row more": (shape[0] + 1, *shape[1:]),
        "column less": (*shape[:-1], shape[-1] - 1),
        "column more": (*shape[:-1], shape[-1] + 1),
        "flat": (int(np.prod(shape)) + 1,),
        "deep": (1, *shape),
        "empty": (0,),
    }[change]
    told = refused(tmp_path, name, npy(values(name, wrong, dtype)))
    assert told == f"labels/{name}.npy: must be finite {dtype} {shape}, is {dtype} {wrong}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("name", ["vectors", "weights", "keys"])
def test_a_number_that_is_none_is_refused_by_path(tmp_path: Path, name: str, value: float) -> None:
    _, shape, dtype = ARRAYS[name]
    made = values(name, shape, dtype)
    made[-1, -1] = value
    assert refused(tmp_path, name, npy(made)).startswith(f"labels/{name}.npy: must be finite")


@pytest.mark.parametrize("length", [0.0, 0.99, 1.01, 1e30])
@pytest.mark.parametrize("name", ["vectors", "keys"])
def test_a_row_of_another_length_is_refused_by_path(tmp_path: Path, name: str, length: float) -> None:
    _, shape, dtype = ARRAYS[name]
    made = values(name, shape, dtype)
    made[1] *= np.float32(length)
    assert re.match(rf"labels/{name}\.npy: rows have lengths .*, not 1$", refused(tmp_path, name, npy(made)))


@pytest.mark.parametrize("wrong", [-1, K, 2**31 - 1, -(2**31)])
def test_a_class_that_is_none_is_refused_by_path(tmp_path: Path, wrong: int) -> None:
    made = values("classes", (EXAMPLES,), "int32")
    made[-1] = wrong
    assert refused(tmp_path, "classes", npy(made)) == f"labels/classes.npy: holds a number that is not in 0..{K - 1}"


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", bytes(99)], ids=["empty", "mark", "cut", "zeros"]
)
def test_what_is_no_array_is_refused_by_path(tmp_path: Path, name: str, data: bytes) -> None:
    assert refused(tmp_path, name, data).startswith(f"labels/{name}.npy: not a NumPy array: ")


def test_an_archive_of_arrays_is_refused_by_path(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, vectors=vectors())
    told = refused(tmp_path, "vectors", stream.getvalue())
    assert told == f"labels/vectors.npy: must be finite float32 ({K}, {DIMENSION}), is an archive"


def _tampered(path: Path, member: str) -> Path:
    """Give a member another digest in the manifest."""

    def change(plain: Any) -> None:
        (record,) = [one for one in plain["files"] if one["path"] == member]
        record["sha256"] = "0" * 64

    return tiny.edit_manifest(path, change)


@pytest.mark.parametrize("name", [*ARRAYS, "scores"])
def test_an_array_of_another_digest_is_refused_by_path(tmp_path: Path, name: str) -> None:
    head = ARRAYS[name][0] if name in ARRAYS else None
    bundle = open_bundle(_tampered(freeze(tmp_path / "a.edge", head=head), f"labels/{name}.npy"))
    with pytest.raises(BundleError, match=rf"labels/{name}\.npy.*SHA-256"):
        frozen_labels.check(bundle, bundle.manifest.variants[0])


@pytest.mark.parametrize("shape", [(1, K), (3, K), (2, K - 1), (2,)], ids=str)
def test_scores_of_another_shape_are_refused_by_path(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = npy(np.full(shape, 0.25, np.float32))
    bundle = open_bundle(freeze(tmp_path / "a.edge", extra={"labels/scores.npy": data}))
    photos = len(bundle.manifest.golden.images)
    with pytest.raises(BundleError, match=re.escape(f"labels/scores.npy: must be finite float32 ({photos}, {K})")):
        frozen_labels.check(bundle, bundle.manifest.variants[0])


def _names(*names: str) -> Any:
    return lambda m: replace(m, labels=replace(m.labels, names=names))


@pytest.mark.parametrize("place", range(1, K))
def test_a_label_that_stands_twice_is_refused(tmp_path: Path, place: int) -> None:
    names = list(NAMES)
    names[place] = NAMES[0]
    with pytest.raises(BundleError, match=r"labels\.names: are not 1 to \d+ distinct labels"):
        freeze(tmp_path / "a.edge", change=_names(*names))


@pytest.mark.parametrize("place", range(K))
@pytest.mark.parametrize("wrong", ["", "x ", "\u2028x\u2028y", "a\0"], ids=ascii)
def test_a_label_that_is_wrong_is_refused_by_its_number(tmp_path: Path, place: int, wrong: str) -> None:
    names = [*NAMES[:place], wrong, *NAMES[place + 1 :]]
    with pytest.raises(BundleError, match=rf"labels\.names\[{place}\]: "):
        freeze(tmp_path / "a.edge", change=_names(*names))


def test_the_paths_of_arrays_are_those_that_are_given() -> None:
    assert LabelFiles("v", "s").paths == {"vectors": "v", "scores": "s"}
    assert LabelFiles("v", "s", keys="k", classes="c").paths == {
        "vectors": "v",
        "scores": "s",
        "keys": "k",
        "classes": "c",
    }
    assert list(LabelFiles("v", "s", "w", "k", "c").paths) == ["vectors", "scores", "weights", "keys", "classes"]


def unit(seed: int, count: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


HEADS = {
    "none": Head(),
    "ridge": Head(weights=np.random.default_rng(3).normal(size=(K, DIMENSION + 1)).astype(np.float32)),
    "cache": Head(keys=unit(1, 5), classes=np.array([0, 1, 1, 3, 0], np.int32), strength=2.0, sharpness=1.5),
}


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("head", HEADS)
@settings(deadline=None, max_examples=15)
@given(places=st.lists(st.integers(0, K - 1), min_size=1, max_size=K, unique=True), seed=st.integers(0, 99))
def test_a_subset_scores_as_if_the_others_were_not_there(head: str, kind: Any, places: list[int], seed: int) -> None:
    labels = FrozenLabels(NAMES, vectors(), replace(SPEC, scores=kind), HEADS[head])
    rows = unit(seed, 3)
    found = labels.scores(rows, labels.places([NAMES[place] for place in places]))
    whole = labels.scores(rows)[:, places]
    if kind == "softmax":
        whole = whole / whole.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, whole, rtol=1e-9)
    ranking = labels.ranking(rows)
    if ranking is not None:
        np.testing.assert_allclose(ranking[0] @ ranking[1].T, labels.logits(rows), atol=1e-9)


@pytest.mark.parametrize("head", [None, "ridge", "cache"], ids=str)
def test_classify_ranks_a_subset_as_the_whole(tmp_path: Path, photos: list[Path], head: HeadKind | None) -> None:
    with edgekit.load(freeze(tmp_path / "a.edge", head=head)) as clip:
        whole = {one.label: one.score for one in clip.classify(photos[0])}
        assert list(whole) == sorted(whole, key=lambda name: -whole[name])
        for wanted in (NAMES[1:3], NAMES[::-1], (NAMES[2],)):
            found = {one.label: one.score for one in clip.classify(photos[0], wanted)}
            total = sum(whole[name] for name in wanted)
            assert set(found) == set(wanted)
            for name, score in found.items():
                assert score == pytest.approx(whole[name] / total, abs=1e-6)
        (only,) = clip.classify(photos[0], [NAMES[0]])
        assert only.score == pytest.approx(1)


@pytest.mark.parametrize("name", ["Cat", "cat ", "", "ca\u0301t", "dogs"], ids=ascii)
def test_a_label_must_be_written_as_it_was_frozen(name: str) -> None:
    labels = FrozenLabels(NAMES, vectors(), SPEC, Head())
    with pytest.raises(TextError, match=re.escape(f"the label {name!r} is not among the bundle's {K} frozen labels")):
        labels.places([NAMES[0], name])


@pytest.mark.parametrize("difference", [0.0, 5e-6, 2e-5, 0.5], ids=str)
def test_scores_may_differ_by_rounding_only(tmp_path: Path, difference: float) -> None:
    good = open_bundle(freeze(tmp_path / "a.edge"))
    stored = np.load(io.BytesIO(good.read("labels/scores.npy")))
    extra = {"labels/scores.npy": npy(stored + np.float32(difference))}
    bundle = open_bundle(freeze(tmp_path / "b.edge", extra=extra))
    if difference < frozen_labels.SCORE_LIMIT:
        assert frozen_labels.check(bundle, bundle.manifest.variants[0]) <= frozen_labels.SCORE_LIMIT
    else:
        with pytest.raises(
            EdgekitError, match=rf"differ by .* from the stored ones \(limit {frozen_labels.SCORE_LIMIT}\)"
        ):
            frozen_labels.check(bundle, bundle.manifest.variants[0])
