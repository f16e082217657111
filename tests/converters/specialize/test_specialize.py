"""From a full bundle to an image tower and a matrix: the same scores, fewer members, and a head where it helps."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import edgekit
import tiny_bundle as tiny
from edgekit import frozen_labels
from edgekit.bundle.reader import open_bundle
from edgekit.converters.specialize import embedding
from edgekit.converters.specialize import specialize as module
from edgekit.converters.specialize.records import Options
from edgekit.converters.specialize.specialize import specialize
from edgekit.errors import BundleError, ConversionError, InputError, TextError
from edgekit.evaluation.job import embed
from edgekit.verification import verify

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Manifest

LABELS = "cat\ndog\nred rocket\ta rocket; two red rocket\ncup of coffee\n"
NAMES = ("cat", "dog", "red rocket", "cup of coffee")
COLOURS = {"cat": (220, 40, 30), "dog": (30, 200, 60), "red rocket": (30, 60, 220), "cup of coffee": (200, 200, 30)}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embed in this process; the command's tests start the real one for each variant, which takes its time."""
    monkeypatch.setattr(embedding, "embed_apart", lambda path, *rest: embed(open_bundle(path), *rest))


@pytest.fixture(name="labels")
def _labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text(LABELS)
    return path


@pytest.fixture(scope="module", name="examples")
def _examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five noisy pictures of a colour for each label: easy for a head, nothing for random text embeddings."""
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(5):
            pixels = np.clip(np.array(colour) + random.integers(-25, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def _sigmoid(manifest: Manifest) -> Manifest:
    return replace(manifest, embedding=replace(manifest.embedding, scores="sigmoid", logit_bias=-4.0))


def scores(path: Path, photos: list[Path], labels: list[str] | None = None, variant: str = "fp32") -> np.ndarray:
    with edgekit.load(path, variant=variant) as clip:
        names = labels or list(clip.labels)
        found = [{x.label: x.score for x in one} for one in clip.classify_many(photos, labels)]
    return np.array([[one[name] for name in names] for one in found])


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_scores_are_the_full_models_in_every_variant(tmp_path: Path, photos: list[Path], kind: str) -> None:
    change = _sigmoid if kind == "sigmoid" else None
    full = tiny.build(tmp_path / "full.edge", variants=("fp32", "static"), change=change)
    names = ["cat", "dog", "two red bicycles"]
    (tmp_path / "plain.txt").write_text("\n".join(names))
    report = specialize(str(full), tmp_path / "out.edge", Options(tmp_path / "plain.txt"))
    assert report.variants == ("fp32", "static")
    assert report.labels == tuple(names)
    for variant in report.variants:
        wanted = scores(full, photos, names, variant)
        np.testing.assert_allclose(scores(tmp_path / "out.edge", photos, None, variant), wanted, atol=1e-6)
    assert verify(open_bundle(tmp_path / "out.edge")).passed


def test_the_text_towers_members_are_gone(tmp_path: Path, tiny_bundle: Path, labels: Path) -> None:
    report = specialize(str(tiny_bundle), tmp_path / "out.edge", Options(labels))
    old, new = open_bundle(tiny_bundle).manifest, open_bundle(tmp_path / "out.edge").manifest
    before, after = ({file.path for file in manifest.files} for manifest in (old, new))
    assert before - after == {"variants/fp32/text.onnx", "text/tokenizer.json", "golden/text_embeddings.npy"}
    assert after - before == {"labels/0/vectors.npy", "labels/0/scores.npy"}
    assert new.text is None
    assert new.golden.texts == ()
    assert new.embedding == old.embedding
    assert new.variants[0].image == old.variants[0].image
    assert [step.action for step in new.provenance] == ["convert", "specialize"]
    assert new.provenance[:1] == old.provenance
    assert new.provenance[1].details["bundle"] == open_bundle(tiny_bundle).digest
    assert (report.size, report.size_before) == ((tmp_path / "out.edge").stat().st_size, tiny_bundle.stat().st_size)
    assert report.size < report.size_before
    card = bytes(open_bundle(tmp_path / "out.edge").read("card.md")).decode()
    assert card.startswith("# tiny\n")
    assert "## Labels\n\n4 labels are frozen into this bundle: `cat`, `dog`, `red rocket`, `cup of coffee`." in card


def test_prompts_and_templates_make_the_vectors(tmp_path: Path, tiny_bundle: Path, labels: Path) -> None:
    options = Options(labels, templates=("a {}", "a photo of a {}"), name="mine")
    specialize(str(tiny_bundle), tmp_path / "out.edge", options)
    bundle = open_bundle(tmp_path / "out.edge")
    found = frozen_labels.read(bundle, bundle.manifest.variants[0]).vectors
    with edgekit.load(tiny_bundle) as full:
        for place, name in enumerate(NAMES):
            own = name == "red rocket"
            prompts = ["a rocket", "two red rocket"] if own else [f"a {name}", f"a photo of a {name}"]
            mean = full.embed_texts(prompts).mean(axis=0)
            np.testing.assert_allclose(found[place], mean / np.linalg.norm(mean), atol=1e-6)
    assert bundle.manifest.labels is not None
    assert bundle.manifest.labels.prompts == {"red rocket": ("a rocket", "two red rocket")}
    assert bundle.manifest.labels.templates == options.templates
    assert bundle.manifest.name == "mine"


def test_a_kept_text_tower_still_works_and_can_be_specialized_again(
    tmp_path: Path, tiny_bundle: Path, labels: Path, photos: list[Path]
) -> None:
    kept = tmp_path / "kept.edge"
    report = specialize(str(tiny_bundle), kept, Options(labels, keep_text=True))
    assert report.text_kept
    with edgekit.load(kept) as clip, edgekit.load(tiny_bundle) as full:
        assert clip.classify(photos[0], ["a red car", "dog"]) == full.classify(photos[0], ["a red car", "dog"])
    assert verify(open_bundle(kept)).texts == 4
    (tmp_path / "other.txt").write_text("dog\ncat\n")
    specialize(str(kept), tmp_path / "again.edge", Options(tmp_path / "other.txt"))
    again = open_bundle(tmp_path / "again.edge")
    assert again.manifest.labels is not None
    assert again.manifest.labels.names == ("dog", "cat")
    assert bytes(again.read("card.md")).decode().count("## Labels") == 1
    with pytest.raises(InputError, match="has no text tower"):
        specialize(str(tmp_path / "again.edge"), tmp_path / "third.edge", Options(labels))


@pytest.mark.parametrize("head", ["auto", "cache", "ridge"])
def test_examples_make_a_head_that_is_right(
    tmp_path: Path, tiny_bundle: Path, labels: Path, examples: Path, head: str
) -> None:
    out = tmp_path / "out.edge"
    report = specialize(str(tiny_bundle), out, Options(labels, examples=str(examples), head=head))  # type: ignore
    assert report.choice is not None
    assert report.choice.kind == ("ridge" if head == "auto" else head)
    assert report.examples == 20
    bundle = open_bundle(out)
    assert bundle.manifest.labels is not None
    spec = bundle.manifest.labels.head
    assert spec is not None
    assert spec.tuned > spec.zero_shot
    assert (spec.kind, spec.examples, spec.data) == (report.choice.kind, 20, examples.name)
    assert verify(bundle).passed
    photos = sorted(examples.rglob("*.png"))
    with edgekit.load(out) as clip:
        right = [
            one.best.label == path.parent.name for one, path in zip(clip.classify_many(photos), photos, strict=True)
        ]
    assert np.mean(right) > 0.9
    card = bytes(bundle.read("card.md")).decode()
    assert f"| **{report.choice.kind}**, taken | " in card
    assert bundle.manifest.provenance[-1].details["right_zero-shot"] == f"{spec.zero_shot:.6f}"


def test_every_variant_gets_a_head_of_its_own(tmp_path: Path, labels: Path, examples: Path) -> None:
    def lenient(manifest: Manifest) -> Manifest:
        wrong, right = manifest.variants
        loose = replace(wrong.image, tolerance=replace(wrong.image.tolerance, cosine_min=-1.0, centred_min=-1.0))
        return replace(manifest, variants=(replace(wrong, precision="int8", image=loose), right))

    full = tiny.build(tmp_path / "full.edge", variants=("wrong", "fp32"), change=lenient)
    out = tmp_path / "out.edge"
    report = specialize(str(full), out, Options(labels, examples=str(examples), head="ridge"))
    assert report.variants == ("wrong", "fp32")
    assert any("chosen on fp32" in note for note in report.notes)
    bundle = open_bundle(out)
    first, second = (frozen_labels.read(bundle, variant) for variant in bundle.manifest.variants)
    np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-6)
    assert first.head.weights is not None
    assert second.head.weights is not None
    assert np.abs(first.head.weights - second.head.weights).max() > 0.1
    photos = sorted(examples.rglob("*.png"))
    with edgekit.load(out, variant="wrong") as clip:
        found = clip.classify_many(photos)
    assert np.mean([one.best.label == path.parent.name for one, path in zip(found, photos, strict=True)]) > 0.9


def test_no_head_leaves_the_scores_alone(
    tmp_path: Path, tiny_bundle: Path, labels: Path, examples: Path, photos: list[Path]
) -> None:
    report = specialize(str(tiny_bundle), tmp_path / "a.edge", Options(labels, examples=str(examples), head="none"))
    specialize(str(tiny_bundle), tmp_path / "b.edge", Options(labels))
    assert report.choice is None
    assert [trial.kind for trial in report.trials] == ["zero-shot"]
    np.testing.assert_array_equal(scores(tmp_path / "a.edge", photos), scores(tmp_path / "b.edge", photos))


def test_a_broken_example_is_skipped_and_told(tmp_path: Path, labels: Path, examples: Path) -> None:
    import shutil

    shutil.copytree(examples, tmp_path / "set")
    (tmp_path / "set" / "cat" / "0.png").write_bytes(b"no picture")
    full = tiny.build(tmp_path / "full.edge", variants=("fp32", "static"))
    report = specialize(str(full), tmp_path / "out.edge", Options(labels, examples=str(tmp_path / "set")))
    assert report.examples == 19
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith("cat/0.png: ")
    assert verify(open_bundle(tmp_path / "out.edge")).passed


def test_some_variants_stay(tmp_path: Path, labels: Path) -> None:
    full = tiny.build(tmp_path / "full.edge", variants=("fp32", "static", "wrong"))
    report = specialize(str(full), tmp_path / "out.edge", Options(labels, variants=("static",)))
    assert report.variants == ("static",)
    members = {file.path for file in open_bundle(tmp_path / "out.edge").manifest.files}
    assert not any(path.startswith(("variants/fp32", "variants/wrong")) for path in members)
    with pytest.raises(ConversionError, match=r"variant wrong works on no runtime here:\n.*wrong numbers"):
        specialize(str(full), tmp_path / "b.edge", Options(labels))
    with pytest.raises(InputError, match="has no variant 'int4'; it has fp32, static, wrong"):
        specialize(str(full), tmp_path / "b.edge", Options(labels, variants=("int4",)))
    assert not (tmp_path / "b.edge").exists()


def test_a_variant_that_no_runtime_opens_is_not_carried_along_unproven(tmp_path: Path, labels: Path) -> None:
    def foreign(manifest: Manifest) -> Manifest:
        return replace(manifest, variants=(manifest.variants[0], replace(manifest.variants[1], format="rknn")))

    full = tiny.build(tmp_path / "full.edge", variants=("fp32", "static"), change=foreign)
    with pytest.raises(InputError, match=r"variant static cannot be opened here.*keep only others: --variant fp32"):
        specialize(str(full), tmp_path / "out.edge", Options(labels))
    assert specialize(str(full), tmp_path / "out.edge", Options(labels, variants=("fp32",))).variants == ("fp32",)


@pytest.mark.parametrize(
    ("options", "out", "kind", "told"),
    [
        ({}, "out.zip", InputError, r"out.zip: a bundle's name ends in .edge"),
        ({}, "none/out.edge", InputError, r"the folder .*none does not exist"),
        ({"head": "cache"}, "out.edge", InputError, "a cache head is fitted to examples; give --examples"),
        ({"head": "best"}, "out.edge", InputError, "'best' is not one of auto, none, cache, ridge"),
        ({"name": "a\nb"}, "out.edge", InputError, "name: .* holds a control character"),
        ({"name": ""}, "out.edge", InputError, "name: '' is empty"),
        ({"templates": ("a photo",)}, "out.edge", TextError, "exactly one"),
        ({"examples": "nowhere"}, "out.edge", InputError, "nowhere: no such file or folder"),
        ({"labels": Path("none.txt")}, "out.edge", InputError, r"none\.txt: cannot be read"),
    ],
    ids=["suffix", "folder", "no examples", "head", "name", "no name", "template", "set", "labels"],
)
def test_wrong_use_is_told_before_anything_runs(
    tmp_path: Path,
    tiny_bundle: Path,
    labels: Path,
    options: dict[str, object],
    out: str,
    kind: type[Exception],
    told: str,
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind, match=told):
        specialize(str(tiny_bundle), tmp_path / out, Options(**{"labels": labels, **options}))  # type: ignore
    assert sorted(tmp_path.iterdir()) == before


def test_one_label_is_no_choice_for_a_softmax(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "one.txt").write_text("cat\n")
    with pytest.raises(TextError, match="holds one label, and a softmax over one is always 1"):
        specialize(str(tiny_bundle), tmp_path / "out.edge", Options(tmp_path / "one.txt"))
    full = tiny.build(tmp_path / "full.edge", change=_sigmoid)
    assert specialize(str(full), tmp_path / "out.edge", Options(tmp_path / "one.txt")).labels == ("cat",)


def test_a_failure_leaves_what_was_there(
    tmp_path: Path, tiny_bundle: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.edge"
    out.write_bytes(b"what was there")
    damaged = bytearray(tiny_bundle.read_bytes())
    damaged[damaged.index(b"A model for tests")] ^= 1
    (tmp_path / "damaged.edge").write_bytes(damaged)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BundleError, match="SHA-256"):
        specialize(str(tmp_path / "damaged.edge"), out, Options(labels))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "embed_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        specialize(str(tiny_bundle), out, Options(labels))
    assert out.read_bytes() == b"what was there"
    assert sorted(tmp_path.iterdir()) == before


def test_an_unpacked_bundle_will_do(tmp_path: Path, tiny_bundle: Path, labels: Path) -> None:
    folder = tiny.unpack(tiny_bundle, tmp_path / "folder")
    report = specialize(str(folder), tmp_path / "out.edge", Options(labels))
    assert report.size_before == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    specialize(str(tiny_bundle), tmp_path / "same.edge", Options(labels))
    assert (tmp_path / "same.edge").read_bytes() == (tmp_path / "out.edge").read_bytes()
    assert io.BytesIO((tmp_path / "out.edge").read_bytes()).read(2) == b"PK"


def test_the_starters_quantized_towers_score_as_before(tmp_path: Path, photos: list[Path]) -> None:
    with edgekit.load("starter") as full:
        variant = full.explain().chosen.variant
        for names in (["a cat", "a dog", "a rocket"], ["coffee", "motorcycle"]):
            (tmp_path / "names.txt").write_text("\n".join(names))
            specialize("starter", tmp_path / "out.edge", Options(tmp_path / "names.txt", variants=(variant,)))
            wanted = [{x.label: x.score for x in one} for one in full.classify_many(photos[:2], names)]
            found = scores(tmp_path / "out.edge", photos[:2], None, variant)
            np.testing.assert_allclose(found, [[one[name] for name in names] for one in wanted], atol=1e-5)


def test_a_bundle_may_be_specialized_onto_itself(tmp_path: Path, tiny_bundle: Path, labels: Path) -> None:
    """What is read is not what is being written: the old file is replaced by the whole new one."""
    place = tmp_path / "mine.edge"
    place.write_bytes(tiny_bundle.read_bytes())
    specialize(str(tiny_bundle), tmp_path / "other.edge", Options(labels))
    report = specialize(str(place), place, Options(labels, keep_text=True))
    assert report.size_before == tiny_bundle.stat().st_size
    assert report.size == place.stat().st_size
    assert verify(open_bundle(place)).passed
    again = specialize(str(place), place, Options(labels))
    assert (again.size_before, again.text_kept) == (report.size, False)
    made, other = (open_bundle(path).manifest for path in (place, tmp_path / "other.edge"))
    assert made.labels == other.labels
    assert [step.action for step in made.provenance] == ["convert", "specialize", "specialize"]
    with pytest.raises(InputError, match="text tower"):
        specialize(str(place), place, Options(labels))
    assert verify(open_bundle(place)).passed


def test_labels_and_prompts_of_any_script_keep_their_scores(tmp_path: Path, tiny_bundle: Path) -> None:
    """Prompts are averaged as `embed_labels` does, whatever is written in them."""
    words = ["Katze", "猫", "القط", "🐈‍⬛", "a" * 200, "e\u0301tui", "[PAD]", "{{}}"]
    texts = {"猫": ("一枚の猫の写真", "a cat"), "Katze": ("a cat", "two cat")}
    lines = [f"{word}\t{';'.join(texts[word])}" if word in texts else word for word in words]
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    specialize(str(tiny_bundle), tmp_path / "out.edge", Options(path, templates=("one {} parked", "{}!")))
    with edgekit.load(tmp_path / "out.edge") as small, edgekit.load(tiny_bundle) as full:
        pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        found = small.classify_many(list(pixels))
        prompts = {w: texts.get(w, (f"one {w} parked", f"{w}!")) for w in words}
        rows = {}
        for word, own in prompts.items():
            mean = full.embed_texts(list(own)).astype(np.float64).mean(axis=0)
            rows[word] = mean / np.linalg.norm(mean)
        logits = 20.0 * full.embed_images(list(pixels)).astype(np.float64) @ np.stack([rows[w] for w in words]).T
        expected = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
    for one, wanted in zip(found, expected, strict=True):
        scored = {entry.label: entry.score for entry in one}
        np.testing.assert_allclose([scored[word] for word in words], wanted, atol=1e-5)
