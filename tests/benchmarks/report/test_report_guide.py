"""The guide names every column, metric, part and option that there is; reports are written by their file's name."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from bench_extras import matrix, profile, versus
from bench_results import result, write
from cli_runner import fails, run
from edgekit.benchmarks.compare_cli import compare
from edgekit.benchmarks.report import html
from edgekit.benchmarks.report.columns import row
from edgekit.benchmarks.report.write import write as write_report
from edgekit.benchmarks.results.metrics import METRICS
from edgekit.errors import InputError

GUIDE = (Path(__file__).parents[3] / "docs/guide/report.md").read_text(encoding="utf-8")


def words(part: str) -> list[str]:
    rows = [line for line in part.splitlines() if line.startswith("| `")]
    return [word for line in rows for word in re.findall(r"`([a-z0-9_]+)`", line.split("|")[1])]


def test_the_guide_lists_the_columns_in_their_order() -> None:
    part = GUIDE.split("## Columns of the CSV file")[1].split("\n## ")[0]
    assert words(part) == list(row(result()))


def test_the_guide_lists_every_metric_with_its_unit() -> None:
    part = GUIDE.split("**A rule**")[1].split("**Noise.**")[0]
    assert sorted(words(part)) == sorted(known.name for known in METRICS)
    for known in METRICS:
        (line,) = (line for line in part.splitlines() if line.startswith("| `") and f"`{known.name}`" in line)
        assert not known.unit or known.unit.split("/")[0] in line


def test_the_guide_names_the_parts_of_a_report() -> None:
    part = GUIDE.split("| part |")[1].split("\n\n")[0]
    named = [line.split("|")[1].strip() for line in part.splitlines()[2:]]
    runs = [result(roofline=True), result(variant="fp32")]
    shown = html.render(runs, "x", versus=[versus()], profiles=[profile()], matrix=matrix(("int4", "x")))
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", shown)
    assert [heading.startswith(name) for name, heading in zip(named, headings, strict=True)] == [True] * len(named)


def test_the_guide_names_every_option_of_compare() -> None:
    options = [option for parameter in compare.params for option in parameter.opts if option.startswith("--")]
    assert {option for option in options if option not in GUIDE} == set()


@pytest.mark.parametrize("suffix", [".html", ".md", ".csv"])
def test_a_report_is_written_in_the_form_of_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    write_report(path, [result(), result(variant="fp32")], "Two runs")
    text = path.read_text(encoding="utf-8")
    if suffix == ".csv":
        assert len(list(csv.DictReader(text.splitlines()))) == 2
    else:
        assert text.startswith("<!doctype html>" if suffix == ".html" else "# Two runs\n")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.html, \.md, \.csv"):
        write_report(tmp_path / "report.pdf", [result()], "x")


def test_compare_writes_reports_of_all_results(tmp_path: Path) -> None:
    old, new = write(tmp_path, result(), result("pi5"))
    path = tmp_path / "both.csv"
    run("compare", old, new, "--across", "--report", path, "--report", tmp_path / "both.html")
    assert [row["hostname"] for row in csv.DictReader(path.read_text().splitlines())] == ["orin-nano-1", "pi5-kitchen"]
    assert "Raspberry Pi 5" in (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "ends in .html" in fails("compare", old, new, "--across", "--report", tmp_path / "both.txt")
