"""The table of simulators: cases, failures as results, and figures that are those of `edgekit.fidelity`."""

from __future__ import annotations

import numpy as np
import pytest

import quantize_kit
import tiny_bundle as tiny
from edgekit.adapting import PROJECTION, unit_rows
from edgekit.benchmarks.simulators import defaults, table
from edgekit.benchmarks.simulators.table import OURS, VENDOR, Case, Row
from edgekit.bundle.manifest import TensorSpec
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.quantize.run import float_variant
from edgekit.converters.targets import catalog, inputs
from edgekit.converters.targets.records import Built, Chip
from edgekit.errors import ConversionError, InputError, UnsupportedModelError
from edgekit.fidelity import agreement

CHIP = Chip("abacus", "ab4cus", ("fp16", "w8a8"), "compiled only", "beads")


def _rows(job, noise, part=HELD_OUT):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(job.master), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: np.load(job.inputs[part])})[0]
    return unit_rows(found + noise * np.random.default_rng(0).normal(size=found.shape))


class Abacus:
    """Computes what the float tower does, off by a little; its tool's default is off by more."""

    format, toolchain = "beads", "abacus"
    named = ("image", "text")

    def chips(self):
        return (CHIP,)

    def towers(self, chip):
        return self.named

    def build(self, job, on_stage):
        on_stage("moving beads")
        if job.tower == "text" and job.precision == "w8a8":
            raise ConversionError("the tool failed; its last lines:\n  a bead | is missing\n")
        artifact = job.folder / "image.beads"
        artifact.write_bytes(b"b" * 2_000_000)
        rows = {part: _rows(job, 0.01, part) for part in (HELD_OUT, GOLDEN)}
        spec = TensorSpec("pixels", "uint8", job.shape)
        out = TensorSpec(PROJECTION, "float32", (1, rows[HELD_OUT].shape[1]))
        return Built((artifact,), spec, out, rows, job.precision, {}, {"abacus": "1"}, 0.1, 1)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    opened = open_bundle(tiny.build(folder / "tiny.edge"))
    pictures = quantize_kit.material(folder / "set")
    return inputs.prepare(opened, float_variant(opened), pictures, folder, 16, lambda _: None)


@pytest.fixture(autouse=True)
def abacus(monkeypatch):
    monkeypatch.setattr(catalog, "targets", lambda: {"abacus": Abacus()})
    monkeypatch.setitem(defaults.DEFAULTS, "abacus", lambda job, on_stage: _rows(job, 0.2))


def test_words_become_cases_with_the_vendors_before() -> None:
    assert table.cases_of(["rk3588:w8a8"], vendor=False) == [Case("rk3588", "w8a8", OURS)]
    both = table.cases_of(["a:b", "c:d"], vendor=True)
    assert both == [Case("a", "b", VENDOR), Case("a", "b", OURS), Case("c", "d", VENDOR), Case("c", "d", OURS)]


@pytest.mark.parametrize("word", ["rk3588", ":w8a8", "rk3588:"])
def test_a_malformed_word_is_refused(word) -> None:
    with pytest.raises(InputError, match=f"--case {word}: give it as CHIP:PRECISION"):
        table.cases_of([word], vendor=True)


def test_a_precision_that_the_chip_has_not_is_refused_before_work(start, tmp_path) -> None:
    with pytest.raises(InputError, match="case abacus:hybrid: it is compiled in fp16, w8a8"):
        table.compare(start, [Case("abacus", "hybrid", OURS)], tmp_path / "work", lambda _: None)
    assert not (tmp_path / "work").exists()


def test_both_recipes_are_measured_on_the_held_out_part(start, tmp_path) -> None:
    stages: list[str] = []
    cases = table.cases_of(["abacus:fp16"], vendor=True)
    theirs, ours = table.compare(start, cases, tmp_path, stages.append)
    reference = np.load(start.reference["image"][HELD_OUT])
    assert ours.centred["image"] > theirs.centred["image"]
    assert ours.failed == theirs.failed == {}
    assert ours.megabytes == {"image": 2.0, "text": 2.0}
    assert theirs.megabytes == {}
    assert ours.top1 is not None
    assert ours.top1[2] == len(reference)
    assert "abacus fp16 edgekit: moving beads" in stages
    # The figures are those of the one definition.
    rows = unit_rows(reference + 0.01 * np.random.default_rng(0).normal(size=reference.shape))
    assert ours.cosine["image"] == pytest.approx(agreement(rows, reference).cosine_mean, abs=1e-4)


def test_a_failure_is_a_result_of_its_tower(start, tmp_path) -> None:
    (row,) = table.compare(start, [Case("abacus", "w8a8", OURS)], tmp_path, lambda _: None)
    assert row.failed == {"text": "a bead / is missing"}
    assert set(row.centred) == {"image"}
    assert row.top1 is None


def test_a_tower_that_stays_beside_the_chip_is_float(start, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Abacus, "named", ("image",))
    (row,) = table.compare(start, [Case("abacus", "w8a8", OURS)], tmp_path, lambda _: None)
    assert row.failed == {}
    assert row.centred["text"] == pytest.approx(1)
    assert row.top1 is not None


def test_the_table_says_everything(start) -> None:
    whole = {"image": 0.99991, "text": 0.9}
    good = Row(Case("rk3588", "fp16", OURS), {}, whole, whole, whole, {"image": 1.0}, (0.9375, 0.0625, 16))
    bad = Row(Case("qcs6490", "w8a8", VENDOR), {"text": "no Where"}, whole, whole, whole, {}, None)
    lines = table.report([good, bad]).split("\n")
    assert lines[2] == (
        "| rk3588 | fp16 | edgekit | 0.9999 / 0.9999 / 1.000 | 0.9000 / 0.9000 / 0.900 | 94 ± 6 % (n = 16) |"
    )
    assert lines[3].endswith("| failed: no Where | – |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_toolchain_without_a_default_is_refused(start) -> None:
    with pytest.raises(UnsupportedModelError, match="coreml: it has no default to compare with"):
        defaults.rows("coreml", None, lambda _: None)
