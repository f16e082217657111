"""The comparison of quantization methods: every figure from held-out inputs, a peer's crash is its result."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny_bundle as tiny
from edgekit.benchmarks.quantization import contenders, harness, material, table
from edgekit.benchmarks.quantization.contenders import Contender
from edgekit.benchmarks.quantization.material import Inputs, Material
from edgekit.errors import InputError

CAPTIONS = ("a cat", "a cup of coffee", "a rocket", "a red flower", "a temple", "two bicycles", "a person")


@pytest.fixture
def data(tmp_path: Path, photos: list[Path]) -> Path:
    """Images with captions: each sample photo at four crops, so that both parts of the split hold some."""
    from PIL import Image

    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["path,caption"]
    for number, photo in enumerate(photos):
        with Image.open(photo) as image:
            for part in range(4):
                name = f"{photo.stem}{part}.png"
                image.convert("RGB").crop((part * 40, 0, part * 40 + 120, 120)).save(folder / name)
                rows.append(f"{name},{CAPTIONS[number % len(CAPTIONS)]}")
    (folder / "pairs.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def given(tiny_bundle: Path, data: Path, tmp_path: Path) -> Material:
    return material.prepare(tiny_bundle, data, tmp_path / "masters", calibrate=4, limit=100)


def _breaks(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
    raise RuntimeError("no such operator\nsecond line")


def _same(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
    for path in master.parent.glob(f"{master.name}*"):
        shutil.copy(path, out.parent / path.name)


def test_material_keeps_calibration_apart_from_what_is_measured(given: Material) -> None:
    assert 0 < len(given.calibration.pixels) <= 4
    assert len(given.held_out.pixels) == len(given.targets) > len(given.calibration.pixels)
    held_out = {batch.tobytes() for batch in given.held_out.pixels}
    assert not held_out & {batch.tobytes() for batch in given.calibration.pixels}
    assert all(len(batch) == 1 and batch.dtype == np.uint8 for batch in given.held_out.pixels)
    assert all(batch.shape == (1, tiny.CONTEXT_LENGTH) for batch in given.held_out.padded)
    assert all(max(wanted) < len(given.held_out.ids) for wanted in given.targets)


def test_a_bundle_without_a_float_variant_is_refused(tmp_path: Path, data: Path, tiny_bundle: Path) -> None:
    from dataclasses import replace

    from edgekit.bundle.reader import open_bundle
    from edgekit.bundle.writer import write_bundle

    folder = tiny.unpack(tiny_bundle, tmp_path / "tree")
    manifest = open_bundle(folder).manifest
    (folder / "manifest.json").unlink()
    variants = tuple(replace(variant, precision="int8") for variant in manifest.variants)
    write_bundle(tmp_path / "int8.edge", replace(manifest, variants=variants), folder)
    with pytest.raises(InputError, match="no fp32 ONNX variant"):
        material.prepare(tmp_path / "int8.edge", data, tmp_path / "m", calibrate=1, limit=1)


def test_the_float_graph_agrees_with_itself_and_a_failure_is_a_row(given: Material, tmp_path: Path) -> None:
    field = [
        Contender("same", "onnxruntime", "onnx", _same),
        Contender("broken", "onnxruntime", "onnx", _breaks),
        Contender("absent", "no-such-runtime", "onnx", _same),
    ]
    work = tmp_path / "work"
    work.mkdir()
    rows = {row.name: row for row in table.compare(given, field, work, rounds=2, threads=1)}
    assert rows["same"].agreement[:2] == (1.0, 0.0)
    assert rows["same"].centred == pytest.approx({"image": 1.0, "text": 1.0})
    assert rows["same"].recall == rows[table.FLOAT].recall
    assert rows[table.FLOAT].time["image"].median == 1.0
    assert rows["broken"].failed == "RuntimeError: no such operator"
    assert "no-such-runtime" in rows["absent"].failed
    text = table.report(list(rows.values()))
    assert "| broken | failed: RuntimeError: no such operator |" in text
    assert "| same |" in text
    assert "100.0 ± 0.0" in text


def test_a_method_of_edgekit_is_applied_to_every_group_it_fits(given: Material, tmp_path: Path) -> None:
    for tower in table.TOWERS:
        out = tmp_path / f"{tower}.onnx"
        contenders.uniform("int8_weights")(given.masters[tower], out, tower, given.calibration)
        session = harness.open_file(out, "onnxruntime", "onnx", 1)
        rows = harness.embed(session, given.held_out.pixels if tower == "image" else given.held_out.ids)
        session.close()
        assert np.isfinite(rows).all()


@pytest.mark.parametrize("name", ["onnxruntime quantize_dynamic", "onnxruntime quantize_static"])
def test_peers_write_a_file_that_opens(given: Material, tmp_path: Path, name: str) -> None:
    build = contenders.onnx_peers()[name]
    build(given.masters["image"], tmp_path / "image.onnx", "image", given.calibration)
    session = harness.open_file(tmp_path / "image.onnx", "onnxruntime", "onnx", 1)
    rows = harness.embed(session, given.held_out.pixels)
    session.close()
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)


def test_variants_of_a_quantized_bundle_take_part(given: Material, tiny_bundle: Path, tmp_path: Path) -> None:
    assert contenders.from_bundle("ours", tiny_bundle) == []  # its one variant is float


def test_timing_is_interleaved_and_leaves_the_first_round_out(given: Material) -> None:
    session = harness.open_file(given.masters["image"], "onnxruntime", "onnx", 1)
    times = harness.interleaved({"a": (session, given.held_out.pixels), "b": (session, given.held_out.pixels)}, 3)
    session.close()
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    assert all(value > 0 for values in times.values() for value in values)


def test_a_file_counts_with_the_weights_beside_it(given: Material) -> None:
    path = given.masters["image"]
    assert harness.size(path) == sum(p.stat().st_size for p in path.parent.glob("image.onnx*")) >= path.stat().st_size
