"""An HTML report of whatever names devices, drivers and users give: it is well formed, and no name becomes markup."""

from __future__ import annotations

import html as escapes
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from any_record import HOSTILE, any_result
from bench_results import changed, result
from edgekit.benchmarks.report import html
from edgekit.benchmarks.results.records import Result

_VOID = {"meta", "link", "br", "img"}
SCRIPTS = 2  # plotly.js and the report's own


class Checked(HTMLParser):
    """Reads a page strictly, and keeps tags, attributes and the shown text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.running = 0
        self.data: list[str] = []
        self.shown: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "script":
            self.running += dict(attrs).get("type") != "application/json"
            self.data.append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.data[-1] += data
        elif self.open[-1:] != ["style"]:
            self.shown.append(data)


def run(seed: int) -> Result:
    """Any result, of a day and with latencies, as every result has them."""
    found = replace(any_result(seed, real=True), date="2026-11-28T02:00:00Z")
    return replace(found, latency=replace(found.latency, histogram=((1.0, 3), (2.0, 1))))


def checked(page: str) -> Checked:
    found = Checked(page)
    assert found.running == SCRIPTS
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    links = [value for name, value in found.attributes if name in ("href", "src")]
    assert not [link for link in links if not link.startswith(("#", "data:"))]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_any_results_make_a_page_in_which_only_our_scripts_run(seed: int) -> None:
    found = checked(html.render([run(seed), run(seed + 20)], HOSTILE[seed]))
    assert not {"img", "iframe", "object", "form"} & set(found.tags)
    # What is handed to the pictures is data, and stays it.
    for text in found.data:
        if text.startswith(("{", "[")):
            json.loads(text)


@pytest.mark.parametrize("name", HOSTILE, ids=[f"text {i}" for i in range(len(HOSTILE))])
def test_a_name_shows_as_it_is_wherever_it_stands(name: str) -> None:
    named = result("orin", reasons=("too short",))
    for path in ("context.device.board", "subject.bundle", "subject.variant", "context.device.hostname", "plan.data"):
        named = changed(named, path, name)
    named = replace(named, reasons=(name or "none",), command=f"edgekit bench '{name}'")
    page = html.render([named], name)
    found = checked(page)
    printable = "".join(c if c.isprintable() else "?" for c in name)
    if printable.strip():
        assert printable in "".join(found.shown)
    if "<" in name:
        assert name not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        assert escapes.escape(printable) in page


def test_a_million_samples_of_a_sensor_do_not_make_a_page_of_hundreds_of_megabytes() -> None:
    soak = result("orin", seconds=600, sustained=True)
    times = tuple(i / 100 for i in range(60_000))
    many = tuple(replace(one, times=times, values=tuple(float(i % 7) for i in range(60_000))) for one in soak.series)
    small, large = html.render([soak], "x"), html.render([replace(soak, series=many)], "x")
    assert len(large) < len(small) + 40 * 60_000 * len(many)
    checked(large)


def test_numbers_that_json_lacks_never_reach_a_picture() -> None:
    page = html.render([run(seed) for seed in range(4)], "x")
    for text in checked(page).data:
        if text.startswith(("{", "[")):
            assert not re.search(r"\b(NaN|Infinity)\b", text)


def test_the_same_results_give_the_same_page() -> None:
    runs = [run(seed) for seed in range(3)]
    assert html.render(runs, "x") == html.render(list(runs), "x")
