"""Names, sentences, and the text, Markdown and CSV forms of a report."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_results import changed, result
from edgekit.benchmarks.report import cells, csv_table, markdown, names, sentences, table, text
from edgekit.benchmarks.report.columns import row
from edgekit.benchmarks.results.records import Golden
from edgekit.errors import InputError

RUN = result(roofline=True)
INVALID = result("rock5", "fp32", seconds=600, sustained=True, reasons=("the clock fell", "too | short"))


def test_one_run_is_called_by_its_bundle_and_variant() -> None:
    assert names.labels([RUN]) == ["vit-b-32 int8"]
    assert names.labels([]) == []


def test_runs_are_called_by_what_tells_them_apart() -> None:
    variants = [result(variant=variant) for variant in ("fp32", "int8")]
    assert names.labels(variants) == ["fp32", "int8"]
    assert names.labels([*variants, result("pi5")]) == [
        "fp32 · orin-nano-1",
        "int8 · orin-nano-1",
        "int8 · pi5-kitchen",
    ]
    streams = [RUN, result(scenario="multi-stream", streams=4), result(scenario="offline", batch=16)]
    assert names.labels(streams) == ["int8", "int8 · 4 streams", "int8 · offline, batch 16"]
    assert names.labels([RUN, result(sustained=True)]) == ["int8", "int8 · sustained"]
    assert names.labels([RUN, RUN, result("pi5")])[:2] == ["int8 · orin-nano-1 · run 1", "int8 · orin-nano-1 · run 2"]
    assert names.labels([RUN, result(pipeline="text")]) == ["int8 · photo", "int8 · text"]


def test_boards_of_one_host_name_are_called_by_their_boards() -> None:
    other = changed(result("pi5"), "context.device.hostname", "orin-nano-1")
    assert names.labels([RUN, other])[1] == "int8 · Raspberry Pi 5 Model B Rev 1.0"


def test_power_modes_tell_runs_of_one_board_apart_and_only_those() -> None:
    fast = changed(RUN, "context.device.power_mode", "MAXN")
    assert names.labels([RUN, fast]) == ["int8 · nvpmodel 15W", "int8 · MAXN"]
    assert names.labels([fast, result("pi5")]) == ["int8 · orin-nano-1", "int8 · pi5-kitchen"]


def test_settings_leave_out_what_is_usual() -> None:
    assert names.settings(RUN.plan) == "single-stream"
    plan = replace(RUN.plan, batch=4, threads=1, streams=2, target_qps=12.0, options=(("a", "1"),), generator="loadgen")
    assert names.settings(plan) == "single-stream, batch 4, 1 thread, 2 streams, 12 queries/s, a=1, by loadgen"


def test_devices_are_named_by_board_then_processor_and_say_that_they_are_virtual() -> None:
    assert names.device(RUN.context.device) == "NVIDIA Jetson Orin Nano Developer Kit"
    server = result("server").context.device
    assert names.device(server) == "Intel(R) Xeon(R) Processor (virtual)"
    assert names.device(replace(server, soc="", virtual="")) == "x86_64"


def test_a_sentence_says_all_that_a_manager_asks() -> None:
    said = sentences.sentence(RUN)
    assert said.startswith(
        "vit-b-32 int8 on onnxruntime 1.23.2 (cpu), NVIDIA Jetson Orin Nano Developer Kit: a photo takes"
    )
    for part in (
        "25.03 ms (25.01–25.07) from file to labels in the median",
        "99 of 100 at most 30.5 ms",
        "39.7 photos a second",
        "agrees with the float model's first answer on 96.2 % of 5000 held-out photos",
        "237 mJ a photo (the whole device, idle power included)",
    ):
        assert part in said
    assert said.endswith("; VALID.")
    assert "\n" not in said


def test_other_scenarios_and_pipelines_have_their_own_words() -> None:
    offline = result(scenario="offline", pipeline="image", batch=16)
    assert sentences.speed(offline).endswith("images a second from pixels to embedding when all are given at once")
    server = sentences.speed(result(scenario="server", streams=2))
    assert server.startswith("a photo takes")
    assert "in the median at" in server
    assert "arrivals a second, 99 of 100" in server
    assert sentences.speed(result(pipeline="text", batch=4)).startswith("4 texts at once take")
    crowd = sentences.speed(result(scenario="multi-stream", streams=3, batch=2))
    assert crowd.startswith("6 photos at once take")


def test_wrong_answers_unknown_fidelity_and_missing_sensors_are_said() -> None:
    failed = Golden(False, 0.4, 0.3, 14)
    assert (
        sentences.rightness(changed(RUN, "accuracy.after", failed))
        == "its answers were wrong after the run (golden check)"
    )
    both = changed(changed(RUN, "accuracy.after", failed), "accuracy.before", failed)
    assert "wrong before and after the run" in sentences.rightness(both)
    assert sentences.rightness(changed(RUN, "accuracy.agreement", None)) == "golden check passed before and after"
    assert sentences.energy(INVALID) == "energy unmeasured"
    assert sentences.sentence(INVALID).endswith("INVALID: the clock fell; too | short.")


def test_evidence_tells_what_was_checked() -> None:
    found = dict(sentences.evidence(RUN))
    assert found["Length"].startswith("60 s, 2,400 queries; asked for 60 s")
    assert found["Golden check before"] == "passed, least cosine 0.9981, centred 0.9967 (n=14)"
    assert found["Load of other programs"] == "0.03 processors before, 0.03 processors after"
    assert found["Placement"] == "image tower: 412 nodes on cpu; text tower: 398 nodes on cpu"
    assert "Memory" not in found
    assert dict(sentences.evidence(INVALID))["Memory"] == "+3.4 MiB an hour"
    assert "may fall" in dict(sentences.evidence(INVALID))["Steadiness"]
    hidden = changed(changed(RUN, "context.before.other_load", None), "context.after.throttled", ("under-voltage",))
    found = dict(sentences.evidence(changed(hidden, "accuracy.after.passed", False)))
    assert found["Load of other programs"].startswith("hidden by the system before")
    assert found["Throttling told by the system"] == "under-voltage"
    assert found["Golden check after"].startswith("FAILED")
    assert sentences.placement(changed(RUN, "subject.placement", {})) == "not told by the engine"


def test_drift_has_its_interval_where_there_is_one() -> None:
    assert sentences.drift(changed(RUN, "drift.latency", 1.024)) == "1.02"
    known = changed(changed(RUN, "drift.latency_low", 0.9), "drift.latency_high", 1.2)
    assert sentences.drift(changed(known, "drift.latency", 1.024)) == "1.02 (0.90–1.20)"


def test_the_summary_of_a_run_for_a_terminal() -> None:
    lines = text.summary(RUN).splitlines()
    assert lines[0] == "vit-b-32 int8 on onnxruntime 1.23.2 (cpu)  VALID"
    assert lines[1].endswith("single-stream, photo to labels, 2,400 queries in 60 s")
    names_of_lines = [line.split()[0] for line in lines[2:]]
    assert names_of_lines == [
        *("latency", "throughput", "stages", "cold", "memory", "energy", "right", "drift", "limit", "harness", "repeat")
    ]
    assert "p50 25.03 ms (25.01–25.07)  p90" in lines[2]
    assert (
        "237 mJ a photo (233 mJ to 241 mJ), 130 mJ above idle; 9.40 W of the whole device (ina3221 VDD_IN)" in lines[7]
    )
    assert lines[-1].endswith(RUN.command)
    assert len({len(line) - len(line[14:]) for line in lines[2:]}) == 1


def test_the_summary_tells_reasons_and_hides_what_is_not_there() -> None:
    shown = text.summary(changed(INVALID, "stages", {}))
    assert "  INVALID     the clock fell\n  INVALID     too | short\n" in shown
    assert "unmeasured: no power sensor was found" in shown
    assert "stages" not in shown
    assert "prepare" not in shown
    assert "prepare 305 ms" in text.summary(changed(INVALID, "phases.prepare_ms", 305.0))


def test_a_name_cannot_steer_the_terminal() -> None:
    hostile = changed(RUN, "subject.bundle", "a\x1b]0;owned\x07\nVALID\u202e")
    shown = text.summary(hostile)
    assert not set("\x1b\x07\u202e") & set(shown)
    assert len(shown.splitlines()) == len(text.summary(RUN).splitlines())


def test_csv_has_a_row_a_run_and_full_digits() -> None:
    shown = csv_table.render([RUN, INVALID])
    assert shown.endswith("\r\n")
    first, second = csv.DictReader(io.StringIO(shown))
    assert list(first) == list(row(RUN)) == list(row(INVALID))
    assert float(first["p50_ms"]) == RUN.p50
    assert float(first["joules"]) == RUN.energy.per_inference
    assert (first["joules_low"], second["joules"]) == (str(RUN.energy.per_inference_low), "")
    assert (first["sustained"], second["sustained"]) == ("false", "true")
    assert second["reasons"] == "the clock fell; too | short"
    assert second["roofline_share"] == ""
    assert int(first["size_bytes"]) == RUN.subject.size
    assert first["command"] == RUN.command
    with pytest.raises(InputError, match="at least one"):
        csv_table.render([])


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_runs_no_formula(name: str) -> None:
    (found,) = csv.DictReader(io.StringIO(csv_table.render([changed(RUN, "subject.bundle", name)]), newline=""))
    assert found["bundle"] == f"'{name}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_csv_keeps_any_other_text(name: str) -> None:
    (found,) = csv.DictReader(io.StringIO(csv_table.render([changed(RUN, "subject.bundle", name)]), newline=""))
    assert found["bundle"].removeprefix("'") == name.removeprefix("'")


def test_markdown_has_sentences_table_reasons_devices_and_commands() -> None:
    shown = markdown.render([RUN, INVALID], "Two boards")
    lines = shown.splitlines()
    assert lines[0] == "# Two boards"
    heads = [line for line in lines if line.startswith("#")]
    assert heads == ["# Two boards", "## Runs", "## Why results are INVALID", "## Devices", "## How to repeat"]
    (head,) = (line for line in lines if line.startswith("| run |"))
    rows = [line for line in lines if line.startswith(("| int8", "| fp32"))]
    assert len(rows) == 2
    assert {line.count(" | ") for line in (head, *rows)} == {len(table.HEADS) - 1}
    assert "- fp32 · rock-5b · sustained: too \\| short" in lines
    assert f"```sh\n{RUN.command}\n```" in shown
    assert "4 × Cortex-A55, 4 × Cortex-A76, 15,740 MiB" in shown
    assert "## Why" not in markdown.render([RUN])
    with pytest.raises(InputError, match="at least one"):
        markdown.render([])


def test_markdown_shows_hostile_names_as_they_are() -> None:
    name = "<img src=x onerror=alert(1)> [a](javascript:b) `c` |d| @team #1\n# head"
    shown = markdown.render([changed(RUN, "subject.bundle", name)], name)
    assert not re.search(r"(?<!\\)[<>`]", shown.split("## Runs")[0])
    assert "\n# head" not in shown
    assert r"\<img src=x onerror=alert(1)\> \[a\](javascript:b) \`c\` \|d\| \@team \#1?\# head" in shown
    fence = markdown.render([changed(RUN, "command", "echo ```` && ``` x")])
    assert "`````sh\necho ```` && ``` x\n`````" in fence


def test_cells_align_and_replace_what_breaks_a_line() -> None:
    lines = cells.aligned([("name", "n", ""), ("a\tb", "10", "yes"), ("longer", "9", "")], left=1)
    assert lines == ["name     n", "a?b     10  yes", "longer   9"]
    assert (
        cells.markdown_table([("a", "b"), ("**x**", "*y*")], left=1, raw=(0,)).splitlines()[2] == "| **x** | \\*y\\* |"
    )
