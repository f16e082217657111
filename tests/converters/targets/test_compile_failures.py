"""However a compilation ends, the bundle that was there is whole: it fails as one error, or it is replaced as one."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from abacus_target import CHIP, Abacus
from edgekit.bundle import provenance
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.quantize.run import float_variant
from edgekit.converters.targets import catalog, inputs
from edgekit.converters.targets.compile import CompileOptions, compile_bundle
from edgekit.converters.targets.records import AIM_CENTRED
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError, InputError, UnsupportedModelError


class Changed(Abacus):
    """The abacus, after which a test puts its hand to what was built."""

    hand = staticmethod(lambda job, built: built)

    def build(self, job, on_stage):
        return Changed.hand(job, super().build(job, on_stage))


@pytest.fixture(scope="module")
def started(bundle_path, pictures, tmp_path_factory):
    """The data, divided and embedded once for all the tests of this file: that takes most of the time."""
    opened, folder = open_bundle(bundle_path), tmp_path_factory.mktemp("start")
    return inputs.prepare(opened, float_variant(opened), pictures, folder, 16, lambda _: None)


@pytest.fixture(autouse=True)
def abacus(monkeypatch, started):
    monkeypatch.setattr(catalog, "targets", lambda: {"abacus": Changed()})
    monkeypatch.setattr(store, "require", lambda toolchain: None)
    monkeypatch.setattr(inputs, "prepare", lambda *_: started)
    monkeypatch.setattr(Abacus, "noise", 0.0)
    monkeypatch.setattr(Abacus, "jobs", [])


@pytest.fixture
def build(bundle_path, pictures, tmp_path, monkeypatch):
    """Compile onto a file that is there already, with a hand put to what each tower's tool returns."""
    out = tmp_path / "out.edge"

    def run(hand=lambda job, built: built, **changes):
        monkeypatch.setattr(Changed, "hand", staticmethod(hand))
        options = replace(CompileOptions(data=str(pictures), rows=16), **changes)
        return compile_bundle(str(bundle_path), "abacus", out, options)

    run.out = out
    return run


def raising(error):
    """A tool that fails at the second tower, when the first is finished."""

    def hand(job, built):
        if job.tower == "text":
            raise error
        return built

    return hand


