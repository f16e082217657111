"""Meters by name: edgekit's own, third parties', broken ones; what the listing tells."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from edgekit.benchmarks.meters import __main__ as command
from edgekit.benchmarks.meters import listing, registry
from edgekit.errors import InputError
from kernel_tree import hwmon
from third_party_meters import register

if TYPE_CHECKING:
    from pathlib import Path


def test_every_meter_that_is_absent_says_why_in_one_line(tmp_path: Path) -> None:
    found, missing = registry.look(tmp_path)
    assert found == ()
    assert {each.name for each in missing} == set(registry.names())
    for each in missing:
        assert each.reason
        assert "\n" not in each.reason
        assert "broken" not in each.reason
    assert registry.absent(tmp_path) == missing


def test_a_third_partys_meter_is_found_and_takes_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(tmp_path, monkeypatch, {"ours": "Ours"})
    assert [meter.name for meter in registry.find(tmp_path / "root")] == ["ours"]
    assert registry.create("ours=42").setting == "42"  # type: ignore[attr-defined]
    assert "ours" in registry.names()


def test_broken_meters_are_told_and_stop_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"gone": "no_such_module:Meter", "raises": "Raises", "ours": "Ours"}
    register(tmp_path, monkeypatch, entries)
    found, missing = registry.look(tmp_path / "root")
    assert [meter.name for meter in found] == ["ours"]
    reasons = {each.name: each.reason for each in missing}
    assert reasons["gone"] == "is broken: ModuleNotFoundError: No module named 'no_such_module' (no_such_module:Meter)"
    assert "bus error" in reasons["raises"]
    for name in ("gone", "raises"):
        with pytest.raises(InputError, match="is broken"):
            registry.create(name)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("Answers", "AttributeError: 'NoneType' object has no attribute 'ok'"),
        ("Ends", "RuntimeError: the chip is gone"),
        ("Half", "TypeError: 'NoneType' object is not callable"),
        ("Empty", "TypeError: it says that it works, but has no name, no channel or no period"),
    ],
)
def test_a_meter_that_is_only_half_of_one_is_told_before_a_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, told: str
) -> None:
    register(tmp_path, monkeypatch, {"odd": kind, "ours": "Ours"})
    found, missing = registry.look(tmp_path / "root")
    assert [meter.name for meter in found] == ["ours"]
    (odd,) = (each for each in missing if each.name == "odd")
    assert odd.reason.startswith(f"is broken: {told} (")
    with pytest.raises(InputError, match="the meter odd is broken: ") as caught:
        registry.create("odd")
    assert told in str(caught.value)
    assert "ours = " not in listing.text(tmp_path / "root").splitlines()[0]
    assert f"not here: {odd.reason}" in listing.text(tmp_path / "root")


def test_a_meter_that_a_user_names_must_work(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina219", power1_input="3000000")
    assert [m.name for m in registry.choose(["ina2xx=device"], tmp_path)] == ["ina2xx"]
    assert [m.name for m in registry.choose([], tmp_path)] == ["ina2xx"]
    for spec, part in (
        ("ina9", "there is no meter 'ina9'"),
        ("rapl", "cannot be used: no intel-rapl"),
        ("rapl=5", "takes no setting"),
        ("csv-log=a.csv,colour=1", "none of offset=NUMBER"),
    ):
        with pytest.raises(InputError, match=part):
            registry.create(spec, tmp_path)


def test_the_listing_shows_values_and_reasons(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina219", power1_input="3000000")
    text = listing.text(tmp_path)
    assert "ina219 = 3 W [rail]" in text
    assert "rapl" in text
    assert "energy will be unmeasured" in text
    hwmon(tmp_path, 0, "ina219", power1_label="VIN")
    assert "energy will be unmeasured" not in listing.text(tmp_path)
    found = json.loads(listing.as_json(tmp_path))
    assert found["present"][0]["channels"][0]["now"] == 3.0
    assert found["present"][0]["channels"][0]["scope"] == "device"
    assert {each["name"] for each in found["absent"]} == set(registry.names()) - {"ina2xx"}


@pytest.mark.parametrize("kind", ["Mute", "Text"])
def test_the_listing_survives_a_reader_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    register(tmp_path, monkeypatch, {"odd": kind})
    assert "all = no value (W) [device]" in listing.text(tmp_path / "root")
    found = json.loads(listing.as_json(tmp_path / "root"))
    assert [each["channels"][0]["now"] for each in found["present"]] == [None]


def test_the_command_prints_both_forms() -> None:
    done = CliRunner().invoke(command.main, [])
    assert done.exit_code == 0
    assert "csv-log" in done.output
    assert {"present", "absent"} == set(json.loads(CliRunner().invoke(command.main, ["--json"]).output))


@pytest.mark.parametrize(
    ("module", "spec", "told"),
    [
        ("pynvml", "nvml", 'the package nvidia-ml-py is not installed: pip install "edgekit[nvml]"'),
        ("serial", "serial-log=/dev/ttyUSB0", 'the package pyserial is not installed: pip install "edgekit[serial]"'),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str, spec: str, told: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=re.escape(f"cannot be used: {told}")):
        registry.create(spec)
