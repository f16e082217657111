"""What a manifest may say of frozen labels, and what is refused with the field's name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_bundle as tiny
from edgekit.bundle import schema
from edgekit.bundle.label_rules import name_problem
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, InputError
from frozen_bundle import NAMES, freeze, head_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.bundle.label_records import HeadKind


@pytest.mark.parametrize("head", [None, "ridge", "cache"], ids=str)
@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept"])
def test_a_right_bundle_is_read_back_as_written(tmp_path: Path, head: HeadKind | None, keep: bool) -> None:
    manifest = open_bundle(freeze(tmp_path / "a.edge", head=head, keep_text=keep)).manifest
    assert manifest.labels is not None
    assert manifest.labels.names == NAMES
    assert manifest.labels.head == head_spec(head)
    assert (manifest.text is not None) == keep
    assert list(manifest.variants[0].towers) == (["image", "text"] if keep else ["image"])
    assert schema.loads(Manifest, schema.dumps(manifest), "again") == manifest


def test_a_bundle_from_before_the_field_is_read(tmp_path: Path) -> None:
    def forget(plain: Any) -> None:
        del plain["labels"]
        for variant in plain["variants"]:
            del variant["labels"]

    old = tiny.edit_manifest(tiny.build(tmp_path / "a.edge"), forget)
    manifest = open_bundle(old).manifest
    assert manifest.labels is None
    assert manifest.variants[0].labels is None
    assert open_bundle(old).text == manifest.text


def test_the_text_settings_of_a_closed_bundle_are_asked_for_in_vain(tmp_path: Path) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge"))
    with pytest.raises(InputError, match=r"has no text tower.*--keep-text"):
        _ = bundle.text


def _labels(**changes: Any) -> Callable[[Manifest], Manifest]:
    return lambda m: replace(m, labels=replace(m.labels, **changes))  # type: ignore[type-var]


def _head(**changes: Any) -> Callable[[Manifest], Manifest]:
    return lambda m: replace(m, labels=replace(m.labels, head=replace(m.labels.head, **changes)))  # type: ignore


def _files(**changes: Any) -> Callable[[Manifest], Manifest]:
    def change(m: Manifest) -> Manifest:
        (variant,) = m.variants
        return replace(m, variants=(replace(variant, labels=replace(variant.labels, **changes)),))  # type: ignore

    return change


def _no_files(m: Manifest) -> Manifest:
    return replace(m, variants=tuple(replace(variant, labels=None) for variant in m.variants))


REFUSED: dict[str, tuple[HeadKind | None, Callable[[Manifest], Manifest], str]] = {
    "no labels": (None, _labels(names=()), "labels.names: are not 1 to"),
    "a label twice": (None, _labels(names=("cat", "dog", "cat", "rocket")), "labels.names: are not"),
    "an empty label": (None, _labels(names=("cat", "", "cup", "rocket")), r"labels.names\[1\]: is empty"),
    "a line break": (None, _labels(names=("cat", "dog\nx", "cup", "rocket")), r"names\[1\]: holds a control"),
    "white space": (None, _labels(names=(" cat", "dog", "cup", "rocket")), r"names\[0\]: begins or ends"),
    "a template": (None, _labels(templates=("a photo",)), r"labels.templates\[0\]: 'a photo' has not exactly"),
    "prompts of nobody": (None, _labels(prompts={"cow": ("a cow",)}), "labels.prompts: are empty, or of a name"),
    "no prompts": (None, _labels(prompts={"cat": ()}), "labels.prompts: are empty"),
    "no files": (None, _no_files, r"variants\[0\].labels: are missing"),
    "a missing array": ("ridge", _files(weights=""), "needs scores, vectors, weights"),
    "an array too many": (None, _files(keys="labels/scores.npy"), "needs scores, vectors$"),
    "an unlisted array": (None, _files(vectors="labels/other.npy"), "labels.vectors: 'labels/other.npy' is not among"),
    "no strength": ("ridge", _head(strength=0.0), "its strength or its number of examples"),
    "no examples": ("ridge", _head(examples=0), "its strength or its number of examples"),
    "a ridge that is sharp": ("ridge", _head(sharpness=1.0), "does not fit a ridge"),
    "a cache that is not": ("cache", _head(sharpness=0.0), "does not fit a cache"),
    "more than all": ("ridge", _head(tuned=1.5), "a share of right examples"),
    "no digest": ("ridge", _head(digest="x"), "labels.head.digest: is no SHA-256"),
    "nothing at all": (None, lambda m: replace(_no_files(m), labels=None), "text: is null, and there are no frozen"),
    "files without labels": (None, lambda m: replace(m, labels=None), "text: is null|labels: are there"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_does_not_hold_together_is_refused(tmp_path: Path, case: str) -> None:
    head, change, told = REFUSED[case]
    with pytest.raises(BundleError, match=told):
        freeze(tmp_path / "a.edge", head=head, change=change)
    assert not (tmp_path / "a.edge").exists()


def test_half_of_a_text_tower_is_refused(tmp_path: Path) -> None:
    whole = tiny.tree(tmp_path / "other")
    with pytest.raises(BundleError, match=r"variants\[0\].text: is a tower where the manifest has no text settings"):
        freeze(
            tmp_path / "a.edge",
            change=lambda m: replace(m, variants=(replace(m.variants[0], text=whole.variants[0].text),)),
        )
    with pytest.raises(BundleError, match=r"golden\.texts: are there, though"):
        freeze(
            tmp_path / "a.edge",
            change=lambda m: replace(m, golden=replace(m.golden, texts=whole.golden.texts)),
        )
    with pytest.raises(BundleError, match=r"variants\[0\].text: is a tower .* or is null where it has"):
        tiny.build(
            tmp_path / "a.edge",
            change=lambda m: replace(m, variants=(replace(m.variants[0], text=None),)),
        )


def test_an_unknown_field_of_labels_is_refused(tmp_path: Path) -> None:
    def add(plain: Any) -> None:
        plain["labels"]["colour"] = "red"

    with pytest.raises(BundleError, match="labels: unknown field 'colour'"):
        open_bundle(tiny.edit_manifest(freeze(tmp_path / "a.edge"), add))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12))
def test_a_name_is_fine_when_it_is_one_trimmed_line(name: str) -> None:
    fine = bool(name) and name == name.strip() and len(name.splitlines()) == 1
    fine = fine and not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name)
    assert (name_problem(name) == "") == fine


def test_characters_without_a_shape_are_letters_of_labels() -> None:
    assert name_problem("\N{MAN}\N{ZERO WIDTH JOINER}\N{ROCKET}") == ""
    assert name_problem("می‌خواهم") == ""
