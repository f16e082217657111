"""Lines of a serial meter: figures in any unit, and nothing where a figure can be read in two ways."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.meters.serial_log import power

PREFIXES = st.sampled_from([("", 1.0), ("u", 1e-6), ("µ", 1e-6), ("m", 1e-3), ("k", 1e3)])
FIGURES = st.floats(0.001, 9999).map(lambda value: round(value, 4))
SPACE = st.sampled_from(["", " "])


@settings(deadline=None, max_examples=50)
@given(FIGURES, PREFIXES, SPACE, st.sampled_from(["{}", "P={}", "power: {} ok", "12 s, {}", "U=5 V I=9 A P={}"]))
def test_a_power_is_read_in_any_unit_wherever_it_stands(
    value: float, prefix: tuple[str, float], space: str, line: str
) -> None:
    found = power(line.format(f"{value}{space}{prefix[0]}W"))
    assert found == pytest.approx(value * prefix[1])


@settings(deadline=None, max_examples=50)
@given(FIGURES, FIGURES, PREFIXES, PREFIXES, SPACE, st.booleans())
def test_voltage_and_current_make_a_power_in_either_order(
    volts: float, amperes: float, of_volts: tuple[str, float], of_amperes: tuple[str, float], space: str, first: bool
) -> None:
    parts = [f"{volts}{space}{of_volts[0]}V", f"{amperes}{space}{of_amperes[0]}A"]
    found = power(", ".join(parts if first else parts[::-1]))
    assert found == pytest.approx(volts * of_volts[1] * amperes * of_amperes[1])


@pytest.mark.parametrize(
    ("line", "watts"),
    [
        ("4,37 W", None),
        ("5,01 V, 0,872 A", None),
        ("1,234 mW", None),
        # Fields that a comma parts are no figure with one in it.
        ("12,5.01V,0.872A", 5.01 * 0.872),
        ("5.01V,0.872A,17", 5.01 * 0.872),
        ("1e400", None),
        ("9" * 400 + " W", None),
        ("1e200 V, 1e200 A", None),
        ("nan", None),
        ("inf W", None),
        ("4.37 Wh", None),
        ("4.37 Watts", None),
        ("0.0 W", 0.0),
        ("-0.5 W", -0.5),
        ("+4.5e0", 4.5),
        ("4.37 W 9.99 W", 4.37),
        ("5 V 3 mAh", None),
    ],
)
def test_lines_that_can_be_taken_for_something_else(line: str, watts: float | None) -> None:
    assert power(line) == (None if watts is None else pytest.approx(watts))


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from("0123456789.,eE+- uµmkWVA:=\r"), max_size=30))
def test_no_line_gives_what_could_not_be_written_into_a_result(line: str) -> None:
    found = power(line)
    assert found is None or math.isfinite(found)
