"""``edgekit eval``: the table, the JSON, the exit codes, and the starter on the sample photos."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit.bundle.manifest import Manifest, Tolerance
from edgekit.cli import evaluate as evaluate_module
from edgekit.cli.main import main
from small_sets import picture

CAPTIONS = {
    "cat": "a cat",
    "coffee": "a cup of coffee",
    "flower": "a flower",
    "rocket": "a rocket taking off",
    "temple": "a temple",
}


@pytest.fixture(scope="module", name="samples")
def _samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for name, caption in CAPTIONS.items():
        shutil.copy(tiny.PHOTOS / f"{name}.jpg", folder)
        (folder / f"{name}.txt").write_text(f"{caption}\n{caption.replace('a ', 'a photo of a ', 1)}\n")
    return folder


def _lenient(manifest: Manifest) -> Manifest:
    return replace(
        manifest,
        variants=tuple(
            replace(v, precision="int8", image=replace(v.image, tolerance=Tolerance(-1, -1))) if v.id == "wrong" else v
            for v in manifest.variants
        ),
    )


@pytest.fixture(scope="module", name="variants")
def _variants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("variants") / "tiny.edge"
    return tiny.build(path, variants=("wrong", "fp32", "nan"), change=_lenient)


def test_the_starter_finds_the_sample_photos_captions(samples: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    printed = run("eval", "starter", "--data", samples, "--threads", 1, "-o", output, "--json").stdout
    report = json.loads(output.read_text())
    assert json.loads(printed) == report
    assert (report["task"], report["images"], report["texts"], report["skipped"]) == ("retrieval", 5, 10, [])
    first = report["outcomes"][0]
    assert first["refused"] == ""
    figures = {metric["name"]: metric["found"] for metric in first["metrics"]}
    assert figures["image_to_text_recall@5"]["value"] == 1.0
    assert figures["text_to_image_recall@1"]["value"] >= 0.8
    assert figures["text_to_image_recall@1"]["n"] == 10
    assert "image_to_text_recall@10" not in figures  # ten texts: the first ten are all
    assert len(report["bundle_sha256"]) == len(report["digest"]) == 64


def test_the_table_compares_the_variants(variants: Path, samples: Path) -> None:
    lines = run("eval", variants, "--data", samples).stdout.splitlines()
    assert lines[0].startswith(f"{variants} (sha256:")
    assert lines[1].startswith(f"{samples.name} (sha256:")
    assert lines[1].endswith("): retrieval, 5 images, 10 texts")
    table = {line.split("  ")[0]: line for line in lines}
    assert lines[3].split() == ["fp32", "wrong"]
    for name in (
        "image→text recall@1 %",
        "text→image recall@1 %",
        "agreement image→text top-1 %",
        "agreement text→image top-5 %",
        "centred cosine images, mean (min)",
        "p, image→text recall@1",
        "images/s (information only)",
    ):
        assert name in table
    assert " - " in table["agreement image→text top-1 %"]  # the reference does not agree with itself
    assert "lost" in table["p, text→image recall@1"]
    assert "(n=5)" in table["agreement image→text top-1 %"]
    assert any(line.endswith("compared with " + _reference(lines)) for line in lines)
    assert lines[-1].startswith("refused: nan on onnxruntime")
    assert "NaN or infinity" in lines[-1]


def _reference(lines: list[str]) -> str:
    runtime = next(line for line in lines if line.startswith("runtime")).split("  ")
    return f"fp32 on {next(part for part in runtime[1:] if part).strip()} (cpu)"


def test_more_candidates_than_fit_beside_each_other_are_shown_below(tmp_path: Path, samples: Path) -> None:
    def copies(manifest: Manifest) -> Manifest:
        (first,) = manifest.variants
        return replace(manifest, variants=tuple(replace(first, id=f"v{i}") for i in range(6)))

    path = tiny.build(tmp_path / "many.edge", change=copies)
    lines = run("eval", path, "--data", samples).stdout.splitlines()
    assert [line.split() for line in lines if line.startswith(" ")] == [["v0", "v1", "v2", "v3"], ["v4", "v5"]]


def test_classes_and_templates(variants: Path, tmp_path: Path) -> None:
    for number in range(6):
        home = tmp_path / "set" / ("cat", "dog")[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "templates.txt").write_text("a photo of a {}\nthe {}\n")
    options = ["--data", tmp_path / "set", "--variant", "fp32", "--template", "{}"]
    text = run("eval", variants, *options, "--templates", tmp_path / "templates.txt").stdout
    assert "templates: {}, a photo of a {}, the {}\n" in text
    assert "classification, 6 images, 2 texts" in text
    assert "top1 %" in text
    assert "mean per class %" in text
    assert "top5" not in text  # of two classes
    assert fails("eval", variants, *options, "--template", "no slot").startswith("Error: template 1 ('no slot')")
    assert "4 images" in run("eval", variants, *options, "--limit", 4).stdout
    assert "unlabelled" in run("eval", variants, *options[:4], "--task", "unlabelled").stdout


def test_broken_photos_are_named_on_standard_error(variants: Path, samples: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(samples, tmp_path / "set")
    (folder / "cat.jpg").write_bytes(b"no image")
    result = run("eval", variants, "--data", folder, "--json")
    assert result.stderr.startswith("skipped: cat.jpg: ")
    assert json.loads(result.stdout)["images"] == 4
    assert fails("eval", variants, "--data", folder, "--strict").startswith("Error: cat.jpg: ")


def test_a_set_that_was_not_fetched_tells_the_command(variants: Path) -> None:
    assert "edgekit data fetch stamps" in fails("eval", variants, "--data", "stamps")


def test_when_all_are_refused_the_exit_code_says_so(samples: Path, tmp_path: Path) -> None:
    path = tiny.build(tmp_path / "nan.edge", variants=("nan",))
    result = run("eval", path, "--data", samples, code=1)
    assert "refused: nan on onnxruntime" in result.stdout
    assert json.loads(run("eval", path, "--data", samples, "--json", code=1).stdout)["outcomes"][0]["refused"]


def test_the_output_is_checked_first(variants: Path, samples: Path, tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "no" / "report.json"):
        assert fails("eval", variants, "--data", samples, "-o", output).startswith(f"Error: {output}: ")


def test_eval_is_listed_and_has_help() -> None:
    assert "eval" in {line.split()[0] for line in run("--help").output.splitlines() if line.startswith("  ")}
    text = run("eval", "--help").output
    assert "edgekit eval" in text.replace("main", "edgekit")
    assert "--json" in text
    assert main.get_command(click.Context(main), "evaluate") is None
    assert "--data" in fails("eval", "starter")


def test_images_are_counted_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __init__(self, tty: bool) -> None:
            self.tty, self.text = tty, ""

        def isatty(self) -> bool:
            return self.tty

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    for tty in (True, False):
        stream = Terminal(tty)
        monkeypatch.setattr(sys, "stderr", stream)
        with evaluate_module._bar(18) as progress:
            assert (progress is not None) == tty
            if progress is not None:
                progress(16)
                progress(2)
        assert ("18/18" in stream.text) == tty
