"""Reports as files: whole or not at all, and what was there before stays where nothing can be written."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench_extras import matrix, profile
from bench_results import result
from edgekit.benchmarks.report.write import SUFFIXES, write
from edgekit.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

RUN = result(seconds=20)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_report_takes_the_place_of_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    path.write_text("old")
    write(path, [RUN], "x")
    assert left(tmp_path) == [path.name]
    assert "vit-b-32" in path.read_bytes().decode()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_a_result_the_report_before_stays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    path.write_text("old")
    with pytest.raises(InputError, match="needs at least one result"):
        write(path, [], "x")
    assert (left(tmp_path), path.read_text()) == ([path.name], "old")


def test_without_plotly_the_report_before_stays_and_the_others_can_still_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(MissingDependencyError, match=r"edgekit\[bench\]"):
        write(path, [RUN], "x")
    assert (left(tmp_path), path.read_text()) == (["report.html"], "old")
    write(tmp_path / "report.md", [RUN], "x")
    write(tmp_path / "report.csv", [RUN], "x")
    assert left(tmp_path) == ["report.csv", "report.html", "report.md"]


@pytest.mark.parametrize("name", ["report", "report.HTML", "report.html.gz", ".md", "report.json"])
def test_another_name_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"ends in \.html, \.md, \.csv") as caught:
        write(tmp_path / name, [RUN], "x")
    assert str(tmp_path / name) in str(caught.value)
    assert left(tmp_path) == []


def test_a_folder_that_is_not_there_and_one_in_the_way_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"the folder {tmp_path / 'no'} does not exist; create it first"):
        write(tmp_path / "no" / "report.csv", [RUN], "x")
    (tmp_path / "report.csv").mkdir()
    with pytest.raises(InputError, match=r"report\.csv: is a folder"):
        write(tmp_path / "report.csv", [RUN], "x")
    assert left(tmp_path) == ["report.csv"]


def test_a_page_has_the_profiles_of_all_runs_and_what_could_not_be_run(tmp_path: Path) -> None:
    runs = [replace(RUN, profiles=(profile(),)), replace(RUN, profiles=(profile("text"),)), RUN]
    write(tmp_path / "report.html", runs, "x", matrix(("int4", "litert cannot open it")))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for tower in ("image", "text"):
        assert page.count(f"<h3>Profile of the {tower} tower</h3>") == 1
    assert "<li>int4 on litert 2.1 (cpu): litert cannot open it</li>" in page
    write(tmp_path / "report.html", [RUN], "x", matrix())
    assert "What could not be run" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_files_are_utf_8_whatever_the_system_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    run = replace(RUN, command="edgekit bench 'Größe 图.edge'")
    for suffix in SUFFIXES:
        path = tmp_path / f"report{suffix}"
        write(path, [run], "x")
        assert "Größe 图.edge".encode() in path.read_bytes()