@pytest.mark.parametrize(
    "error",
    [
        UnsupportedModelError("no such bead"),
        ConversionError("the string broke"),
        KeyboardInterrupt(),
        OSError(28, "No space left on device"),
        ValueError("a fault of the target"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_at_the_second_tower_changes_nothing(build, error) -> None:
    build()
    before = build.out.read_bytes()
    with pytest.raises(type(error)):
        build(raising(error))
    assert build.out.read_bytes() == before
    assert list(build.out.parent.iterdir()) == [build.out]


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        (HELD_OUT, lambda rows: rows[:-1], r"returns \(15, 8\) rows for the held-out inputs, not \(16, 8\)"),
        (GOLDEN, lambda rows: rows[:, :4], r"returns \(\d+, 4\) rows for the golden inputs, not \(\d+, 8\)"),
        (GOLDEN, None, r"returns no rows for the golden inputs"),
    ],
)
def test_rows_that_are_not_of_every_input_are_a_fault_of_the_target(build, started, part, change, told) -> None:
    def hand(job, built):
        rows = dict(built.rows)
        found = rows.pop(part)
        return replace(built, rows={**rows, part: change(found)} if change else rows)

    dimension = np.load(started.reference["image"][HELD_OUT]).shape[1]
    told = told.replace("8", str(dimension))
    with pytest.raises(ConversionError, match=rf"the image tower on abacus: its target {told}.*No bundle was written"):
        build(hand)
    assert list(build.out.parent.iterdir()) == []


def test_two_files_of_one_name_do_not_overwrite_each_other(build) -> None:
    """Both towers' files lie in one folder of the bundle: a target that calls both `model.beads` loses one."""

    def hand(job, built):
        first, *others = built.files
        return replace(built, files=(first.rename(first.with_name("model.beads")), *others))

    with pytest.raises(ConversionError, match=r"text tower for abacus: model\.beads is the name of two files"):
        build(hand)
    assert list(build.out.parent.iterdir()) == []


def test_a_sidecar_that_is_no_longer_made_leaves_the_bundle(build, bundle_path) -> None:
    build()
    sidecars = "variants/abacus-fp16/image.beads.json", "variants/abacus-fp16/text.beads.json"
    assert set(sidecars) <= {file.path for file in open_bundle(build.out).manifest.files}
    compile_again = CompileOptions(data="unused", rows=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Changed, "hand", staticmethod(lambda job, built: replace(built, files=built.files[:1])))
        patch.setattr("edgekit.converters.quantize.data.find", lambda given: given)
        compile_bundle(str(build.out), "abacus", build.out, compile_again)
    after = open_bundle(build.out)
    assert not set(sidecars) & {file.path for file in after.manifest.files}
    assert [one.id for one in after.manifest.variants] == ["fp32", "abacus-fp16"]
    assert after.manifest.variants[1].image.sidecars == ()
    # What was there before both is there still, bit by bit.
    for file in open_bundle(bundle_path).manifest.files:
        if file.path not in ("card.md", "manifest.json"):
            assert bytes(after.read(file.path)) == bytes(open_bundle(bundle_path).read(file.path))


def test_two_at_once_leave_one_whole_bundle(build, bundle_path, pictures) -> None:
    """Two people, one file: each bundle is complete, and the last one to finish stays."""
    meeting = threading.Barrier(2, timeout=60)
    failed: list[BaseException] = []

    def hand(job, built):
        meeting.wait()
        return built

    def one(precision):
        options = CompileOptions(precision=precision, data=str(pictures), rows=16)
        try:
            compile_bundle(str(bundle_path), "abacus", build.out, options)
        except BaseException as error:
            failed.append(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Changed, "hand", staticmethod(hand))
        threads = [threading.Thread(target=one, args=(precision,)) for precision in CHIP.precisions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    found = open_bundle(build.out)
    assert [each.id for each in found.manifest.variants] in (["fp32", "abacus-fp16"], ["fp32", "abacus-w8a8"])
    assert provenance.problem(found.manifest.provenance) == ""
    for file in found.manifest.files:
        found.read(file.path)  # its digest is right, or this fails
    assert list(build.out.parent.iterdir()) == [build.out]


def test_what_is_aimed_at_follows_the_precision_or_the_user(build) -> None:
    build(precision="w8a8")
    assert {job.goal for job in Abacus.jobs} == {AIM_CENTRED["w8a8"]}
    Abacus.jobs.clear()
    build(precision="w8a8", min_centred=0.25)
    assert {job.goal for job in Abacus.jobs} == {0.25}


def test_a_tower_that_was_left_to_the_target_is_held_to_no_promise_but_to_numbers(build) -> None:
    def poor(job, built):
        if job.tower == "image":
            return built
        noise = np.random.default_rng(0).normal(size=built.rows[HELD_OUT].shape)
        rows = built.rows[HELD_OUT] + 0.2 * noise.astype(np.float32)
        return replace(built, rows={**built.rows, HELD_OUT: rows})

    def broken(job, built):
        nothing = {part: np.full_like(rows, np.nan) for part, rows in built.rows.items()}
        return built if job.tower == "image" else replace(built, rows=nothing)

    report = build(poor, towers=("image",))
    assert report.towers["text"].fidelity.centred_mean < 0.9
    with pytest.raises(ConversionError, match="text tower in fp16 on abacus: centred cosine 0"):
        build(poor)
    with pytest.raises(ConversionError, match="text tower in fp16 on abacus: centred cosine nan"):
        build(broken, towers=("image",))


@pytest.mark.parametrize("value", [float("nan"), -0.1, float("inf")])
def test_a_promise_that_is_none_is_refused(build, value) -> None:
    with pytest.raises(InputError, match=r"min-centred: .* is not in 0\.\.1"):
        build(min_centred=value)
    assert Abacus.jobs == []


def test_the_card_says_what_was_not_measured(build) -> None:
    build(lambda job, built: replace(built, peak_bytes=0 if job.tower == "image" else 2_500_000_000))
    card = bytes(open_bundle(build.out).read("card.md")).decode()
    rows = {line.split("|")[1].strip(): line for line in card.splitlines() if line.startswith("|")}
    assert rows["image"].rstrip(" |").endswith("unmeasured")
    assert rows["text"].rstrip(" |").endswith("2.5")
