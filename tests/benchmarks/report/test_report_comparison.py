"""A comparison as text and as Markdown."""

from __future__ import annotations

import pytest

from bench_results import changed, result
from edgekit.benchmarks.report import comparison
from edgekit.benchmarks.results.compare import compare
from edgekit.benchmarks.results.pairs import Pairs, pair
from edgekit.benchmarks.results.records import Estimate
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


HOSTILE = "a\x1b]0;owned\x07\nFAILED\u202e"


@pytest.mark.parametrize("path", ["id", "subject.bundle", "context.device.hostname", "subject.variant", "edgekit"])
def test_a_file_of_others_cannot_steer_the_terminal(path: str) -> None:
    """A result is compared that came from another machine, or with a pull request."""
    new = changed(result(reasons=(HOSTILE,)), path, HOSTILE)
    plain = changed(result(reasons=("a",)), path, "a")
    shown = comparison.text(compare(OLD, new, across=True))
    assert not set("\x1b\x07\u202e") & set(shown)
    assert len(shown.splitlines()) == len(comparison.text(compare(OLD, plain, across=True)).splitlines())
    assert "a?]0;owned??FAILED?" in shown


def test_a_name_of_others_that_has_no_partner_cannot_steer_it_either() -> None:
    lost, added = (changed(result(variant=variant), "subject.bundle", HOSTILE) for variant in ("fp16", "fp32"))
    lines = comparison.leftovers(pair([OLD, lost], [OLD, added]))
    assert [line.partition(":")[0] for line in lines] == ["missing in NEW", "only in NEW"]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ((10.0, 9.9, 10.1), (10.0, 9.9, 10.1), "0 % (-1.4 % to +1.4 %)  within noise"),
        ((10.0, 9.9, 10.1), (12.0, 11.9, 12.1), "+20.0 % (+18.4 % to +21.6 %)  worse"),
        ((12.0, 11.9, 12.1), (10.0, 9.9, 10.1), "-16.7 % (-17.7 % to -15.6 %)  better"),
        ((10.0, 10.0, 10.0), (10.0, 10.0, 10.0), "0 % (+0.0 % to +0.0 %)  same"),
        ((10.0, 0.0, 10.1), (12.0, 11.9, 12.1), "+20.0 %  worse (no interval)"),
        ((0.0, 0.0, 0.0), (12.0, 11.9, 12.1), "worse"),
    ],
)
def test_a_change_is_shown_with_its_interval_and_what_it_means(
    old: tuple[float, float, float], new: tuple[float, float, float], shown: str
) -> None:
    runs = [changed(OLD, "latency.p99", Estimate(*ends, 500)) for ends in (old, new)]
    rows = {line.split()[0]: line for line in comparison.text(compare(*runs)).splitlines() if line}
    assert rows["p99"].endswith(f"  {shown}")
