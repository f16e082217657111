"""A bundle is compiled, held against its promise and packed; a stand-in for a vendor's tool says what it computes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import tiny_bundle as tiny
from abacus_target import CHIP, Abacus
from cli_runner import fails, run
from edgekit.adapting import PROJECTION
from edgekit.bundle import provenance
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize.data import CALIBRATION, SEARCH
from edgekit.converters.targets import catalog, compile_after
from edgekit.converters.targets.compile import CompileOptions, compile_bundle
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError, InputError, MissingDependencyError


@pytest.fixture(autouse=True)
def abacus(monkeypatch):
    monkeypatch.setattr(catalog, "targets", lambda: {"abacus": Abacus()})
    monkeypatch.setattr(store, "require", lambda toolchain: None)
    monkeypatch.setattr(Abacus, "noise", 0.0)
    monkeypatch.setattr(Abacus, "jobs", [])


@pytest.fixture
def options(pictures):
    return CompileOptions(data=str(pictures), rows=16)


def test_the_variant_is_packed_beside_the_others(bundle_path, tmp_path, options) -> None:
    stages: list[str] = []
    report = compile_bundle(str(bundle_path), "abacus", tmp_path / "out.edge", options, stages.append)
    before, after = open_bundle(bundle_path), open_bundle(tmp_path / "out.edge")
    assert [v.id for v in after.manifest.variants] == ["fp32", "abacus-fp16"]
    assert after.manifest.variants[0] == before.manifest.variants[0]
    made = after.manifest.variants[1]
    assert (made.format, made.target, made.precision) == ("beads", "abacus", "fp16")
    assert made.image.artifact == "variants/abacus-fp16/image.beads"
    assert made.image.sidecars == ("variants/abacus-fp16/image.beads.json",)
    assert made.image.output.name == PROJECTION
    assert bytes(after.read(made.text.artifact)) == b"beads " * 10
    assert made.fidelity == report.fidelity
    assert made.fidelity.image_to_text.top1.value == 1
    assert made.fidelity.image.n == 16
    assert made.toolchain["abacus"] == "1"
    # The golden tolerance follows from what was measured.
    assert 0.99 < made.image.tolerance.centred_min < made.image.fidelity.centred_min
    assert after.manifest.golden == before.manifest.golden
    assert provenance.problem(after.manifest.provenance) == ""
    step = after.manifest.provenance[-1]
    assert step.action == "compile"
    assert step.details["target"] == "abacus"
    assert step.details["source_bundle"] == before.digest
    card = bytes(after.read("card.md")).decode()
    assert "## Compiled for abacus in fp16" in card
    assert "image, beads: 10" in card
    assert "A model for tests." in card
    assert report.towers["image"].peak_bytes == 7
    assert report.towers["image"].size == 62
    assert any("moving beads" in stage for stage in stages)


def test_compiling_again_replaces_and_another_precision_joins(bundle_path, tmp_path, options) -> None:
    out = tmp_path / "out.edge"
    compile_bundle(str(bundle_path), "abacus", out, options)
    compile_bundle(str(out), "abacus", out, replace(options, precision="w8a8"))
    assert [v.id for v in open_bundle(out).manifest.variants] == ["fp32", "abacus-fp16", "abacus-w8a8"]
    compile_bundle(str(out), "abacus", out, options)
    opened = open_bundle(out)
    assert [v.id for v in opened.manifest.variants] == ["fp32", "abacus-w8a8", "abacus-fp16"]
    card = bytes(opened.read("card.md")).decode()
    assert card.count("## Compiled for") == 2
    assert len([s for s in opened.manifest.provenance if s.action == "compile"]) == 3


def test_a_tower_that_breaks_the_promise_is_not_packed(bundle_path, tmp_path, options, monkeypatch) -> None:
    monkeypatch.setattr(Abacus, "noise", 0.3)
    out = tmp_path / "out.edge"
    told = r"image tower in fp16 on abacus: centred cosine 0\.\d+ on 16 held-out inputs, 0\.99 was promised; try"
    with pytest.raises(ConversionError, match=rf"{told} --precision w8a8, or lower[\s\S]*beads: 10"):
        compile_bundle(str(bundle_path), "abacus", out, options)
    assert list(tmp_path.iterdir()) == []
    report = compile_bundle(str(bundle_path), "abacus", out, replace(options, min_centred=0.0))
    assert report.towers["image"].fidelity.centred_mean < 0.99
    # The golden check on the device asks for no more than was measured.
    made = open_bundle(out).manifest.variants[1]
    assert made.image.tolerance.centred_min < made.image.fidelity.centred_min < 0.99


def test_not_a_number_breaks_any_promise(bundle_path, tmp_path, options, monkeypatch) -> None:
    monkeypatch.setattr(Abacus, "noise", float("nan"))
    with pytest.raises(ConversionError, match="centred cosine nan"):
        compile_bundle(str(bundle_path), "abacus", tmp_path / "o.edge", replace(options, min_centred=0.0))


def test_towers_that_are_not_named_are_left_to_the_target(bundle_path, tmp_path, options) -> None:
    compile_bundle(
        str(bundle_path), "abacus", tmp_path / "o.edge", replace(options, towers=("image",), precision="w8a8")
    )
    image, text = Abacus.jobs
    assert (image.precision, text.precision) == ("w8a8", None)
    assert Abacus.sizes["image"][CALIBRATION] >= 4
    assert Abacus.sizes["image"][SEARCH] == Abacus.sizes["image"]["reference"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"precision": "a16w8"}, "precision: abacus is compiled in fp16, w8a8, not a16w8"),
        ({"towers": ("sound",)}, "towers: 'sound' is not one of image, text"),
        ({"rows": 3}, "rows: 3 prove nothing"),
        ({"min_centred": 2.0}, r"min-centred: 2 is not in 0\.\.1"),
    ],
)
def test_wrong_options_are_refused_first(bundle_path, tmp_path, options, changes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        compile_bundle(str(bundle_path), "abacus", tmp_path / "o.edge", replace(options, **changes))
    assert not Abacus.jobs


def test_the_output_is_checked(bundle_path, tmp_path, options) -> None:
    for out, told in ((tmp_path / "o.zip", "ends in .edge"), (tmp_path / "no" / "o.edge", "does not exist")):
        with pytest.raises(InputError, match=told):
            compile_bundle(str(bundle_path), "abacus", out, options)
    (tmp_path / "d.edge").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        compile_bundle(str(bundle_path), "abacus", tmp_path / "d.edge", options)


def test_without_the_toolchain_the_command_is_told(bundle_path, tmp_path, options, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(catalog, "targets", lambda: {"abacus": Abacus()})
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="edgekit toolchain install rknn"):
        compile_bundle(str(bundle_path), "abacus", tmp_path / "o.edge", options)


def test_a_bundle_without_float_is_refused(tmp_path, options) -> None:
    path = tiny.build(tmp_path / "b.edge", change=_int8)
    with pytest.raises(InputError, match=r"starts from float32 .*--weights float32"):
        compile_bundle(str(path), "abacus", tmp_path / "o.edge", options)


def _int8(manifest):
    return replace(manifest, variants=tuple(replace(v, precision="int8") for v in manifest.variants))


def test_the_command_line(bundle_path, tmp_path, pictures) -> None:
    out = tmp_path / "out.edge"
    given = ("compile", bundle_path, "--target", "abacus", "-o", out, "--data", pictures, "--rows", 16)
    shown = run(*given).stdout
    assert "variant abacus-fp16  proof: compiled only" in shown
    assert "image, beads: 10" in shown
    assert "note: only 16 held-out images" in shown


def test_the_list_says_how_each_is_proven() -> None:
    assert "compiled only" in run("compile", "--list").stdout
    (row,) = json.loads(run("compile", "--list", "--json").stdout)
    assert row["name"] == "abacus"
    assert row["toolchain"] == "rknn"


def test_wrong_use_of_the_command(bundle_path, tmp_path) -> None:
    assert "--list" in fails("compile", bundle_path)
    told = fails("compile", bundle_path, "--target", "slide", "-o", tmp_path / "o.edge")
    assert "'slide' is not one of abacus" in told


def test_convert_names_a_chip(tmp_path, pictures, monkeypatch, bundle_path) -> None:
    asked = []

    def converted(source, out, options, on_stage):
        asked.append((source, options.weights, options.target))
        out.write_bytes(bundle_path.read_bytes())

    monkeypatch.setattr(compile_after.conversion, "convert", converted)
    monkeypatch.setattr(compile_after.data, "find", lambda given: pictures)
    out = tmp_path / "out.edge"
    report = json.loads(run("convert", "open_clip:RN50", "-o", out, "--target", "abacus", "--json").stdout)
    assert report["variant"] == "abacus-fp16"
    assert report["towers"]["text"]["precision"] == "fp16"
    assert report["fidelity"]["image_to_text"]["top1"]["n"] > 16
    assert asked == [("open_clip:RN50", "float32", "any")]
    assert [v.id for v in open_bundle(out).manifest.variants] == ["fp32", "abacus-fp16"]
    told = fails("convert", "open_clip:RN50", "-o", out, "--target", "abacus", "--weights", "int8")
    assert "compiled from float32" in told
    assert "'slide' is not one of abacus" in fails("convert", "open_clip:RN50", "-o", out, "--target", "slide")
    assert len(asked) == 1


def test_a_chip_with_nothing_to_compile_in_advance_is_told(bundle_path, tmp_path, options) -> None:
    given = replace(options, in_advance=True)
    with pytest.raises(InputError, match=r"context: abacus has nothing to compile in advance of the device, only: $"):
        compile_bundle(str(bundle_path), "abacus", tmp_path / "out.edge", given)
    assert not (tmp_path / "out.edge").exists()


def test_what_is_to_be_compiled_in_advance_is_asked_of_the_target(bundle_path, tmp_path, options, monkeypatch) -> None:
    monkeypatch.setattr(Abacus, "chips", lambda _: (replace(CHIP, in_advance=True),))
    for asked in (True, False):
        Abacus.jobs.clear()
        compile_bundle(str(bundle_path), "abacus", tmp_path / "out.edge", replace(options, in_advance=asked))
        assert [job.in_advance for job in Abacus.jobs] == [asked, asked]
    listed = json.loads(run("compile", "--list", "--json").stdout)
    assert [row["in_advance"] for row in listed] == [True]
