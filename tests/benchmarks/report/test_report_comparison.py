"""A comparison as text and as Markdown."""

from __future__ import annotations

from bench_results import changed, result
from edgekit.benchmarks.report import comparison
from edgekit.benchmarks.results.compare import compare
from edgekit.benchmarks.results.pairs import Pairs
from edgekit.benchmarks.results.rules import parse

OLD = result()


def test_columns_are_aligned_and_every_cell_is_said() -> None:
    found = compare(OLD, result(slowdown=1.07, seed=3), [parse("p50>+5%")])
    lines = comparison.text(found).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("metric"))
    table = lines[head : head + 1 + len(found.changes)]
    end = table[0].index("change") + len("change")
    assert all(line[end : end + 2] in ("", "  ") for line in table)
    assert table[1].endswith("+7.0 % (+6.8 % to +7.2 %)  worse")
    assert lines[-2].startswith("rule p50>+5%  FAILED  ")
    assert lines[-1] == "FAILED"


def test_differences_and_invalid_results_are_told() -> None:
    found = compare(OLD, changed(result(reasons=("the clock fell",)), "plan.threads", 2))
    text = comparison.text(found)
    assert "differs  plan.threads: 0 → 2" in text
    assert "the new result is INVALID: the clock fell\nFAILED" in text
    marked = comparison.markdown(found)
    assert "- the new result is INVALID: the clock fell" in marked
    assert "<details><summary>What differs</summary>\n\n| differs | old | new |" in marked
    assert "| plan.threads | 0 | 2 |" in marked


def test_unmeasured_and_equal_figures_have_their_words() -> None:
    old = changed(OLD, "accuracy.agreement", None)
    rows = {line.split()[0]: line for line in comparison.text(compare(old, OLD)).splitlines() if line}
    assert rows["agreement"].split() == ["agreement", "unmeasured", "0.962", "unmeasured"]
    assert rows["size"].split() == ["size", "152", "MB", "152", "MB", "0", "%", "same"]
    assert rows["p50"].endswith("within noise")


def test_markdown_has_no_empty_parts() -> None:
    marked = comparison.markdown(compare(OLD, OLD))
    assert marked.startswith("### edgekit compare: passed\n\n| metric |")
    assert marked.count("| --- |") == 1
    assert "rule" not in marked
    assert "details" not in marked
    assert marked.endswith("|\n")


def test_several_comparisons_have_one_outcome() -> None:
    good, bad = compare(OLD, OLD), compare(OLD, OLD, [parse("p50>1")])
    pairs = Pairs((), (), ("a",))
    assert comparison.outcome([good, good], pairs) == "passed: 0 of 2 comparisons failed"
    assert comparison.outcome([good, bad], pairs) == "FAILED: 1 of 2 comparisons failed"
    lost = Pairs((), ("b",), ("a",))
    assert comparison.outcome([good], lost) == "FAILED: 0 of 1 comparisons failed, 1 missing in NEW"
    assert comparison.leftovers(lost) == ["missing in NEW: b", "only in NEW: a"]
