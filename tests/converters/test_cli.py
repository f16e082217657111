"""``edgekit convert``: options reach the conversion as they were typed, and the report is shown as it is."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli_runner import fails, run
from edgekit.bundle.manifest import Agreement
from edgekit.converters import cli
from edgekit.converters.convert import ConvertOptions, Report, TowerReport
from edgekit.converters.targets import compile_after
from edgekit.converters.verdict import LIMITS, Preprocessing
from edgekit.errors import ConversionError

IMAGE = TowerReport(12_345_678, Agreement(6, 1.3e-4, 0.999871, 0.99999, 0.998765, 0.9999))
TEXT = TowerReport(900_000, Agreement(18, 0.0, 1.0, 1.0, 1.0, 1.0))
REPORT = Report("out.edge", 14_000_000, "fp32", IMAGE, TEXT, Preprocessing(2, 0.98765, 18), True, 12.4)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reaches the conversion, in the place of one."""
    seen: list[Any] = []

    def convert(source: str, out: Path, options: ConvertOptions, on_stage: Any) -> Report:
        on_stage("loading")
        seen.append((source, out, options))
        return REPORT

    monkeypatch.setattr(cli, "run", convert)
    return seen


def test_without_options_everything_is_left_to_the_source(asked: list[Any]) -> None:
    run("convert", "starter", "-o", "out.edge")
    assert asked == [("starter", Path("out.edge"), ConvertOptions())]


def test_every_option_arrives(asked: list[Any]) -> None:
    flags = ["--tokenizer", "t.json", "--photos", "p", "--weights", "int8", "--name", "n", "--license", "MIT"]
    flags += ["--template", "a {}", "--template", "{} b", "--pixel-limit", "0", "--target", "litert"]
    run("convert", "hf:owner/model", "--output", "x.edge", *flags)
    ((source, out, options),) = asked
    assert (source, out) == ("hf:owner/model", Path("x.edge"))
    assert options == ConvertOptions(
        Path("t.json"), Path("p"), "int8", "n", "MIT", ("a {}", "{} b"), pixel_limit=0, target="litert"
    )


@pytest.mark.parametrize("weights", list(LIMITS))
def test_every_way_to_store_weights_can_be_asked_for(asked: list[Any], weights: str) -> None:
    run("convert", "starter", "-o", "out.edge", "--weights", weights)
    assert asked[0][2].weights == weights


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--weights", "int2"), ("--pixel-limit", "-1"), ("--pixel-limit", "256"), ("--pixel-limit", "x")],
)
def test_wrong_use_starts_nothing(asked: list[Any], flag: str, value: str) -> None:
    told = fails("convert", "starter", "-o", "out.edge", flag, value)
    assert flag in told
    assert value in told
    assert asked == []


def test_a_table_shows_every_figure(asked: list[Any]) -> None:
    lines = run("convert", "starter", "-o", "out.edge").stdout.splitlines()
    assert lines == [
        "out.edge  14.0 MB  variant fp32  12 s",
        "",
        "tower               MB  max error    cosine   centred",
        "image             12.3    1.3e-04  0.999871  0.998765",
        "text               0.9    0.0e+00  1.000000  1.000000",
        "",
        "pixels: at most 2 of 255 apart, 98.77% equal",
        "token ids: equal on all 18 texts; short texts cost less",
    ]


def test_the_litert_towers_stand_below_the_others() -> None:
    rows = cli.table(replace(REPORT, litert={"image": IMAGE, "text": TEXT}, trim_padding=False)).splitlines()
    assert [line.split("  ")[0] for line in rows[3:7]] == ["image", "text", "image, LiteRT", "text, LiteRT"]
    assert len({len(line) for line in rows[2:7]}) == 1  # the columns stay under each other
    assert rows[-1].endswith("short texts cost as much as long ones")


def test_json_is_the_report(asked: list[Any]) -> None:
    found = json.loads(run("convert", "starter", "-o", "out.edge", "--json").stdout)
    facts = [found[name] for name in ("bundle", "size", "variant", "seconds", "trim_padding")]
    assert facts == ["out.edge", 14_000_000, "fp32", 12.4, True]
    assert found["image"] == {"size": 12_345_678, "fidelity": found["image"]["fidelity"]}
    assert found["image"]["fidelity"]["centred_min"] == 0.998765
    assert found["preprocessing"] == {"pixels_max": 2, "pixels_equal": 0.98765, "texts": 18}
    assert found["litert"] == {}


def test_a_chip_is_compiled_for_after_the_conversion(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def refuse(source: str, out: Path, options: ConvertOptions, on_stage: Any) -> Any:
        given.append((source, options.target))
        raise ConversionError("the toolchain has a fault")

    monkeypatch.setattr(compile_after, "convert", refuse)
    assert "the toolchain has a fault" in fails("convert", "starter", "-o", "out.edge", "--target", "rk3588", code=1)
    assert given == [("starter", "rk3588")]
    assert asked == []


def test_an_unknown_chip_is_told_before_anything_is_converted(asked: list[Any], tmp_path: Path) -> None:
    told = fails("convert", "starter", "-o", tmp_path / "out.edge", "--target", "abacus9000")
    assert "abacus9000" in told
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_conversion_ends_on_a_signal_and_handlers_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def killed(*_: object) -> Report:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")

    monkeypatch.setattr(cli, "run", killed)
    run("convert", "starter", "-o", "out.edge", code=128 + signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
