"""Cells of tables, and texts in Markdown, read back by a parser of others: what is shown is what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench_results import changed, result
from edgekit.benchmarks.report import comparison, markdown
from edgekit.benchmarks.report.cells import aligned, markdown_table, printable
from edgekit.benchmarks.report.cells import markdown as written
from edgekit.benchmarks.results.compare import compare
from edgekit.benchmarks.results.rules import parse

if TYPE_CHECKING:
    from markdown_it.token import Token

markdown_it = pytest.importorskip("markdown_it")
# What GitHub adds to CommonMark and a text could trip over.
PARSER = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
# Mostly what means something to Markdown, in any order; else any character that a file can hold.
MARKS = st.sampled_from(list("-+=*_`~#>|<![](){}.:&;\\\"'@ 1234567890ax\n\t"))
TEXTS = st.text(MARKS | st.characters(exclude_categories=["Cs"]), max_size=12)


def plain(token: Token) -> str:
    """The text that a reader sees of a paragraph, a heading or a cell; what is no text shows as its kind."""
    inside: list[Any] = token.children or []
    return "".join(t.content if t.type in ("text", "text_special") else f"<{t.type}>" for t in inside)


def parsed(page: str) -> list[tuple[str, str]]:
    return [(t.type, plain(t) if t.type == "inline" else t.content) for t in PARSER.parse(page)]


def wanted(text: str) -> str:
    return printable(text).strip(" ")


def around(kind: str, text: str) -> list[tuple[str, str]]:
    inline = [("inline", text)] if text or kind != "list_item" else []
    if kind == "list_item":
        inside = [("paragraph_open", ""), *inline, ("paragraph_close", "")] if text else []
        return [
            ("bullet_list_open", ""),
            ("list_item_open", ""),
            *inside,
            ("list_item_close", ""),
            ("bullet_list_close", ""),
        ]
    return [(f"{kind}_open", ""), *inline, (f"{kind}_close", "")]


@settings(deadline=None, max_examples=80)
@given(TEXTS)
@example("- x")
@example("1. x")
@example("12) x")
@example("+ x")
@example("---")
@example("- - -")
@example("    x")
@example("===")
@example("a\\")
def test_any_text_is_one_item_one_heading_and_one_paragraph(text: str) -> None:
    shown = wanted(text)
    assert parsed(f"- {written(text)}\n") == around("list_item", shown)
    assert parsed(f"# {written(text)}\n") == around("heading", shown)
    assert parsed(f"{written(text)}: x\n") == around("paragraph", f"{shown}: x")


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[TEXTS] * n), min_size=1, max_size=4)), st.integers(0, 4)
)
def test_a_table_has_the_cells_and_the_sides_that_it_was_given(rows: list[tuple[str, ...]], left: int) -> None:
    tokens = PARSER.parse(markdown_table(rows, left))
    assert [t.type for t in tokens if t.type.startswith(("table", "paragraph"))] == ["table_open", "table_close"]
    width = len(rows[0])
    cells = [plain(t) for t in tokens if t.type == "inline"]
    assert cells == [wanted(cell) for row in rows for cell in row]
    sides = [t.attrs.get("style", "") for t in tokens if t.type in ("th_open", "td_open")]
    assert sides == ["" if i % width < left else "text-align:right" for i in range(len(cells))]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[TEXTS] * n), min_size=1, max_size=4)), st.integers(0, 4)
)
def test_columns_of_a_terminal_are_as_wide_as_their_widest_cell(rows: list[tuple[str, ...]], left: int) -> None:
    lines = aligned(rows, left)
    assert len(lines) == len(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for line, row in zip(lines, rows, strict=True):
        assert line == line.rstrip()
        padded, place = line.ljust(sum(widths) + 2 * len(widths)), 0
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            field = padded[place : place + width]
            side = str.ljust if i < left or i == len(widths) - 1 else str.rjust
            assert field.rstrip() == side(printable(cell), width).rstrip()
            place += width + 2


NAMES = [
    "- a",
    "1. a",
    "+",
    "    a",
    "---",
    "a | b",
    "# a",
    "<b>",
    "`",
    "> a",
    "* a",
    "=== ",
    "~~a~~",
    "&lt;",
    "![x](y)",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_has_its_own_parts_alone_whatever_the_names_are(name: str) -> None:
    runs = [result(reasons=(name,)), result(variant="fp32", reasons=(name,))]
    for path in ("subject.bundle", "context.device.board", "context.device.soc", "subject.version"):
        runs = [changed(run, path, name) for run in runs]
    runs = [changed(run, "subject.variant", f"{name}{i}") for i, run in enumerate(runs)]
    found = parsed(markdown.render(runs, name))
    headings = [found[i + 1][1] for i, token in enumerate(found) if token[0] == "heading_open"]
    assert headings == [wanted(name), "Runs", "Why results are INVALID", "Devices", "How to repeat"]
    # Sentences, reasons, and the one device of both.
    assert [kind for kind, _ in found].count("bullet_list_open") == 3
    assert [kind for kind, _ in found].count("list_item_open") == 2 + 2 + 1
    assert [kind for kind, _ in found].count("table_open") == 1
    assert [text for kind, text in found if kind == "fence"] == [f"{run.command}\n" for run in runs]
    assert not {"code_block", "hr", "ordered_list_open", "blockquote_open", "html_block"} & {kind for kind, _ in found}
    assert any(wanted(name) in text for kind, text in found if kind == "inline")


@pytest.mark.parametrize("name", NAMES)
def test_a_comparison_has_its_own_parts_alone_whatever_the_names_are(name: str) -> None:
    old = changed(result(), "subject.bundle", "other")
    new = changed(result(reasons=(name,)), "subject.bundle", name)
    found = parsed(comparison.markdown(compare(old, new, [parse("p50>1")])))
    kinds = [kind for kind, _ in found]
    assert (kinds.count("table_open"), kinds.count("bullet_list_open"), kinds.count("list_item_open")) == (3, 1, 1)
    inline = [text for kind, text in found if kind == "inline"]
    # As a name beside its field, and as the end of the one reason.
    assert inline[inline.index("subject.bundle") + 1 :][:2] == ["other", wanted(name) or "none"]
    assert f"the new result is INVALID: {name}".rstrip() in inline


def test_what_a_device_does_not_tell_leaves_no_gap() -> None:
    bare = changed(result(), "context.device.soc", "")
    for path, value in (("context.packages", {}), ("context.device.core_kinds", {})):
        bare = changed(bare, path, value)
    page = markdown.render([bare])
    assert "Developer Kit: unknown, 6 processors, 7,620 MiB" in page
    assert page.split("## How to repeat")[1].splitlines()[2].endswith(", Python 3.11.2")


def test_figures_below_zero_keep_their_plain_sign() -> None:
    assert [written(text) for text in ("-5.2 %", "+1.5 ms", "1.5", "12 queries")] == [
        "-5.2 %",
        "+1.5 ms",
        "1.5",
        "12 queries",
    ]
