"""Sets joined and divided by content: names, folders and order do not matter."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.data.sets import chosen, collect, join
from edgekit.converters.distill.recipe import DataSpec
from edgekit.errors import InputError
from edgekit.evaluation.datasets import open_dataset
from edgekit.evaluation.records import Item
from small_sets import picture, write_csv, write_tar


def spec(*images, **changes):
    return DataSpec(images=tuple(map(str, images)), **changes)


def contents(dataset):
    return [item.sha256 for item in dataset.items]


def texts_of(dataset):
    return {
        item.sha256: {dataset.texts[place] for place in target}
        for item, target in zip(dataset.items, dataset.targets, strict=True)
    }


def test_a_recipe_without_images_has_no_sets():
    assert collect(DataSpec(texts=("a.txt",))) is None


def test_validation_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.validation: needs data\.images"):
        collect(DataSpec(validation=(str(tmp_path),)))


def test_every_image_is_learned_from_or_held_out(tmp_path, make_classes):
    folder = make_classes(tmp_path / "set", range(60))
    sets = collect(spec(folder, held_out=0.25))
    train, held = contents(sets.train), contents(sets.validation)
    assert not set(train) & set(held)
    assert sorted(train + held) == sorted(contents(open_dataset(folder)))
    assert 5 <= len(held) <= 25
    assert train == sorted(train)
    assert sets.train.texts == sets.validation.texts == ("cat", "cup", "rocket")
    assert (sets.repeated, sets.withheld) == (0, 0)
    assert sets.labelled == (True,) * len(train)


def test_texts_stay_with_their_images(tmp_path, make_classes):
    folder = make_classes(tmp_path / "set", range(30))
    sets = collect(spec(folder, held_out=0.3))
    assert {**texts_of(sets.train), **texts_of(sets.validation)} == texts_of(open_dataset(folder))


def test_names_and_folders_do_not_matter(tmp_path, make_classes, make_plain):
    first = make_classes(tmp_path / "a", range(24))
    second = tmp_path / "elsewhere" / "b"
    for number, path in enumerate(sorted(first.rglob("*.png"))):
        target = second / path.parent.name / f"{97 - number:03d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    one, two = collect(spec(first, held_out=0.3)), collect(spec(second, held_out=0.3))
    assert contents(one.train) == contents(two.train)
    assert one.train.digest == two.train.digest
    assert one.validation.digest == two.validation.digest


def test_growing_a_set_moves_no_image(tmp_path, make_classes):
    small = collect(spec(make_classes(tmp_path / "a", range(40)), held_out=0.3, labelled=0.4))
    large = collect(spec(make_classes(tmp_path / "b", range(60)), held_out=0.3, labelled=0.4))
    assert set(contents(small.train)) <= set(contents(large.train))
    assert set(contents(small.validation)) <= set(contents(large.validation))
    marks = dict(zip(contents(large.train), large.labelled, strict=True))
    assert all(marks[one] == mark for one, mark in zip(contents(small.train), small.labelled, strict=True))


def test_another_seed_divides_otherwise(tmp_path, make_classes):
    folder = make_classes(tmp_path / "a", range(40))
    one, two = (collect(spec(folder, held_out=0.3, seed=seed)) for seed in (0, 1))
    assert contents(one.train) != contents(two.train)


def test_an_image_in_both_sets_is_only_judged_on(tmp_path, make_classes, make_plain):
    learned = make_classes(tmp_path / "learned", range(10))
    judged = make_plain(tmp_path / "judged", [3, 7, 20, 21])
    sets = collect(spec(learned, validation=(str(judged),)))
    assert not set(contents(sets.train)) & set(contents(sets.validation))
    assert len(sets.train.items) == 8
    assert len(sets.validation.items) == 4
    assert sets.withheld == 2


def test_one_validation_set_is_taken_as_it_is(tmp_path, make_classes):
    learned, judged = make_classes(tmp_path / "a", range(6)), make_classes(tmp_path / "b", [9, 9, 9, 8, 7])
    assert collect(spec(learned, validation=(str(judged),))).validation == open_dataset(judged)


def test_several_validation_sets_are_joined(tmp_path, make_classes):
    learned = make_classes(tmp_path / "a", range(6))
    judged = [make_classes(tmp_path / name, numbers) for name, numbers in (("b", range(6, 9)), ("c", range(8, 12)))]
    sets = collect(spec(learned, validation=tuple(map(str, judged))))
    assert len(sets.validation.items) == 6
    assert sets.validation.name == "b + c"


def test_an_image_given_twice_counts_once_with_all_its_texts(tmp_path, make_classes):
    one = make_classes(tmp_path / "one", range(9))
    two = make_classes(tmp_path / "two", range(5, 20), classes=("dog", "cat"))
    sets = collect(spec(one, two, held_out=0.2))
    parts = {**texts_of(sets.train), **texts_of(sets.validation)}
    assert len(parts) == 20
    assert sorted(map(len, parts.values())).count(2) >= 1
    assert set(sets.train.texts) == {"cat", "cup", "rocket", "dog"}
    assert sets.repeated == 4 - sum(len(found) == 2 for found in texts_of(sets.validation).values()) - sum(
        1 for digest in contents(sets.validation) if digest in shared_once(one, two)
    )


def shared_once(one, two):
    """Contents of both sets that have the same text in each."""
    first, second = texts_of(open_dataset(one)), texts_of(open_dataset(two))
    return {digest for digest in first if first[digest] == second.get(digest)}


def test_unlabelled_images_go_with_labelled_ones(tmp_path, make_classes, make_plain):
    sets = collect(spec(make_classes(tmp_path / "a", range(8)), make_plain(tmp_path / "b", range(8, 20)), held_out=0.3))
    assert sets.train.task == "classification"
    assert 0 < sum(sets.labelled) <= 8
    assert all(bool(target) == mark for target, mark in zip(sets.train.targets, sets.labelled, strict=True))


def test_classes_and_captions_are_not_mixed(tmp_path, make_classes, make_captions):
    given_ = spec(make_classes(tmp_path / "a", range(4)), make_captions(tmp_path / "b", range(4, 8)))
    with pytest.raises(InputError, match=r"data\.images: a holds classes and b captions"):
        collect(given_)


def test_a_tar_a_table_and_a_folder_are_joined(tmp_path, make_captions):
    members = [(f"{n}.{kind}", data) for n in range(4) for kind, data in (("png", picture(n)), ("txt", b"a cat"))]
    write_tar(tmp_path / "s-000.tar", members[:4])
    write_tar(tmp_path / "s-001.tar", members[4:])
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "x.png").write_bytes(picture(50))
    write_csv(tmp_path / "t" / "t.csv", [["path", "caption"], ["x.png", "a dog"]])
    folder = make_captions(tmp_path / "f", range(60, 70))
    given_ = spec(tmp_path / "s-{000..001}.tar", tmp_path / "t" / "t.csv", folder, held_out=0.2)
    sets = collect(given_)
    assert len(sets.train.items) + len(sets.validation.items) == 15
    assert all(item.read().startswith(b"\x89PNG") for item in sets.train.items)
    # A caption belongs to the part that its image is in.
    assert set(sets.train.texts) == set().union(*texts_of(sets.train).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": 0.0}, r"data\.held_out: 0\.0 of 6 images leaves none to judge on"),
        ({"held_out": 1.0}, r"data\.held_out: 1\.0 leaves none of the 6 images to learn from"),
    ],
    ids=["nothing to judge on", "nothing to learn from"],
)
def test_an_empty_part_is_refused(tmp_path, make_classes, changes, message):
    with pytest.raises(InputError, match=message):
        collect(spec(make_classes(tmp_path / "a", range(6)), **changes))


def test_learning_from_the_validation_set_is_refused(tmp_path, make_classes):
    folder = make_classes(tmp_path / "a", range(6))
    with pytest.raises(InputError, match=r"data\.images: all 6 images are in data\.validation too"):
        collect(spec(folder, validation=(str(folder),)))


@pytest.mark.parametrize("field", ["images", "validation"])
def test_a_missing_set_names_its_field(tmp_path, make_classes, field):
    folder = str(make_classes(tmp_path / "a", range(3)))
    given_ = replace(DataSpec(images=(folder,)), **{field: ("no-such-set",)})
    with pytest.raises(InputError, match=rf"data\.{field}: no-such-set: no such file"):
        collect(given_)


def test_joining_is_the_same_in_any_order(tmp_path, make_classes):
    parts = [
        open_dataset(make_classes(tmp_path / name, range(start, start + 5)))
        for name, start in zip("ab", (0, 3), strict=True)
    ]
    one, two = join(parts, "x"), join(parts[::-1], "x")
    assert one.items == tuple(
        replace(item, name=other.name, path=other.path) for item, other in zip(two.items, one.items, strict=True)
    )
    assert texts_of(one) == texts_of(two)


ITEMS = [Item(str(number), None, sha256=f"{number:064x}") for number in range(400)]


@given(small=st.floats(0, 1), large=st.floats(0, 1), purpose=st.text(max_size=8))
@settings(deadline=None, max_examples=40)
def test_a_larger_share_contains_a_smaller_one(small, large, purpose):
    small, large = sorted((small, large))
    first = {item.name for item in ITEMS if chosen(item, small, purpose)}
    second = {item.name for item in ITEMS if chosen(item, large, purpose)}
    assert first <= second
    assert abs(len(second) / len(ITEMS) - large) < 0.15


def test_all_and_none():
    assert all(chosen(item, 1.0, "x") for item in ITEMS)
    assert not any(chosen(item, 0.0, "x") for item in ITEMS)


def test_labels_are_not_the_held_out_ones_again():
    # The same hash for both would label all or none of what was not held out.
    labelled = {item.name for item in ITEMS if chosen(item, 0.5, "labelled 0")}
    held = {item.name for item in ITEMS if chosen(item, 0.5, "held-out 0")}
    assert 60 < len(labelled & held) < 140
