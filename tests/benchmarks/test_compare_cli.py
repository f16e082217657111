"""``edgekit compare``: exit codes, what is printed, files and folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench_results import changed, result, write
from cli_runner import fails, run

OLD, SLOW = result(), result(slowdown=1.07, seed=3)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    old, new = write(tmp_path, OLD, SLOW)
    return old, new


def test_without_rules_two_valid_results_pass(pair: tuple[Path, Path]) -> None:
    shown = run("compare", *pair).output
    lines = shown.splitlines()
    assert lines[0] == f"old  {OLD.id}  VALID"
    assert lines[-1] == "passed"
    p50 = next(line for line in lines if line.startswith("p50"))
    assert p50.split()[-1] == "worse"
    assert "+7.0 % (+6." in p50
    assert any(line.startswith("size") and line.endswith("same") for line in lines)
    assert any(line.startswith("first_ms") and line.endswith("worse (no interval)") for line in lines)


def test_a_broken_rule_exits_with_1_and_every_rule_is_told(pair: tuple[Path, Path]) -> None:
    shown = run("compare", *pair, "--fail-if", "p50>+5%", "--fail-if", "rss_peak > 800", code=1).output
    assert "rule p50>+5%  FAILED  p50 changed by +7.0 % (+6." in shown
    assert "rule rss_peak > 800  ok  rss_peak is 376.338 MiB" in shown
    assert shown.endswith("FAILED\n")
    assert run("compare", *pair, "--fail-if", "p50>+10%").output.endswith("passed\n")


def test_noise_breaks_a_rule_where_that_is_strict(pair: tuple[Path, Path]) -> None:
    assert "within noise; measure longer" in run("compare", *pair, "--fail-if", "p99>+5%").output
    run("compare", *pair, "--fail-if", "p99>+5%", "--strict", code=1)


def test_json_holds_figures_rules_and_the_outcome(pair: tuple[Path, Path]) -> None:
    found = json.loads(run("compare", *pair, "--fail-if", "p50>+5%", "--json", code=1).output)
    assert found["failed"] is True
    assert found["missing"] == found["added"] == []
    (comparison,) = found["comparisons"]
    assert comparison["judgements"][0]["failed"] is True
    change = next(c for c in comparison["changes"] if c["metric"]["name"] == "p50")
    assert change["old"]["value"] == OLD.p50
    assert change["outcome"] == "worse"


def test_markdown_is_a_table_that_shows_every_name_as_it_is(tmp_path: Path) -> None:
    hostile = changed(SLOW, "subject.variant", "in|t8 <b>@team</b> `x`")
    old, new = write(tmp_path, OLD, hostile)
    shown = run("compare", old, new, "--fail-if", "p50>+5%", "--markdown", code=1).output
    assert shown.startswith("### edgekit compare: FAILED\n\n| metric | old | new | change |  |\n")
    assert "| p50\\>+5% | **FAILED** | p50 changed by +7.0 % " in shown
    assert "in\\|t8 \\<b\\>\\@team\\</b\\> \\`x\\`" in shown
    tables = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} <= {4, 6}


def test_wrong_use_exits_with_2(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    said = fails("compare", old, new, "--fail-if", "p9>+5%")
    assert "character 1: unknown metric 'p9'; known: p50, p90" in said
    assert said.endswith("\n  p9>+5%\n  ^\n")
    assert "give one of them" in fails("compare", old, new, "--json", "--markdown")
    assert "nothing.json: cannot be read" in fails("compare", old, tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_text("{}")
    assert "broken.json" in fails("compare", old, tmp_path / "broken.json")
    text = result(pipeline="text")
    (other,) = write(tmp_path / "..", text)
    said = fails("compare", old, other)
    assert "plan.pipeline: photo and text" in said
    assert "--across" in said
    run("compare", old, other, "--across")
    other.unlink()
    assert "it has 'inference', 'tokenize'" in fails(
        "compare", *write(tmp_path, text, text), "--fail-if", "stages.decode.p50>1"
    )


def test_an_invalid_result_fails_with_its_reasons_unless_allowed(tmp_path: Path) -> None:
    old, new = write(tmp_path, OLD, result(reasons=("the clock fell",)))
    assert "the new result is INVALID: the clock fell" in run("compare", old, new, code=1).output
    run("compare", old, new, "--allow-invalid")


def test_folders_are_matched_and_a_lost_result_fails(tmp_path: Path) -> None:
    for folder, variants in (("old", ("int8", "fp32", "int4")), ("new", ("fp32", "int8", "fp16"))):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, *(result(variant=variant) for variant in variants))
    old, new = tmp_path / "old", tmp_path / "new"
    shown = run("compare", old, new, code=1).output
    assert "missing in NEW: vit-b-32 int4 on onnxruntime (cpu)" in shown
    assert "only in NEW: vit-b-32 fp16 on onnxruntime (cpu)" in shown
    assert shown.endswith("FAILED: 0 of 2 comparisons failed, 1 missing in NEW\n")
    marked = run("compare", old, new, "--markdown", code=1).output
    assert "- missing in NEW: vit-b-32 int4 on onnxruntime (cpu)" in marked
    plain = json.loads(run("compare", old, new, "--json", code=1).output)
    assert len(plain["comparisons"]) == 2
    assert [len(plain[side]) for side in ("missing", "added")] == [1, 1]
    next(path for path in old.iterdir() if "int4" in path.name).unlink()
    assert run("compare", old, new).output.endswith("passed: 0 of 2 comparisons failed\n")


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
def test_a_shell_sees_the_exit_code(pair: tuple[Path, Path]) -> None:
    command = 'exec "$0" -m edgekit.cli.main compare "$1" "$2" --fail-if "p50>+5%"'
    done = subprocess.run(["sh", "-c", command, sys.executable, *map(str, pair)], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert b"rule p50>+5%  FAILED" in done.stdout
