"""The command: refusals before anything is computed, exit codes, JSON, and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import quantize_kit
import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit.converters.quantize import journal, picture, work
from edgekit.converters.quantize import run as running
from edgekit.converters.quantize.settings import Settings, check
from edgekit.errors import InputError, MissingDependencyError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "out.onnx"), "ends in .edge"),
        (("-o", "none/out.edge"), "does not exist; create it first"),
        (("-o", "out.edge", "--budget", "0"), "more than 0"),
        (("-o", "out.edge", "--min-agreement", "99"), "0.99 stands for 99 %"),
        (("-o", "out.edge", "--max-drop", "-1"), "no number of points from 0 on; leave it out"),
        (("-o", "out.edge", "--towers", "image,audio"), "'audio' is not one of image, text"),
        (("-o", "out.edge", "--formats", "litert"), "write onnx,litert for both"),
        (("-o", "out.edge", "--formats", ""), "formats: is empty"),
        (("-o", "out.edge"), "edgekit data fetch stamps"),
        (("-o", "out.edge", "--data", "no_such_set"), "edgekit data fetch no_such_set"),
        (("-o", "out.edge", "--data", ".", "--resume", "."), "no folder of an interrupted search"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_wrong_use_is_refused_with_what_to_do(tmp_path, monkeypatch, bundle_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails("quantize", bundle_path, *arguments)
    assert not (tmp_path / "out.edge").exists()


def test_a_bundle_without_float_towers_is_refused_with_the_command_that_makes_one(tmp_path, pictures):
    import dataclasses

    def without_float(manifest):
        stored = dataclasses.replace(manifest.variants[0], precision="int8")
        return dataclasses.replace(manifest, variants=(stored,))

    bundle = tiny.build(tmp_path / "int8.edge", change=without_float)
    message = fails("quantize", bundle, "-o", tmp_path / "out.edge", "--data", pictures)
    assert "fp32 (onnx, int8)" in message
    assert "edgekit convert tests:tiny:0 -o FLOAT.edge --weights float32" in message


def test_a_float_tower_that_returns_nan_is_an_error(tmp_path, pictures):
    import dataclasses

    bundle = tiny.build(
        tmp_path / "nan.edge",
        variants=("nan",),
        change=lambda m: dataclasses.replace(m, variants=(dataclasses.replace(m.variants[0], precision="fp32"),)),
    )
    message = fails("quantize", bundle, "-o", tmp_path / "out.edge", "--data", pictures, code=1)
    assert "the float image tower fails here on golden" in message
    assert "NaN" in message


def test_too_little_data_is_refused(tmp_path, bundle_path):
    few = quantize_kit.material(tmp_path / "few", 12)
    message = fails("quantize", bundle_path, "-o", tmp_path / "out.edge", "--data", few)
    assert "at least 8 are needed" in message or "gets none of the 12 images" in message


def test_a_folder_that_is_in_the_way_is_not_touched(tmp_path, bundle_path, pictures):
    (tmp_path / "out.quantize").mkdir()
    (tmp_path / "out.quantize" / "thesis.txt").write_text("precious")
    message = fails("quantize", bundle_path, "-o", tmp_path / "out.edge", "--data", pictures)
    assert "is in the way" in message
    assert (tmp_path / "out.quantize" / "thesis.txt").read_text() == "precious"


def test_what_an_early_stop_left_is_replaced(tmp_path):
    out = tmp_path / "out.edge"
    (tmp_path / "out.quantize" / "float").mkdir(parents=True)
    folder = running._folder(out, None)
    assert list(folder.iterdir()) == []


def test_without_matplotlib_the_search_does_not_begin(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"edgekit\[quantize\]"):
        picture.require()


def test_settings_that_make_sense_pass(tmp_path):
    check(Settings(max_drop=0.5, towers=("text",), formats=("onnx", "litert")), tmp_path / "out.edge")
    with pytest.raises(InputError, match="is a folder"):
        (tmp_path / "folder.edge").mkdir()
        check(Settings(), tmp_path / "folder.edge")


def test_a_real_search_from_the_command_line(tmp_path, bundle_path, pictures):
    """The methods of the package, not those of the test."""
    out = tmp_path / "out.edge"
    result = run(
        *("quantize", bundle_path, "-o", out, "--data", pictures, "--for", "size", "--budget", "3"),
        *("--methods", "int8_weights,float16_weights", "--towers", "image", "--min-agreement", "0.9", "--json"),
    )
    found = json.loads(result.stdout)
    assert found["delivered"]
    assert found["out"] == str(out)
    sizes = next(one["size"] for one in found["candidates"] if one["name"] == found["winner"])
    assert sizes["image"] < found["scale"]["tower_size"]["image"]
    assert sizes["text"] == found["scale"]["tower_size"]["text"]
    assert found["peak"] > 1e6
    assert found["worker_peak"] > 1e6
    assert found["measured"][0]["method"] in {"int8_weights", "float16_weights"}
    verified = run("verify", out)
    assert "PASSED" in verified.stdout


def test_an_unknown_method_is_refused_with_those_that_exist(tmp_path, bundle_path, pictures):
    (tmp_path / "out.quantize").mkdir()
    (tmp_path / "out.quantize" / running.IDENTITY).touch()
    (tmp_path / "out.quantize" / running.FIGURES).touch()  # a search that was delivered makes room for the next
    out = tmp_path / "out.edge"
    message = fails("quantize", bundle_path, "-o", out, "--data", pictures, "--methods", "int9")
    assert "methods: 'int9' is not one of" in message
    assert "dynamic_int8" in message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_before_anything_passed_leaves_a_folder_to_resume(tmp_path, bundle_path, pictures, number):
    out = tmp_path / "out.edge"
    command = [sys.executable, "-m", "edgekit.cli.main", "quantize", str(bundle_path), "-o", str(out)]
    child = subprocess.Popen(
        [*command, "--data", str(pictures), "--towers", "image"],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    folder = out.with_suffix(".quantize")
    limit = time.monotonic() + 120
    while len(journal.read(folder / work.JOURNAL)) < 10:
        assert time.monotonic() < limit
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert f"no bundle was written; continue with '--resume {folder}'" in errors.decode()
    assert not out.exists()
