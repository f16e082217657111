"""Whatever a result holds, it survives its file, fits its schema, and can be compared and shown."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

import bench_results
import json_check
from any_record import HOSTILE, any_result, make
from edgekit.benchmarks.limits.records import Peaks, Profile, Work
from edgekit.benchmarks.report import csv_table, markdown, table, text
from edgekit.benchmarks.results import files, json_schema
from edgekit.benchmarks.results.compare import ALWAYS, change, compare
from edgekit.benchmarks.results.metrics import METRICS, figure, metric
from edgekit.benchmarks.results.pairs import pair
from edgekit.benchmarks.running import events
from edgekit.benchmarks.running.extras import Extras, Wanted
from edgekit.benchmarks.running.job import Found, Job
from edgekit.benchmarks.versus.answering import Answer, Brief, Query
from edgekit.benchmarks.versus.records import Matrix, Opened, Versus
from edgekit.bundle.schema import dumps, loads
from edgekit.errors import InputError

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_result_survives_its_file(seed: int) -> None:
    found = any_result(seed)
    written = files.dumps(found)
    assert files.loads(written, "x.json") == (found,)
    assert files.loads(written.encode(), "x.json") == (found,)
    # No control character of a driver's name reaches the terminal of who looks at the file.
    assert not [c for c in written if ord(c) < 32 and c != "\n"]


@pytest.mark.parametrize("seed", SEEDS)
def test_several_survive_in_one_file_and_one_is_itself(seed: int) -> None:
    found = [any_result(100 * seed + i) for i in range(1 + seed % 3)]
    written = files.dumps_all(found)
    assert files.loads(written, "x.json") == tuple(found)
    assert ("results" in json.loads(written)) == (len(found) > 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_result_fits_the_published_schema(seed: int) -> None:
    assert json_check.problems(json_schema.document(), json.loads(files.dumps(any_result(seed)))) == []


@pytest.mark.parametrize(
    "kind",
    [Versus, Matrix, Opened, Profile, Peaks, Work, Job, Found, Wanted, Extras, Brief, Query, Answer],
    ids=lambda kind: kind.__name__,
)
def test_every_record_that_crosses_a_process_or_a_file_survives(kind: type[Any]) -> None:
    for seed in SEEDS:
        record = make(kind, seed)
        assert loads(kind, dumps(record), "here") == record


@pytest.mark.parametrize(
    "kind", [events.Phase, events.Tick, events.Sample, events.Note], ids=lambda kind: kind.__name__
)
def test_every_event_is_one_line_and_reads_back(kind: type[Any]) -> None:
    for seed in range(60):
        event = make(kind, seed)
        line = events.to_line(event)
        assert "\n" not in line
        assert events.from_line(line) == event


@pytest.mark.parametrize("seed", SEEDS)
def test_a_result_that_was_cut_off_is_refused(seed: int) -> None:
    """A full disk, or a link that was cut: nothing short of the whole is read."""
    written = files.dumps(any_result(seed)).rstrip()
    for part in range(1, 6):
        kept = part * len(written) // 6
        with pytest.raises(InputError, match=r"x\.json: not valid JSON"):
            files.loads(written[:kept], "x.json")


def test_each_required_field_that_is_missing_is_named() -> None:
    plain = json.loads(files.dumps(any_result(1)))
    for name in json_schema.document()["$defs"]["Result"]["required"]:
        without = {key: value for key, value in plain.items() if key != name}
        with pytest.raises(InputError, match=name):
            files.loads(json.dumps(without), "x.json")


@pytest.mark.parametrize(("times", "values"), [([], [1.0]), ([1.0], []), ([0.0, 1.0, 2.0], [5.0, 6.0])])
def test_a_series_with_a_reading_too_few_is_refused_where_it_is_read(times: list[float], values: list[float]) -> None:
    """A report would draw it beside the wrong moments, or end in the middle of the page."""
    plain = json.loads(files.dumps(bench_results.result()))
    plain["series"][1].update(times=times, values=values)
    said = f"x.json.series[1]: has {len(times)} times and {len(values)} values; each reading has one of both"
    with pytest.raises(InputError, match=re.escape(said)):
        files.loads(json.dumps(plain), "x.json")


@pytest.mark.parametrize("known", METRICS, ids=lambda known: known.name)
def test_every_metric_of_any_result_is_a_number_or_unmeasured(known: Any) -> None:
    values = [figure(any_result(seed), known).value for seed in SEEDS]
    assert all(value is None or isinstance(value, (int, float)) for value in values)
    assert any(value is not None for value in values)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_two_results_can_be_compared_and_turn_round_with_their_sides(seed: int) -> None:
    old, new = any_result(seed, real=True), any_result(seed + 50, real=True)
    there = compare(old, new, across=True, allow_invalid=True)
    back = compare(new, old, across=True, allow_invalid=True)
    assert not there.failed
    assert {c.metric.name for c in there.changes} == {c.metric.name for c in back.changes} <= set(ALWAYS)
    turned = {"worse": "better", "better": "worse", "higher": "lower", "lower": "higher"}
    for one, other in zip(there.changes, back.changes, strict=True):
        assert other.outcome == turned.get(one.outcome, one.outcome)
        if one.ratio and other.ratio:
            assert one.ratio * other.ratio == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_result_beside_itself_has_not_changed(seed: int) -> None:
    found = any_result(seed, real=True)
    for name in ALWAYS:
        assert change(metric(name), found, found).ratio in (None, 1.0)
    assert compare(found, found, across=True, allow_invalid=True).differences == ()
    pairs = pair([found], [found])
    assert (pairs.both, pairs.missing, pairs.added) == (((found, found),), (), ())


@pytest.mark.parametrize("seed", SEEDS)
def test_any_result_can_be_told_on_a_terminal_without_moving_it(seed: int) -> None:
    for line in text.summary(any_result(seed, real=True)).split("\n"):
        assert line.isprintable(), line


@pytest.mark.parametrize("seed", SEEDS)
def test_any_results_make_a_table_with_a_row_each(seed: int) -> None:
    found = [any_result(seed + i, real=True) for i in range(3)]
    rows = table.rows(found)
    assert len(rows) == len(found)
    assert {len(row) for row in rows} == {len(table.HEADS)}


@pytest.mark.parametrize("seed", SEEDS)
def test_any_results_make_a_csv_that_reads_back(seed: int) -> None:
    found = [any_result(seed + i, real=True) for i in range(3)]
    rows = list(csv.reader(io.StringIO(csv_table.render(found), newline="")))
    assert len(rows) == 1 + len(found)
    assert {len(row) for row in rows} == {len(rows[0])}
    # No cell is taken for a formula by a spreadsheet.
    assert not [cell for row in rows[1:] for cell in row if cell.startswith(("=", "@", "\t", "\r", "+"))]


@pytest.mark.parametrize("seed", SEEDS)
def test_any_results_make_markdown_whose_tables_hold(seed: int) -> None:
    page = markdown.render([any_result(seed, real=True), any_result(seed + 1, real=True)], HOSTILE[seed])
    widths: set[int] = set()
    for line in page.split("\n"):
        if not line.startswith("|"):
            widths.clear()
            continue
        widths.add(len(line.replace("\\|", "").split("|")))
        assert len(widths) == 1, line
    # Outside the block of code that repeats the run, nothing of a driver's or a user's text is markup.
    assert not re.search(r"(?<!\\)<", page.split("```")[0])


def test_the_generator_makes_every_kind_of_value() -> None:
    """It is no use if all its records are alike: texts that are hostile, numbers that are extreme, None and not."""
    written = "".join(files.dumps(any_result(seed)) for seed in range(40))
    for part in ("<script>", "1.7976931348623157e+308", "5e-324", "null", "true", "false", "\\u0000", "=1+1"):
        assert part in written
    real = [any_result(seed, real=True) for seed in range(40)]
    assert {found.verdict for found in real} == {"VALID", "INVALID"}
    assert min(found.p50 for found in real) >= 0
