"""The part of a page about one run: every fact of the record is where a reader looks for it, and in its own unit."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_results import changed, result
from edgekit.benchmarks.report.run_section import run_section
from edgekit.benchmarks.results.context_records import State
from edgekit.benchmarks.results.energy_records import Baseline
from edgekit.benchmarks.results.records import Estimate, Result

RUN = result("orin", seconds=20)


class Section(HTMLParser):
    """Facts by their heading and term, and the tiles by their name."""

    def __init__(self, run: Result) -> None:
        super().__init__(convert_charrefs=True)
        self.html = run_section(run, "a run", "run-1", opened=True)
        self.facts: dict[str, dict[str, str]] = {}
        self.heading = self.term = self.inside = ""
        self.feed(self.html)
        tiles = re.findall(r'<div class="tile"><span>(.*?)</span><b>(.*?)</b><span>(.*?)</span></div>', self.html)
        self.tiles = {unescape(name): (unescape(value), unescape(remark)) for name, value, remark in tiles}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside == "h3":
            self.heading = data
        elif self.inside == "dt":
            self.term = data
        elif self.inside == "dd":
            self.facts.setdefault(self.heading, {})[self.term] = data


def with_energy(**changes: object) -> Result:
    return replace(RUN, energy=replace(RUN.energy, **changes))


def test_the_tiles_are_the_figures_of_the_run() -> None:
    found = Section(RUN).tiles
    assert list(found) == ["p50", "p99", "throughput", "fidelity", "memory", "energy a photo"]
    for name, value in (("p50", RUN.p50), ("p99", RUN.p99)):
        assert float(found[name][0].removesuffix(" ms")) == pytest.approx(value, rel=5e-3)
    assert float(found["throughput"][0].removesuffix(" /s")) == pytest.approx(RUN.throughput.value, rel=5e-3)
    assert found["fidelity"][0] == "96.2 %"
    assert found["memory"] == (f"{RUN.memory.rss_peak:.0f} MiB", "largest resident set")
    assert found["energy a photo"][1] == "the whole device, idle included"
    bare = Section(changed(result("rock5", seconds=20), "accuracy.agreement", None)).tiles
    assert bare["energy"] == ("–", "unmeasured")
    assert bare["fidelity"][0] == "–"


@settings(deadline=None, max_examples=40)
@given(st.floats(1e-3, 1e5), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_interval_of_a_tile_holds_its_value_and_its_ends_read_apart(value: float, down: float, up: float) -> None:
    low, high = value * (1 - down), value * (1 + up)
    shown = Section(changed(changed(RUN, "latency.p50", Estimate(value, low, high, 9)), "p50", value)).tiles["p50"]
    ends = re.fullmatch(r"95 %: ([\d.,]+)–([\d.,]+)", shown[1])
    assert ends
    first, last = (float(end.replace(",", "")) for end in ends.groups())
    assert (first, last) == pytest.approx((low, high), rel=6e-3)
    if high / low > 1.02:
        assert first < last


def test_memory_is_told_in_full_and_swapping_only_where_there_was_some() -> None:
    plain = Section(RUN).facts["Memory"]
    assert list(plain) == [
        *("Largest resident set", "Largest memory of its own", "The accelerator's memory"),
        "Before the bundle was loaded",
    ]
    assert plain["The accelerator's memory"] == "unmeasured"
    assert plain["Before the bundle was loaded"] == "96.0 MiB"
    busy = changed(changed(changed(RUN, "memory.swapped", 12.34), "memory.faults", 4321), "memory.device", 512.0)
    told = Section(busy).facts["Memory"]
    assert told["Swapping"] == "12.3 MiB in swap, 4,321 pages read from disk"
    assert told["The accelerator's memory"] == "512 MiB"


def test_energy_is_told_with_its_baselines_and_the_error_of_its_sensor() -> None:
    found = Section(RUN).facts["Energy"]
    assert found["Sensor"] == "ina3221 VDD_IN, the whole device"
    assert found["Mean power"] == "9.40 W"
    assert found["Energy of the measured part"] == "188 J"
    assert found["Idle before"] == "4.23 W ± 20.0 mW (n=100)"
    assert found["Idle after"] == "4.28 W ± 20.0 mW (n=100)"
    assert found["Readings"] == "396, 19.8 a second"
    assert found["Error of the sensor, by its documentation"] == "± 1.0 %"
    assert re.fullmatch(r"[\d.]+ mJ \([\d.]+–[\d.]+\)", found["Energy of a sample"])


@pytest.mark.parametrize(
    ("changes", "gone", "told"),
    [
        ({"before": None}, "Idle before", {}),
        ({"after": None}, "Idle after", {}),
        ({"above_idle": None}, "Of it above idle", {}),
        ({"joules": None}, "Energy of the measured part", {}),
        ({"rate": None}, "", {"Readings": "396"}),
        ({"sensor_error": None}, "", {"Error of the sensor, by its documentation": "not stated"}),
        ({"before": Baseline(0.0, 0.0, 3)}, "", {"Idle before": "0 W ± 0 W (n=3)"}),
        ({"scope": "rail"}, "", {"Sensor": "ina3221 VDD_IN, a part of the device"}),
        ({"scope": "new"}, "", {"Sensor": "ina3221 VDD_IN, new"}),
    ],
)
def test_what_a_sensor_lacks_is_left_out_or_said(changes: dict[str, object], gone: str, told: dict[str, str]) -> None:
    whole, found = Section(RUN).facts["Energy"], Section(with_energy(**changes)).facts["Energy"]
    assert set(whole) - set(found) == ({gone} if gone else set())
    assert {name: found[name] for name in told} == told


def test_energy_that_is_unmeasured_is_a_reason_and_no_figure() -> None:
    found = Section(with_energy(status="unmeasured", reason="the sensor gave 3 readings")).facts["Energy"]
    assert found == {"Unmeasured": "the sensor gave 3 readings"}


def test_the_device_is_told_before_and_after() -> None:
    before = State(
        governors={"performance": 4, "powersave": 2},
        clocks={"gpu": 918.0, "cpu0": 1510.4},
        temperatures={"gpu-thermal": 44.25, "cpu-thermal": 46.5},
        throttled=("under-voltage", "soft temperature limit"),
        other_load=0.1,
        memory_free=5720,
        on_battery=False,
    )
    run = changed(RUN, "context.before", before)
    run = changed(run, "context.after", replace(before, throttled=(), on_battery=True, governors={}, clocks={}))
    found = Section(run).facts["Device"]
    assert found["Before"] == (
        "cpu-thermal 46.5 °C, gpu-thermal 44.2 °C, 4 × performance, 2 × powersave, cpu0 1,510 MHz, gpu 918 MHz,"
        " throttled: under-voltage, throttled: soft temperature limit, on mains, 5,720 MiB free"
    )
    assert found["After"] == "cpu-thermal 46.5 °C, gpu-thermal 44.2 °C, on battery, 5,720 MiB free"
    assert found["Processor"] == "Tegra234, 6 × Cortex-A78AE (aarch64)"
    assert found["Power mode"] == "nvpmodel 15W"
    assert found["Virtual"] == "no"
    big = changed(RUN, "context.device.core_kinds", {"Cortex-A76": 4, "Cortex-A55": 4})
    assert "4 × Cortex-A55, 4 × Cortex-A76 (aarch64)" in Section(big).facts["Device"]["Processor"]


@pytest.mark.parametrize(
    ("run", "term", "said"),
    [
        (RUN, "Scenario", "single-stream; photo to labels"),
        (RUN, "Inputs", "sample photos, 24 in turns, 1,000 labels"),
        (result(pipeline="text", seconds=20), "Inputs", "sample photos, 24 in turns"),
        (RUN, "Queries come from", "edgekit's own loop"),
        (changed(RUN, "plan.generator", "loadgen"), "Queries come from", "MLPerf LoadGen"),
        (
            result(scenario="offline", batch=16, threads=2, seconds=20),
            "Scenario",
            "offline, batch 16, 2 threads; photo to labels",
        ),
    ],
)
def test_the_work_is_told_in_words(run: Result, term: str, said: str) -> None:
    assert Section(run).facts["Work"][term] == said


def test_a_run_can_be_repeated_from_its_section() -> None:
    section = Section(replace(RUN, command="edgekit bench 'a b.edge' --labels <(cat x)"))
    found = section.facts["How to repeat it"]
    assert "<pre>edgekit bench &#x27;a b.edge&#x27; --labels &lt;(cat x)</pre>" in section.html
    assert found["Digest"] == RUN.subject.digest
    assert found["Embedding space"] == RUN.subject.space
    assert found["Engine"] == "onnxruntime 1.23.2 (cpu)"
    assert found["Variant"] == "int8 (int8, onnx, 152 MB)"
    packages = list(found)[list(found).index("Python") :]
    # edgekit's own version stands further up, under the same name.
    assert packages == ["Python", *sorted(set(RUN.context.packages) - {"edgekit"})]


def test_the_verdict_stands_with_its_evidence() -> None:
    good, bad = Section(RUN), Section(result(reasons=("the clock fell", "too short"), seconds=20))
    assert "<p>VALID: every rule held.</p>" in good.html
    assert (
        "<p>INVALID: these figures must not be published.</p><ul><li>the clock fell</li><li>too short</li></ul>"
        in bad.html
    )
    for section in (good, bad):
        assert section.facts["Verdict"]["Golden check before"].startswith("passed, least cosine 0.9981")
    failed = changed(RUN, "accuracy.after", replace(RUN.accuracy.after, passed=False, cosine=0.2))
    assert Section(failed).facts["Verdict"]["Golden check after"].startswith("FAILED, least cosine 0.2000")
