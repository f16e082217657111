"""What a user may set: everything else is refused at once, by a line that names the setting and what to write."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cli_runner import fails
from edgekit.bundle import schema
from edgekit.converters.quantize import data
from edgekit.converters.quantize.settings import Settings, check
from edgekit.errors import InputError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0}, "budget: 0 minutes leave no time to measure anything; give more than 0"),
        ({"minutes": -5}, "budget: -5 minutes"),
        ({"minutes": math.nan}, "budget: nan minutes"),
        ({"minutes": math.inf}, "budget: a search without an end never delivers; give a number of minutes"),
        ({"min_agreement": -0.01}, "min-agreement: -0.01 is not in 0..1"),
        ({"min_agreement": 1.0001}, "min-agreement: 1.0001 is not in 0..1; 0.99 stands for 99 %"),
        ({"min_agreement": math.nan}, "min-agreement: nan"),
        ({"max_drop": -0.5}, "max-drop: -0.5 is no number of points from 0 on"),
        ({"max_drop": math.nan}, "max-drop: nan"),
        ({"max_drop": math.inf}, "max-drop: inf is no number of points from 0 on; leave it out where no drop matters"),
        ({"threads": -1}, "threads: -1 is negative; 0 leaves it to the engine"),
        ({"towers": ()}, "towers: is empty; choose from image, text"),
        ({"towers": ("image", "Text")}, "towers: 'Text' is not one of image, text"),
        ({"formats": ("onnx", "tflite")}, "formats: 'tflite' is not one of onnx, litert"),
        ({"formats": ("litert",)}, "formats: the search measures ONNX files; write onnx,litert for both"),
        ({"calibration": "mean"}, "calibration: 'mean' is not one of minmax, percentile, entropy"),
        ({"objective": "speed"}, "objective: 'speed' is not one of latency, size"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_named_with_what_to_write(tmp_path, changes, message):
    with pytest.raises(InputError) as caught:
        check(replace(Settings(), **changes), tmp_path / "out.edge")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("out", "a bundle's name ends in .edge"), ("none/out.edge", "does not exist; create it first")],
)
def test_an_output_that_cannot_be_written_is_named(tmp_path, name, message):
    with pytest.raises(InputError) as caught:
        check(Settings(), tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert message in str(caught.value)


@pytest.mark.parametrize(("option", "value"), [("--budget", "inf"), ("--max-drop", "nan"), ("--min-agreement", "nan")])
def test_numbers_that_are_none_are_refused_on_the_command_line_before_anything_is_made(
    tmp_path, monkeypatch, bundle_path, option, value
):
    monkeypatch.chdir(tmp_path)
    assert f"{option[2:]}: " in fails("quantize", bundle_path, "-o", "out.edge", option, value)
    assert list(tmp_path.iterdir()) == []


@examples(max_examples=60, deadline=None)
@given(
    minutes=st.floats(0, 1e9, exclude_min=True, allow_subnormal=False),
    drop=st.none() | st.floats(0, 1e9),
    agreement=st.floats(0, 1),
    threads=st.integers(0, 64),
    photo=st.floats(1e-12, 1e6),
)
def test_whatever_passes_can_be_written_down_and_bounds_the_data(
    tmp_path_factory, minutes, drop, agreement, threads, photo
):
    found = Settings(minutes, agreement, drop, threads=threads)
    check(found, tmp_path_factory.getbasetemp() / "out.edge")
    assert schema.loads(Settings, schema.dumps(found).encode(), "settings") == found
    bounds = data.limits(minutes, photo)
    # Each part is of some use, and the proof sees more than the search, which sees more than the calibration.
    assert 25 <= bounds.calibration <= bounds.search <= bounds.held_out <= 768
    # However little time there is, the least that proves anything is taken; beyond it, 4 % of the time is kept to.
    if bounds.held_out > 2 * data.FEW_HELD_OUT:
        assert bounds.held_out * photo <= 0.04 * 60 * minutes * (1 + 1e-9)
