"""The report in a real browser: pictures drawn, nothing fetched, nothing wrong in the console, nothing too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench_extras import profile, versus
from bench_results import changed, result
from browser import CHROMIUM, Browser, browser
from edgekit.benchmarks.report import html

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

DRAWN = "document.documentElement.dataset.drawn === 'yes'"
PHONE = 390
_EMPTY = """
[...document.querySelectorAll('.chart')].filter(box => !box.closest('details.run:not([open])')).filter(box =>
  !box.querySelector('.main-svg') || !box.querySelector('.trace path, .point path, .points path, .bars path')
).map(box => box.dataset.figure)
"""
_WIDE = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('.hidden')
  && !e.closest('.chart') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    crowd = {"scenario": "multi-stream", "streams": 2}
    runs = [
        result("orin", "int8", roofline=True, **crowd),
        result("orin", "fp32", reasons=("the clock fell",), **crowd),
        result("orin", "int8", scenario="multi-stream", streams=4),
        result("rock5", "int8", **crowd),
    ]
    path = tmp_path_factory.mktemp("report") / "many.html"
    path.write_text(html.render(runs, "Many", versus=[versus()], profiles=[profile()]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "one.html"
    path.write_text(html.render([result()], "One"), encoding="utf-8")
    return path


def opened(tab: Browser, path: Path, width: int, *, dark: bool = False, phone: bool = False) -> None:
    tab.screen(width, dark=dark, phone=phone)
    tab.open(path)
    tab.wait(DRAWN)


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (PHONE, True)], ids=["desktop", "phone"])
def test_every_picture_is_drawn_and_nothing_is_fetched_or_too_wide(
    tab: Browser, many: Path, width: int, phone: bool
) -> None:
    opened(tab, many, width, phone=phone)
    assert tab.value(_EMPTY) == []
    assert tab.value("document.querySelectorAll('.main-svg').length") > 30
    assert tab.value("innerWidth") == width
    assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value(_WIDE) == []
    assert tab.requests == [many.as_uri()]
    assert tab.problems == []


def test_a_closed_run_is_drawn_when_it_is_opened_linked_to_or_printed(tab: Browser, many: Path) -> None:
    opened(tab, many, 1280, dark=True)
    assert tab.value("document.querySelectorAll('#run-2 .main-svg').length") == 0
    tab.value("document.querySelector('#run-2').open = true")
    tab.wait("document.querySelectorAll('#run-2 .main-svg').length >= 15")
    tab.value("location.hash = '#run-3'; 0")
    tab.wait("document.querySelector('#run-3').open && document.querySelectorAll('#run-3 .main-svg').length > 0")
    tab.value("window.dispatchEvent(new Event('beforeprint'))")
    tab.wait("document.querySelectorAll('.chart:not(:has(.main-svg))').length === 0")
    assert tab.value(_EMPTY) == []
    assert tab.problems == []


def test_colours_follow_the_scheme_and_paper_is_light(tab: Browser, one: Path) -> None:
    colour = "getComputedStyle(document.querySelector('#run-1-0 .xtick text')).fill"
    back = "getComputedStyle(document.documentElement).getPropertyValue('--bg')"
    opened(tab, one, 1280)
    assert (tab.value(colour), tab.value(back)) == ("rgb(27, 31, 36)", "#ffffff")
    tab.screen(1280, dark=True)
    tab.wait(f"{colour} === 'rgb(232, 235, 239)'")
    assert tab.value(back) == "#14171b"
    tab.value("window.dispatchEvent(new Event('beforeprint'))")
    tab.wait(f"{colour} === 'rgb(27, 31, 36)'")
    assert tab.value(back) == "#ffffff"
    tab.value("window.dispatchEvent(new Event('afterprint'))")
    assert tab.value(back) == "#14171b"
    assert tab.problems == []


def test_without_scripts_all_figures_can_be_read(tab: Browser, many: Path) -> None:
    tab.screen(PHONE, phone=True)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(many)
        assert tab.value("document.querySelector('.chart').offsetHeight") == 0
        assert "Pictures need JavaScript" in tab.value("document.querySelector('noscript').innerText")
        assert tab.value("document.querySelectorAll('figure table tbody tr').length") > 100
        assert tab.value("document.documentElement.scrollWidth") == PHONE
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_hostile_names_run_nothing_and_stay_inside_a_phone(tab: Browser, tmp_path: Path) -> None:
    attack = '<img src=x onerror="window.owned=1"></script><script>window.owned=1</script>' + "W" * 300
    run = changed(result(reasons=(attack,)), "subject.bundle", attack)
    runs = [changed(run, "subject.variant", attack + str(i)) for i in range(2)]
    path = tmp_path / "hostile.html"
    path.write_text(html.render(runs, attack), encoding="utf-8")
    opened(tab, path, PHONE, phone=True)
    assert tab.value("typeof window.owned") == "undefined"
    assert tab.value("document.querySelector('h1').textContent") == attack
    assert tab.value("document.documentElement.scrollWidth") == PHONE
    assert tab.value("[...document.querySelectorAll('svg text')].some(t => t.textContent.includes('<img src=x'))")
    assert tab.requests == [path.as_uri()]
    assert tab.problems == []


def test_the_policy_stops_a_script_that_was_put_into_the_file(tab: Browser, tmp_path: Path) -> None:
    path = tmp_path / "changed.html"
    shown = html.render([result()], "x").replace("<main>", "<main><script>window.owned = 1</script>", 1)
    path.write_text(shown, encoding="utf-8")
    tab.open(path)
    assert tab.value("typeof window.owned") == "undefined"
    assert any("Content Security Policy" in problem for problem in tab.problems)
