"""The HTML file as text: what it holds, that nothing escapes, and that it is always the same."""

from __future__ import annotations

import base64
import hashlib
import html as html_escapes
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from bench_extras import matrix, profile, versus
from bench_results import changed, result
from edgekit.benchmarks.report import html, markup
from edgekit.benchmarks.report.style import CSS
from edgekit.errors import InputError, MissingDependencyError

RUNS = [
    result("orin", roofline=True, seconds=600),
    result("rock5", reasons=("the clock fell", "too short")),
    result("orin", "fp32"),
    result("orin", scenario="multi-stream", streams=4),
]
_VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Reads a page strictly: each end tag must close what was opened last."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))
        elif self.open[-1:] != ["style"]:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def shown() -> str:
    extras = {"versus": [versus()], "profiles": [profile(), profile("text", "litert has no profiler here")]}
    return html.render(RUNS, "Boards", matrix=matrix(("int4", "litert 2.1 cannot open it")), **extras)


@pytest.fixture(scope="module")
def page(shown: str) -> Page:
    return Page(shown)


def test_it_is_one_well_formed_page_with_a_title_and_a_viewport(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert page.text.split()[:3] == ["Boards", "Boards", "5"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert len(page.all("noscript")) == 1


def test_it_asks_for_nothing_from_anywhere(shown: str, page: Page) -> None:
    links = [v for _, attributes in page.tags for name, v in attributes.items() if name in ("src", "href", "srcset")]
    assert links
    assert all(v is not None and v.startswith(("#", "data:")) for v in links)
    assert "url(" not in CSS
    assert "@import" not in CSS
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy


def test_the_policy_names_exactly_the_scripts_that_are_there(page: Page) -> None:
    policy = next(m["content"] or "" for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 2
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    assert allowed == [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    assert sum("plotly.js v" in text[:300] for text in running) == 1


def test_links_lead_somewhere_and_no_id_is_given_twice(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [(a["href"] or "")[1:] for a in page.all("a")]
    assert targets
    assert set(targets) <= set(ids) | {"versus-0"}
    assert {
        "summary",
        "runs",
        "not-run",
        "side-by-side",
        "comparison",
        "tradeoff",
        "limits",
        "details",
        "run-4",
    } <= set(ids)


def test_each_picture_has_data_a_caption_a_label_and_a_table(shown: str, page: Page) -> None:
    boxes = [a for a in page.all("div") if a.get("class") == "chart"]
    data = {a.get("id"): json.loads(text) for a, text in page.scripts if a.get("type") == "application/json"}
    assert len(boxes) == len(data) == len(page.all("figure")) > 20
    for box in boxes:
        assert box["role"] == "img"
        assert len(box["aria-label"] or "") > 30
        assert data[box["data-figure"]]["data"]
    figures = re.findall(r"<figure.*?</figure>", shown, re.S)
    assert all("<figcaption>" in f and "<table" in f and "<summary>Data as a table</summary>" in f for f in figures)


def test_every_table_names_itself_its_columns_and_its_rows(shown: str, page: Page) -> None:
    tables = re.findall(r"<table.*?</table>", shown, re.S)
    assert tables
    for one in tables:
        assert "<caption" in one
        heads = one.count('scope="col"')
        for row in re.findall(r"<tr>(.*?)</tr>", one, re.S):
            assert len(re.findall(r"<t[hd]", row)) == heads
    assert all(a.get("tabindex") == "0" for a in page.all("div") if a.get("class") == "scroll")


def test_a_manager_finds_verdicts_reasons_and_figures(page: Page) -> None:
    text = page.text
    assert (
        "5 runs on NVIDIA Jetson Orin Nano Developer Kit, Radxa ROCK 5B, Intel(R) Xeon(R) Processor (virtual)" in text
    )
    assert "4 VALID, 1 INVALID; 2026-11-28" in text
    assert "Why INVALID:" in text
    assert "the clock fell" in text
    assert "INVALID: these figures must not be published." in text
    assert "open-clip takes 2.31 (2.25–2.38) times as long" in text
    assert "int4 on litert 2.1 (cpu): litert 2.1 cannot open it" in text
    assert "vit-b-32 int8, text tower: no profile: litert has no profiler here" in text
    for run in RUNS:
        assert run.command in text
        assert run.subject.digest in text
        assert run.id in text


def test_few_runs_are_open_and_of_many_only_the_first() -> None:
    def opened(count: int) -> list[bool]:
        page = Page(html.render([result(seed=i) for i in range(count)], "x"))
        return ["open" in a for a in page.all("details") if a.get("class") == "run"]

    assert opened(3) == [True, True, True]
    assert opened(4) == [True, False, False, False]


def test_a_single_run_has_no_pictures_of_several() -> None:
    page = Page(html.render([result()], "x"))
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html.render([result()], "x"))
    assert headings == ["Summary", "Runs", "Details of each run"]
    assert "1 run on" in page.text
    assert "unmeasured" in Page(html.render([result("rock5")], "x")).text


def test_contenders_alone_make_a_report_and_nothing_makes_none() -> None:
    page = Page(html.render((), "x", versus=[versus(reasons=("other load",))]))
    assert "0 VALID, 1 INVALID" in page.text
    assert "Runs" not in page.text
    with pytest.raises(InputError, match="at least one result"):
        html.render((), "x")


def test_missing_figures_do_not_stop_a_report() -> None:
    bare = result("rock5")
    for path, value in (
        ("stages", {}),
        ("series", ()),
        ("minutes", ()),
        ("latency.histogram", ()),
        ("accuracy.agreement", None),
        ("memory.uss_peak", None),
        ("context.before.other_load", None),
        ("context.device.board", ""),
        ("context.device.soc", ""),
        ("context.device.core_kinds", {}),
        ("context.device.features", ()),
        ("context.packages", {}),
        ("subject.placement", {}),
        ("drift.memory", None),
    ):
        bare = changed(bare, path, value)
    page = Page(html.render([bare], "x"))
    assert "unknown, 8 (aarch64)" in page.text
    assert len(page.all("figure")) == 1


def test_facts_of_swap_bounds_and_batteries_are_told_where_there_are_any() -> None:
    run = result(scenario="server")
    assert "Latency that p99 must keep" in Page(html.render([run], "x")).text
    assert "Swapping" not in Page(html.render([run], "x")).text
    for path, value in (("memory.swapped", 12.0), ("context.before.on_battery", True), ("plan.generator", "loadgen")):
        run = changed(run, path, value)
    text = Page(html.render([changed(run, "context.after.throttled", ("under-voltage",))], "x")).text
    for part in ("12.0 MiB in swap, 0 pages read", "on battery", "MLPerf LoadGen", "throttled: under-voltage"):
        assert part in text


HOSTILE = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;%{x}\x00\x1b\u2028<!--"


def test_hostile_names_show_as_they_are() -> None:
    run = result(roofline=True, reasons=(HOSTILE,))
    for path in (
        *("subject.bundle", "subject.variant", "subject.runtime", "subject.digest", "subject.space", "id", "command"),
        *("context.device.board", "context.device.hostname", "context.device.system", "plan.data", "accuracy.data"),
        *("energy.meter", "energy.rail", "roofline.kind", "context.python", "edgekit", "date"),
    ):
        run = changed(run, path, HOSTILE)
    run = changed(run, "context.packages", {HOSTILE: HOSTILE})
    run = changed(run, "subject.placement", {HOSTILE: {HOSTILE: 1}})
    other = changed(run, "subject.variant", HOSTILE + "2")
    shown = html.render([run, other], HOSTILE, versus=[versus((HOSTILE, 2.0, 1.9, 2.1), subject=HOSTILE)])
    page = Page(shown)
    assert page.all("img") == []
    assert len([a for a, _ in page.scripts if a.get("type") != "application/json"]) == 2
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    plain = HOSTILE.replace("\x00", "?").replace("\x1b", "?").replace("\u2028", "?")
    assert page.text.count(plain) > 20
    assert f"<h1>{html_escapes.escape(plain)}</h1>" in shown


def test_the_same_input_gives_the_same_file_in_another_process() -> None:
    code = (
        "import hashlib, sys; from bench_results import result; from edgekit.benchmarks.report import html;"
        "runs = [result(roofline=True), result('rock5', 'fp32', seconds=600)];"
        "print(hashlib.sha256(html.render(runs, 'x').encode()).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONPATH": "tests/helpers"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    here = html.render([result(roofline=True), result("rock5", "fp32", seconds=600)], "x")
    assert done.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgekit\[bench\]'"):
        html.render([result()], "x")


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_from_their_background(scheme: int) -> None:
    blocks = re.findall(r":root\{(.*?)\}", CSS, re.S)
    colours = dict(re.findall(r"(--[a-z0-9-]+):(#[0-9a-f]{6})", blocks[scheme]))
    for back in ("--bg", "--surface"):
        for name in ("--text", "--muted", "--accent"):
            assert contrast(colours[name], colours[back]) >= 4.5, (name, back)
        for number in range(1, 8):
            assert contrast(colours[f"--series-{number}"], colours[back]) >= 3, (number, back)
    assert contrast(colours["--good"], colours["--good-bg"]) >= 4.5
    assert contrast(colours["--bad"], colours["--bad-bg"]) >= 4.5
    assert contrast(colours["--bad"], colours["--surface"]) >= 4.5


def test_pieces_escape_every_text() -> None:
    assert markup.element("p", "<a>&\"'", "note") == '<p class="note">&lt;a&gt;&amp;&quot;&#x27;</p>'
    assert "<b>" not in markup.table("<b>", ["<b>"], [["<b>"]]) + markup.facts([("<b>", "<b>")]) + markup.bullets(
        ["<b>"]
    )
    assert (
        markup.folded("<i>", "<p>x</p>", "data")
        == '<details class="data"><summary>&lt;i&gt;</summary><p>x</p></details>'
    )
    assert markup.badge("VALID").startswith('<span class="badge valid">')
    assert "✗" in markup.badge("INVALID")
