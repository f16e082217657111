"""What a search starts from and goes on with: refused before anything is computed, and nothing is lost."""

from __future__ import annotations

import dataclasses

import pytest

import frozen_bundle
import tiny_bundle as tiny
from edgekit import __version__
from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize import run
from edgekit.converters.quantize.data import Limits
from edgekit.converters.quantize.run import FIGURES, IDENTITY, Identity, float_variant
from edgekit.errors import BundleError, InputError


@pytest.fixture
def begun(tmp_path, bundle_path, quick):
    """The folder of a search that was interrupted, with an entry in its journal; returns it and its identity."""
    folder = tmp_path / "out.quantize"
    folder.mkdir()
    # What a continuation may change counts as its default.
    settings = dataclasses.replace(quick("half"), minutes=20.0)
    identity = Identity(__version__, open_bundle(bundle_path).digest, "d" * 64, settings, Limits(8, 16, 32))
    (folder / IDENTITY).write_text(schema.dumps(identity))
    (folder / "journal.jsonl").write_text("{}\n")
    return folder, identity


def resumed(tmp_path, bundle_path, pictures, settings, folder, stages=None):
    return run.quantize(
        str(bundle_path),
        tmp_path / "out.edge",
        settings,
        data_set=str(pictures),
        resume=folder,
        on_stage=(stages if stages is not None else []).append,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("edgekit", "0.0.1"), ("bundle", "e" * 64)],
)
def test_a_search_of_something_else_is_not_continued_and_that_is_told_at_once(
    tmp_path, bundle_path, pictures, quick, begun, field, value
):
    folder, identity = begun
    (folder / IDENTITY).write_text(schema.dumps(dataclasses.replace(identity, **{field: value})))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stages = []
    with pytest.raises(InputError) as caught:
        resumed(tmp_path, bundle_path, pictures, quick("half"), folder, stages)
    assert f"{folder}: was begun with another {field} ({value}); give the same, or start anew" in str(caught.value)
    assert stages == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "latency"},
        {"min_agreement": 0.5},
        {"max_drop": 1.0},
        {"methods": ("coarse",)},
        {"towers": ("image",)},
        {"target": "x86-vnni"},
        {"threads": 2},
        {"calibration": "entropy"},
        {"smoothing": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_settings_that_decide_the_outcome_must_be_the_same(tmp_path, bundle_path, pictures, quick, begun, changes):
    settings = dataclasses.replace(quick("half"), **changes)
    with pytest.raises(InputError, match="was begun with another settings"):
        resumed(tmp_path, bundle_path, pictures, settings, begun[0])


def test_other_data_is_noticed_when_it_is_read(tmp_path, bundle_path, pictures, quick, begun):
    """More time and other formats may be asked for; the set must be the one of the journal."""
    folder, identity = begun
    settings = dataclasses.replace(quick("half"), minutes=50.0, keep_float=True, formats=("onnx", "litert"))
    with pytest.raises(InputError, match=f"was begun with another data \\({'d' * 64}\\)"):
        resumed(tmp_path, bundle_path, pictures, settings, folder)
    assert schema.loads(Identity, (folder / IDENTITY).read_bytes(), "") == identity
    assert not (tmp_path / "out.edge").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"edgekit": 1}'], ids=["empty", "torn", "no field", "type"])
def test_a_damaged_record_says_what_to_do(tmp_path, bundle_path, pictures, quick, begun, content):
    (begun[0] / IDENTITY).write_bytes(content)
    with pytest.raises(InputError) as caught:
        resumed(tmp_path, bundle_path, pictures, quick("half"), begun[0])
    assert str(begun[0] / IDENTITY) in str(caught.value)
    assert "leave --resume out to start a new search" in str(caught.value)


def test_an_interrupted_search_is_not_overwritten_but_a_finished_one_is(tmp_path, bundle_path, quick, begun):
    folder, _ = begun
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(InputError, match=r"holds a search that was interrupted; continue it with '--resume .*', or"):
        run.quantize(str(bundle_path), tmp_path / "out.edge", quick("half"), data_set=str(few))
    assert (folder / "journal.jsonl").exists()
    (folder / FIGURES).write_text("{}")
    with pytest.raises(InputError):  # the folder of pictures is empty
        run.quantize(str(bundle_path), tmp_path / "out.edge", quick("half"), data_set=str(few))
    assert not (folder / FIGURES).exists()


def test_the_folder_of_a_search_may_be_a_link_to_another_disk(tmp_path, bundle_path, pictures, quick):
    other = tmp_path / "disk"
    (other / "built").mkdir(parents=True)
    (other / "built" / "left-over").write_text("of a search that was stopped early")
    (tmp_path / "out.quantize").symlink_to(other, target_is_directory=True)
    report, _ = run.quantize(
        str(bundle_path), tmp_path / "out.edge", quick("half", towers=("image",)), data_set=str(pictures)
    )
    assert report.delivered
    assert (tmp_path / "out.quantize").is_symlink()
    assert (other / FIGURES).exists()
    assert not (other / "built").exists()


def test_frozen_labels_are_refused_since_they_would_not_fit_other_weights(tmp_path):
    bundle = open_bundle(frozen_bundle.freeze(tmp_path / "frozen.edge", keep_text=True))
    with pytest.raises(InputError, match="quantize the full bundle first, then specialize what comes out"):
        float_variant(bundle)


def test_the_float_variant_is_the_first_of_onnx_in_float32(tmp_path):
    def several(manifest):
        (first,) = manifest.variants
        others = [("a", "onnx", "int8"), ("b", "tflite", "fp32"), ("c", "onnx", "fp32"), ("d", "onnx", "fp32")]
        made = (dataclasses.replace(first, id=name, format=kind, precision=of) for name, kind, of in others)
        return dataclasses.replace(manifest, variants=tuple(made))

    assert float_variant(open_bundle(tiny.build(tmp_path / "a.edge", change=several))).id == "c"


def test_a_bundle_whose_float_tower_is_damaged_is_told_and_no_output_is_made(tmp_path, bundle_path, pictures, quick):
    folder = tiny.unpack(bundle_path, tmp_path / "unpacked")
    path = folder / open_bundle(bundle_path).manifest.variants[0].text.artifact
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"text\.onnx"):
        run.quantize(str(folder), tmp_path / "out.edge", quick("half"), data_set=str(pictures))
    assert not (tmp_path / "out.edge").exists()
    # What is left can be begun again.
    with pytest.raises(BundleError):
        run.quantize(str(folder), tmp_path / "out.edge", quick("half"), data_set=str(pictures))
