"""A tower that the student keeps: as its teacher has it, with what was measured there, and nothing left of its copy."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.writer import write_bundle
from edgekit.converters.distill.adoption import adopt
from edgekit.converters.distill.kept import kept_tower
from edgekit.errors import BundleError
from edgekit.golden import TOWERS
from edgekit.verification import verify


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """What the conversion writes of a student: both towers of another model."""
    return tiny.build(tmp_path_factory.mktemp("student") / "student.edge", seed=7)


def quantized(manifest):
    """The teacher's only variant, said to be int8."""
    (variant,) = manifest.variants
    return replace(manifest, variants=(replace(variant, id="int8", precision="int8", toolchain={"tool": "1"}),))


@pytest.fixture(params=["fp32", "int8"])
def teacher(request, tmp_path):
    change = quantized if request.param == "int8" else None
    return open_bundle(tiny.build(tmp_path / "teacher.edge", change=change))


def adopted(student, teacher, kept, tmp_path):
    """Adopt, write the bundle, and return it opened, with the tree."""
    tree = tmp_path / "tree"
    tiny.unpack(student, tree)
    (tree / "manifest.json").unlink()
    manifest = adopt(open_bundle(student).manifest, tree, teacher, kept)
    out = tmp_path / "adopted.edge"
    write_bundle(out, replace(manifest, files=()), tree)
    return open_bundle(out), tree


def members(bundle, record):
    return [bytes(bundle.read(path)) for path in (record.artifact, *record.sidecars)]


@pytest.mark.parametrize("kept", TOWERS)
def test_the_kept_tower_is_the_teachers_to_the_byte_and_the_other_is_the_students(student, teacher, kept, tmp_path):
    bundle, _ = adopted(student, teacher, kept, tmp_path)
    (variant,) = bundle.manifest.variants
    other = next(tower for tower in TOWERS if tower != kept)
    theirs, own = teacher.manifest.variants[0].towers[kept], open_bundle(student).manifest.variants[0].towers[other]
    assert members(bundle, variant.towers[kept]) == members(teacher, theirs)
    assert members(bundle, variant.towers[other]) == members(open_bundle(student), own)
    # What was measured against float goes with the tower that it was measured on.
    assert variant.towers[kept].fidelity == theirs.fidelity
    assert variant.towers[other].fidelity == own.fidelity
    assert variant.towers[kept].artifact.split("/")[-2] == kept


@pytest.mark.parametrize("kept", TOWERS)
def test_golden_inputs_and_references_of_the_kept_tower_are_the_teachers(student, teacher, kept, tmp_path):
    bundle, _ = adopted(student, teacher, kept, tmp_path)
    golden, theirs, own = (one.manifest.golden for one in (bundle, teacher, open_bundle(student)))

    def rows(one, path):
        return np.load(io.BytesIO(bytes(one.read(path))))

    for tower, field in (("image", "image_embeddings"), ("text", "text_embeddings")):
        source, spec = (teacher, theirs) if tower == kept else (open_bundle(student), own)
        expected = rows(source, getattr(spec, field))
        np.testing.assert_array_equal(rows(bundle, getattr(golden, field)), expected)
    assert golden.texts == (theirs if kept == "text" else own).texts
    assert verify(bundle).passed
    with edgekit.load(bundle.where) as clip:
        assert clip.embed_texts(["a cat"]).shape == (1, tiny.DIMENSION)


@pytest.mark.parametrize("kept", TOWERS)
def test_nothing_is_left_of_what_the_conversion_wrote_for_the_kept_tower(student, teacher, kept, tmp_path):
    bundle, tree = adopted(student, teacher, kept, tmp_path)
    listed = {file.path for file in bundle.manifest.files}
    on_disk = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert on_disk - {"manifest.json"} <= listed
    old = open_bundle(student).manifest.variants[0].towers[kept]
    assert old.artifact not in listed
    manifest = bundle.manifest
    used = {p for t in TOWERS for r in (manifest.variants[0].towers[t],) for p in (r.artifact, *r.sidecars)}
    used |= {manifest.golden.image_embeddings, manifest.golden.text_embeddings, manifest.text.tokenizer, "card.md"}
    used |= {path for image in manifest.golden.images for path in (image.photo, image.pixels)}
    assert listed == used


def test_the_variant_is_float_only_where_the_kept_tower_is(student, teacher, tmp_path):
    bundle, _ = adopted(student, teacher, "text", tmp_path)
    (variant,) = bundle.manifest.variants
    expected = "fp32" if teacher.manifest.variants[0].precision == "fp32" else "mixed"
    assert (variant.id, variant.precision) == (expected, expected)
    assert all(path.startswith(f"variants/{expected}/") for t in variant.towers.values() for path in (t.artifact,))
    own = open_bundle(student).manifest.variants[0].toolchain
    assert variant.toolchain == {**teacher.manifest.variants[0].toolchain, **own}


@pytest.mark.parametrize(("kept", "trimmed"), [("text", False), ("image", True)])
def test_whether_padding_may_be_cut_is_the_kept_text_towers_affair(student, kept, trimmed, tmp_path):
    def untrimmed(manifest):
        return replace(manifest, text=replace(manifest.text, trim_padding=False))

    teacher = open_bundle(tiny.build(tmp_path / "teacher.edge", change=untrimmed))
    bundle, _ = adopted(student, teacher, kept, tmp_path)
    assert bundle.manifest.text.trim_padding == trimmed


INPUTS = {
    "image": np.random.default_rng(0).integers(0, 256, (5, tiny.SIZE, tiny.SIZE, 3), dtype=np.uint8),
    "text": np.random.default_rng(1).integers(0, 40, (5, tiny.CONTEXT_LENGTH), dtype=np.int32),
}


@pytest.mark.parametrize("kind", ["fp32", "static"])
@pytest.mark.parametrize("tower", TOWERS)
def test_a_kept_tower_is_exported_as_the_graph_that_it_is_compared_with(tower, kind, tmp_path):
    """Of a graph that takes two rows at a time, the fifth goes through alone."""
    import onnxruntime

    bundle = open_bundle(tiny.build(tmp_path / "teacher.edge", variants=(kind,)))
    found = kept_tower(bundle, tower)
    rows = found.reference(INPUTS[tower])
    assert rows.shape == (5, tiny.DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert len({row.tobytes() for row in rows}) == 5
    out = tmp_path / "out"
    out.mkdir()
    found.export(out / "tower.onnx")
    session = onnxruntime.InferenceSession(str(out / "tower.onnx"), providers=["CPUExecutionProvider"])
    record = bundle.manifest.variants[0].towers[tower]
    feeds = {record.input.name: INPUTS[tower][:2]}
    np.testing.assert_array_equal(session.run([record.output.name], feeds)[0], rows[:2])
    assert {path.name for path in out.iterdir()} <= {"tower.onnx", "tower.onnx.data"}


def test_a_damaged_tower_is_told_and_leaves_nothing(tmp_path):
    folder = tiny.unpack(tiny.build(tmp_path / "teacher.edge"), tmp_path / "teacher")
    bundle = open_bundle(folder)
    artifact = folder / bundle.manifest.variants[0].image.artifact
    artifact.write_bytes(b"x" * artifact.stat().st_size)
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match=r"image\.onnx"):
        kept_tower(bundle, "image").export(tmp_path / "out" / "tower.onnx")
    assert list((tmp_path / "out").iterdir()) == []
