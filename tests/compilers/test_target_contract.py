"""What every target must do, whatever its tool: one suite over the smallest real towers."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit import golden
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog
from edgekit.converters.targets import compile as compiling
from edgekit.converters.targets.compile import CompileOptions, compile_bundle
from edgekit.converters.targets.records import LEAST_CENTRED
from edgekit.fidelity import agreement
from edgekit.runtimes import registry

CHIPS = (
    "rk3588",
    "rk3562",
    "ethos-u55-128",
    "qcs6490",
    "jetson-orin",
    "bm1684x",
    "coreml",
    "coreml-provider",
    "ascend310b4",
    "mnn",
    "ncnn",
    "openvino",
)


@pytest.fixture(scope="module", params=CHIPS)
def compiled(request, toolchain, bundle_path, pictures, tmp_path_factory):
    """A bundle compiled in a chip's default precision, with what its target built and said meanwhile."""
    target, chip = catalog.find(request.param)
    if target.toolchain:
        toolchain(target.toolchain)
    out = tmp_path_factory.mktemp("out") / "chip.edge"
    stages: list[str] = []
    built = []
    with pytest.MonkeyPatch.context() as patch:
        judged = compiling._judge
        patch.setattr(
            compiling, "_judge", lambda tower, one, *rest: (built.append((tower, one)), judged(tower, one, *rest))[1]
        )
        options = CompileOptions(data=str(pictures), rows=16)
        report = compile_bundle(str(bundle_path), chip.name, out, options, stages.append)
    return chip, target, report, open_bundle(out), dict(built), stages


def test_the_promise_is_kept(compiled) -> None:
    chip, target, report, _, _, _ = compiled
    for tower in target.towers(chip):
        assert report.towers[tower].fidelity.centred_mean >= LEAST_CENTRED[chip.precisions[0]]
    assert report.proof == chip.proof


def test_rows_are_whole_and_of_length_one(compiled) -> None:
    _, _, report, bundle, built, _ = compiled
    for tower, one in built.items():
        assert {HELD_OUT, GOLDEN} <= set(one.rows)
        for rows in one.rows.values():
            assert rows.dtype == np.float32
            assert rows.shape[1] == bundle.manifest.embedding.dimension
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        found = agreement(one.rows[GOLDEN], golden.reference(bundle, tower))
        assert found == report.towers[tower].golden


def test_the_record_fits_the_files(compiled) -> None:
    chip, target, report, bundle, built, _ = compiled
    made = bundle.manifest.variants[-1]
    assert made.id == report.variant == f"{chip.name}-{chip.precisions[0]}"
    assert (made.target, made.format) == (chip.name, target.format)
    for tower, record in made.towers.items():
        assert record.input.shape[0] == 1 or isinstance(record.input.shape[0], str)  # one, or any number
        assert record.input == built[tower].input
        assert len(bytes(bundle.read(record.artifact))) > 100
        assert record.tolerance.centred_min < record.fidelity.centred_min + 1e-9
    assert made.toolchain
    assert any(target.format in registry.get(name).formats for name in registry.names())


def test_the_user_is_told(compiled) -> None:
    chip, _, report, bundle, _, stages = compiled
    assert len(stages) > 4
    assert all("\n" not in stage for stage in stages)
    assert all(one.facts for one in report.towers.values())
    card = bytes(bundle.read("card.md")).decode()
    assert f"Compiled for {chip.name}" in card
    assert report.towers["image"].seconds > 0
    # Looked at ten times a second: a tool that takes less is seen as it starts.
    assert report.towers["image"].peak_bytes > 1_000_000
