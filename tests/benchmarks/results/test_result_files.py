"""Result files: what is written reads back, and what is no result says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench_results
from edgekit.benchmarks.results import files
from edgekit.errors import EdgekitError, InputError


def test_one_result_reads_back_equal(tmp_path: Path) -> None:
    found = bench_results.result(roofline=True)
    path = files.write(tmp_path / "a.json", found)
    assert path == tmp_path / "a.json"
    assert files.read(path) == found
    assert files.read_all(path) == (found,)


def test_a_folder_takes_files_named_by_id_and_reads_back_in_order(tmp_path: Path) -> None:
    found = [replace(bench_results.result(variant=v), id=f"run-{v}") for v in ("int8", "fp32")]
    paths = [files.write(tmp_path, each) for each in found]
    assert [path.name for path in paths] == ["run-int8.json", "run-fp32.json"]
    assert files.read_all(tmp_path) == (found[1], found[0])


@pytest.mark.parametrize("name", ["../evil", "a/b", "/evil", "", "..", "a/../../b"])
def test_an_id_that_names_no_file_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A result that was read from a file, such as one that an external meter's log is merged into, may have any id."""
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    found = replace(bench_results.result(), id=name)
    if name == "..":  # the name of a file with its ending
        assert files.write(folder, found) == folder / "...json"
        return
    with pytest.raises(InputError, match=r"names no file in this folder; give a file's name") as caught:
        files.write(folder, found)
    assert str(folder) in str(caught.value)
    assert list(tmp_path.rglob("*")) == [tmp_path / "in", folder]
    # A file of its own may hold any.
    assert files.read(files.write(folder / "own.json", found)).id == name


def test_a_file_that_cannot_be_written_keeps_the_result_before(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.json", bench_results.result())
    before = path.read_bytes()
    with pytest.raises(InputError, match="cannot be written as JSON"):
        files.write(path, bench_results.changed(bench_results.result(), "p50", float("inf")))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_one_file_of_a_folder_that_is_no_result_is_named(tmp_path: Path) -> None:
    bench_results.write(tmp_path, bench_results.result(), bench_results.result("pi5"))
    (tmp_path / "01-b.json").write_text('{"results": [{"schema_version": 2}]}')
    with pytest.raises(InputError, match=rf"{re.escape(str(tmp_path / '01-b.json'))}: results\[0\]: the field 'id'"):
        files.read_all(tmp_path)


def test_several_in_one_file(tmp_path: Path) -> None:
    found = (bench_results.result(), bench_results.result("pi5"))
    path = tmp_path / "both.json"
    path.write_text(files.dumps_all(found))
    assert files.read_all(path) == found
    with pytest.raises(InputError, match=r"both.json: holds 2 results"):
        files.read(path)


def test_one_result_is_itself_and_not_a_list() -> None:
    found = bench_results.result()
    assert json.loads(files.dumps_all([found]))["p50"] == found.p50
    assert files.dumps_all([found]) == files.dumps(found)


def test_a_series_takes_one_line_of_the_file() -> None:
    found = bench_results.result()
    lines = files.dumps(found).splitlines()
    assert max(len(series.times) for series in found.series) > 100
    assert len(lines) < 600
    assert json.loads("\n".join(lines)) == json.loads(json.dumps(json.loads(files.dumps(found))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("[]", "expected an object"),
        ("{}", "schema_version"),
        ('{"results": []}', "empty"),
        ('{"results": [{}]}', r"results\[0\]"),
        ('{"results": 3}', "unknown field 'results'"),
        ('{"schema_version": 99}', "upgrade edgekit"),
        ('{"p50": NaN}', "NaN"),
        ('{"p50": 1, "p50": 2}', "twice"),
    ],
)
def test_what_is_no_result_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        files.read_all(path)
    assert "x.json" in str(caught.value)


def test_a_missing_file_an_empty_folder_and_bytes_of_an_image(tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        files.read(tmp_path / "none.json")
    with pytest.raises(InputError, match="holds no result"):
        files.read_all(tmp_path)
    with pytest.raises(InputError, match="not valid JSON"):
        files.read(photos[0])


def test_a_field_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    plain = json.loads(files.dumps(bench_results.result()))
    plain["memory"]["rss_peak"] = "much"
    path = tmp_path / "x.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"memory\.rss_peak: expected float, got 'much'.*not a result of"):
        files.read(path)


def test_results_that_lack_later_fields_still_read() -> None:
    plain = json.loads(files.dumps(bench_results.result()))
    del plain["profiles"], plain["memory"]["swapped"], plain["memory"]["faults"], plain["phases"]["prepare_ms"]
    (found,) = files.loads(json.dumps(plain), "old.json")
    assert (found.profiles, found.memory.swapped, found.memory.faults) == ((), 0.0, 0)


@pytest.mark.parametrize("arena", [None, 33.5])
def test_results_of_version_1_lose_the_field_that_nothing_filled(arena: float | None) -> None:
    found = bench_results.result()
    plain = json.loads(files.dumps(found))
    plain["schema_version"] = 1
    plain["memory"]["arena"] = arena
    (read,) = files.loads(json.dumps(plain), "old.json")
    assert read == found
    assert json.loads(files.dumps(read))["schema_version"] == 2
    both = files.loads(json.dumps({"results": [plain, json.loads(files.dumps(found))]}), "both.json")
    assert both == (found, found)


@pytest.mark.parametrize(
    ("version", "memory", "said"),
    [
        (2, {"arena": None}, "x.json.memory: unknown field 'arena'"),
        (1, {"arena": None, "attic": 1}, "x.json.memory: unknown field 'attic'"),
        (True, {}, "schema_version"),
        (99.0, {}, "schema_version is 99.0, this edgekit reads up to 2; upgrade edgekit"),
        (0, {}, "schema_version is 0; there are versions 1 to 2"),
        (-1, {}, "schema_version is -1; there are versions 1 to 2"),
        ("1", {}, "schema_version"),
    ],
)
def test_only_version_1_had_it(version: object, memory: dict[str, object], said: str) -> None:
    plain = json.loads(files.dumps(bench_results.result()))
    plain["schema_version"] = version
    plain["memory"].update(memory)
    with pytest.raises(InputError, match=re.escape(said)):
        files.loads(json.dumps(plain), "x.json")


@pytest.mark.parametrize("memory", [None, 3, [], "much"])
def test_a_result_of_version_1_without_memory_is_still_named(memory: object) -> None:
    plain = json.loads(files.dumps(bench_results.result()))
    plain.update(schema_version=1, memory=memory)
    with pytest.raises(InputError, match=r"x\.json\.memory: expected"):
        files.loads(json.dumps(plain), "x.json")


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    found = replace(bench_results.result(), p50=float("nan"))
    with pytest.raises(EdgekitError, match="cannot be written as JSON"):
        files.write(tmp_path / "a.json", found)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        files.write(tmp_path / "none" / "a.json", bench_results.result())


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_the_writer_agrees_with_the_standard_library(value: object) -> None:
    assert json.loads(files._text(value, "")) == value


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_whatever_lies_in_a_file_gives_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(InputError):
        files.loads(text, "x.json")
