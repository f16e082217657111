"""The table that a person reads, figure by figure, and that it lines up."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import Agreement, Fidelity, Retrieval, Share
from edgekit.bundle.schema import to_plain
from edgekit.evaluation.metrics import Interval, McNemar
from edgekit.evaluation.report import Metric, Outcome, Report

TOP1 = Metric("top1", Interval(0.5, 0.25, 0.755, 12), None)
BACK = Metric("text_to_image_recall@10", Interval(1.0, 1.0, 1.0, 3), None)
TESTED = replace(TOP1, against=McNemar(4, 1, 0.375, 0.21875))
AGREED = Fidelity(
    "set",
    "0" * 64,
    Agreement(12, 0.1, 0.9, 0.99, 0.81234, 0.98765),
    Agreement(3, 0.1, 0.9, 0.99, 0.7, 0.95),
    Retrieval(Share(0.9, 0.0312, 12), Share(0.875, 0.01, 12)),
    Retrieval(Share(1.0, 0.0, 3), Share(1.0, 0.0, 3)),
)
FIRST = Outcome("fp32", "onnxruntime 1.31.1", "cpu", "", (TOP1,), None, 123.456)
SECOND = Outcome("int8", "onnxruntime 1.31.1", "cpu", "", (TESTED, BACK), AGREED, 300.0)
REPORT = Report("0.1", "a.edge", "ab" * 32, "set", "cd" * 32, "retrieval", 12, 3, (), (FIRST, SECOND), ())


def _lines(report: Report) -> list[str]:
    return str(report).splitlines()


def _row(report: Report, name: str) -> list[str]:
    line = next(line for line in _lines(report) if line.startswith(name))
    return [cell.strip() for cell in line[len(name) :].split("  ") if cell.strip()]


def test_the_head_names_bundle_and_set() -> None:
    assert _lines(REPORT)[:2] == [
        "a.edge (sha256:abababababab)",
        "set (sha256:cdcdcdcdcdcd): retrieval, 12 images, 3 texts",
    ]
    assert _lines(replace(REPORT, skipped=("1.png: broken", "2.png: broken")))[1].endswith("3 texts, 2 skipped")


def test_templates_are_shown_in_part() -> None:
    three = ("{}", "a {}", "the {}")
    assert _lines(replace(REPORT, templates=three))[2] == "templates: {}, a {}, the {}"
    assert _lines(replace(REPORT, templates=(*three, "my {}")))[2] == "templates: {}, a {}, the {}, …"
    assert not any(line.startswith("templates") for line in _lines(REPORT))


def test_every_figure_stands_in_its_row() -> None:
    assert _row(REPORT, "top1 %") == ["50.0 [25.0, 75.5]", "50.0 [25.0, 75.5]"]
    assert _row(REPORT, "text→image recall@10 %") == ["-", "100.0 [100.0, 100.0]"]
    assert _row(REPORT, "p, top1") == ["-", "0.219 (4 lost, 1 won)"]
    assert _row(REPORT, "agreement image→text top-1 %") == ["-", "90.0 ± 3.1 (n=12)"]
    assert _row(REPORT, "agreement image→text top-5 %") == ["-", "87.5 ± 1.0 (n=12)"]
    assert _row(REPORT, "agreement text→image top-1 %") == ["-", "100.0 ± 0.0 (n=3)"]
    assert _row(REPORT, "centred cosine images, mean (min)") == ["-", "0.9877 (0.8123)"]
    assert _row(REPORT, "centred cosine texts, mean (min)") == ["-", "0.9500 (0.7000)"]
    assert _row(REPORT, "images/s (information only)") == ["123.5", "300.0"]
    assert _row(REPORT, "runtime") == ["onnxruntime 1.31.1", "onnxruntime 1.31.1"]


def test_what_intervals_and_errors_mean_is_said_once() -> None:
    assert _lines(REPORT)[-1] == (
        "[95 % bootstrap interval]  ± standard error  compared with fp32 on onnxruntime 1.31.1 (cpu)"
    )
    assert _lines(replace(REPORT, outcomes=(FIRST,)))[-1] == "[95 % bootstrap interval]"


def test_refused_candidates_have_a_line_and_no_column() -> None:
    refused = Outcome("nan", "onnxruntime 1.31.1", "cpu", "its image tower returned NaN")
    report = replace(REPORT, outcomes=(FIRST, SECOND, refused))
    assert report.evaluated == (FIRST, SECOND)
    assert _lines(report)[-1] == "refused: nan on onnxruntime 1.31.1 (cpu): its image tower returned NaN"
    assert "nan" not in "".join(_lines(report)[:-1])
    alone = _lines(replace(REPORT, outcomes=(refused,)))
    assert len(alone) == 3
    assert alone[2].startswith("refused: ")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 11), st.lists(st.integers(1, 30), min_size=11, max_size=11))
def test_columns_line_up_four_at_a_time(count: int, widths: list[int]) -> None:
    outcomes = tuple(replace(SECOND, variant=f"v{number}".ljust(widths[number], "x")) for number in range(count))
    lines = _lines(replace(REPORT, outcomes=outcomes))
    heads = [line for line in lines if line.startswith("  ")]
    assert [len(line.split()) for line in heads] == [4] * (count // 4) + ([count % 4] if count % 4 else [])
    for head in heads:
        rows = lines[lines.index(head) + 1 :]
        device = next(line for line in rows if line.startswith("device"))
        assert [head.index(name) for name in head.split()] == [
            place for place in range(len(device)) if device.startswith("cpu", place)
        ]
    assert not any(line != line.rstrip() for line in lines)


def test_json_has_every_figure_under_its_documented_name() -> None:
    plain = to_plain(REPORT)
    assert set(plain) == {
        *("edgekit", "bundle", "bundle_sha256", "data", "digest", "task", "images", "texts", "templates"),
        *("outcomes", "skipped", "labels"),
    }
    second = plain["outcomes"][1]
    assert second["metrics"][0]["found"] == {"value": 0.5, "low": 0.25, "high": 0.755, "n": 12}
    assert second["metrics"][0]["against"] == {"only_first": 4, "only_second": 1, "exact_p": 0.375, "mid_p": 0.21875}
    assert second["fidelity"]["image_to_text"]["top1"] == {"value": 0.9, "error": 0.0312, "n": 12}
    assert plain["outcomes"][0]["fidelity"] is None
