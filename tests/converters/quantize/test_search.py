"""The search as a whole, on tiny towers: the guarantee holds, and nothing that crashes stops it."""

from __future__ import annotations

import json

import pytest

import edgekit
import quantize_kit
from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize import journal, packing, run, search, work
from edgekit.converters.quantize.crew import Interrupted
from edgekit.errors import InputError
from edgekit.verification import verify


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, bundle_path, pictures, quick):
    """One search with every method, those that crash too; returns its report, trades and stages."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(quantize_kit.__file__).rpartition("/")[0])
    out = tmp_path_factory.mktemp("delivered") / "out.edge"
    stages = []
    methods = ("half", "coarse", "wreck", "segfault")
    report, trades = run.quantize(
        str(bundle_path), out, quick(*methods, keep_float=True), data_set=str(pictures), on_stage=stages.append
    )
    patch.undo()
    return report, trades, stages, out


def test_the_smallest_that_keeps_its_promise_is_delivered(delivered):
    report, _, _, _ = delivered
    winner = next(one for one in report.candidates if one.name == report.winner)
    assert report.delivered
    assert not winner.on_held_out.failures
    assert winner.on_held_out.fidelity.image_to_text.top1.value >= 0.95
    assert sum(winner.size.values()) < report.scale.size
    used = {*winner.decision.image.methods.values(), *winner.decision.text.methods.values()}
    assert used <= {"half", "coarse"}
    refused = [one for one in report.candidates if one.on_search.failures]
    assert refused, "the cheapest of all is wrecked and must have been tried first"
    assert sum(refused[0].size.values()) < sum(winner.size.values())


def test_what_crashed_is_recorded_with_its_signal(delivered):
    report, _, _, out = delivered
    failed = {one.method: one.failed for one in report.measured if one.failed}
    assert failed["segfault"] == "the process was ended by SIGSEGV"
    folder = out.with_suffix(".quantize")
    entries = journal.read(folder / work.JOURNAL).values()
    assert any("SIGSEGV" in entry.failed for entry in entries)
    plain = json.loads((folder / run.FIGURES).read_text())
    assert [one["name"] for one in plain["candidates"]] == [one.name for one in report.candidates]
    assert {path.name for path in folder.iterdir()}.isdisjoint({"float", "inputs", "built", "rows", "tree"})


def test_the_bundle_opens_and_verifies_and_says_how_it_was_made(delivered, bundle_path):
    report, _, _, out = delivered
    bundle = open_bundle(out)
    found = verify(bundle)
    assert found.passed
    assert [v.id for v in bundle.manifest.variants] == [report.variant, "fp32"]
    variant = bundle.manifest.variants[0]
    assert variant.fidelity.digest == bundle.manifest.provenance[-1].details["held_out_digest"]
    how = schema.loads(packing.Quantization, bytes(bundle.read(variant.quantization)), "how")
    winner = next(one for one in report.candidates if one.name == report.winner)
    assert how.decision == winner.decision
    assert {group.name for group in how.groups["image"]} == {"patches", "projection"}
    step = bundle.manifest.provenance[-1]
    assert (step.action, step.details["outcome"]) == ("quantize", "passed")
    assert step.details["data_digest"] == report.data_digest
    with edgekit.load(out, variant=report.variant) as clip, edgekit.load(bundle_path) as floats:
        rows = clip.embed_texts(["a red cat"]), floats.embed_texts(["a red cat"])
        assert float((rows[0] * rows[1]).sum()) > 0.99


def test_golden_files_and_tokenizer_are_carried_over_byte_for_byte(delivered, bundle_path):
    old, new = open_bundle(bundle_path), open_bundle(delivered[3])
    kept = [f.path for f in old.manifest.files if f.path.startswith(("golden/", "text/", "variants/fp32"))]
    assert len(kept) > 6
    assert all(bytes(old.read(path)) == bytes(new.read(path)) for path in kept)


def test_the_card_tells_the_trade_and_holds_its_picture(delivered):
    report, trades, _, out = delivered
    bundle = open_bundle(out)
    card = bytes(bundle.read("card.md")).decode()
    assert card.startswith("# tiny")
    assert card.count("## Quantization") == 1
    assert f"| {report.winner} \\* |" in card
    assert "![fidelity against time and size](card/pareto.png)" in card
    assert bytes(bundle.read("card/pareto.png"))[:8] == b"\x89PNG\r\n\x1a\n"
    assert trades[0].name == "float"
    assert report.winner in {one.name for one in trades}


def test_every_stage_tells_the_time_that_is_left(delivered):
    stages = delivered[2]
    assert stages[0] == "unpacking the float towers"
    assert stages[-1] == "packing"
    assert sum("min left" in stage for stage in stages) >= 5


def test_when_nothing_passes_float_is_kept_and_the_figure_is_named(tmp_path, bundle_path, pictures, quick):
    out = tmp_path / "out.edge"
    report, _ = run.quantize(str(bundle_path), out, quick("wreck", towers=("image",)), data_set=str(pictures))
    assert not report.delivered
    assert "top-1 agreement image to text" in report.reason
    bundle = open_bundle(out)
    assert [v.id for v in bundle.manifest.variants] == ["fp32"]
    assert bundle.manifest.provenance[-1].details["outcome"] == report.reason
    assert "Float was kept: " in bytes(bundle.read("card.md")).decode()
    assert verify(bundle).passed


def test_with_the_gate_off_the_cheapest_with_finite_outputs_is_taken(tmp_path, bundle_path, pictures, quick):
    out = tmp_path / "out.edge"
    settings = quick("wreck", "nan", "half", min_agreement=0.0, towers=("image",))
    report, _ = run.quantize(str(bundle_path), out, settings, data_set=str(pictures))
    assert report.delivered
    winner = next(one for one in report.candidates if one.name == report.winner)
    assert set(winner.decision.image.methods.values()) == {"wreck"}
    bundle = open_bundle(out)
    assert [v.id for v in bundle.manifest.variants] == ["mixed"]
    assert verify(bundle).passed


@pytest.mark.parametrize(
    ("over_from", "order"), [(99, [0, 4, 6, 7]), (0, [0, 7]), (1, [0, 7]), (2, [0, 4, 7])], ids=str
)
def test_after_a_failure_the_proof_goes_towards_float_and_ends_with_the_most_faithful(over_from, order):
    best = list(range(8))
    found = []
    while best:
        found.append(search._next(best, len(found), over=len(found) >= over_from))
    assert found == order
    assert search._next(best, 3, over=False) is None


def test_an_interrupted_search_is_continued_and_does_nothing_twice(tmp_path, bundle_path, pictures, quick):
    out = tmp_path / "out.edge"
    folder = out.with_suffix(".quantize")
    methods = ("half", "coarse", "wreck", "segfault")
    entries = folder / work.JOURNAL

    def stopped():
        return len(journal.read(entries)) >= 14

    settings = quick(*methods, keep_float=True)
    with pytest.raises(Interrupted):
        run.quantize(str(bundle_path), out, settings, data_set=str(pictures), stopped=stopped)
    assert not out.exists()
    before = journal.read(entries)
    with pytest.raises(InputError, match=r"--resume"):
        run.quantize(str(bundle_path), out, settings, data_set=str(pictures))
    with pytest.raises(InputError, match=r"begun with another settings"):
        run.quantize(str(bundle_path), out, quick("half"), data_set=str(pictures), resume=folder)
    report, _ = run.quantize(str(bundle_path), out, settings, data_set=str(pictures), resume=folder)
    after = journal.read(entries)
    assert {key: after[key] for key in before} == before
    assert set(after) > set(before)
    # Times are measured, so that another search may try other candidates; each that is delivered keeps the promise.
    winner = next(one for one in report.candidates if one.name == report.winner)
    assert not winner.on_held_out.failures
    assert open_bundle(out).manifest.variants[0].fidelity is not None


def test_a_search_stopped_after_something_passed_delivers_it(tmp_path, bundle_path, pictures, quick):
    out = tmp_path / "out.edge"
    seen = []

    def stopped():
        return any("by group" in stage or "each group" in stage for stage in seen)

    report, _ = run.quantize(
        str(bundle_path),
        out,
        quick("half", "wreck", towers=("image",)),
        data_set=str(pictures),
        stopped=stopped,
        on_stage=seen.append,
    )
    assert report.interrupted
    assert report.delivered
    assert not next(one for one in report.candidates if one.name == report.winner).on_held_out.failures
    assert open_bundle(out).manifest.provenance[-1].details["interrupted"] == "true"
