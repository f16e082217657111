"""The table, the Markdown and the picture of a search."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from edgekit.bundle.manifest import Agreement, Fidelity, Retrieval, Share
from edgekit.converters.quantize import candidates, picture, report, sheet
from edgekit.converters.quantize.candidates import Candidate, Seen, worthless
from edgekit.converters.quantize.data import Material, Part
from edgekit.converters.quantize.figures import Metric
from edgekit.converters.quantize.methods.records import Decision, TowerDecision
from edgekit.converters.quantize.packing import Job
from edgekit.converters.quantize.search import Outcome
from edgekit.converters.quantize.sensitivity import Measured, Scale
from edgekit.converters.quantize.settings import Settings
from edgekit.ratios import Ratio

SCALE = Scale(0.2, 1000, {"image": 0.15, "text": 0.05}, {"image": 600, "text": 400})
FLOAT = TowerDecision({})


def seen(agreement=1.0, cosine=1.0, failures=()):
    found = Agreement(100, 0.01, cosine, cosine, cosine, cosine)
    share = Share(agreement, 0.01, 100)
    ways = Retrieval(share, share)
    metric = Metric("recall@1", Share(0.4, 0.05, 100), Share(0.39, 0.05, 100), 1.0, 0.5)
    return Seen(Fidelity("set", "0" * 64, found, found, ways, ways), metric, failures)


def candidate(name, image=600, time=1.0, **figures):
    methods = {} if name == "float" else {"stem": "int8"}
    ratios = {"image": Ratio(time, time - 0.05, time + 0.05, 9), "text": Ratio(1.0, 0.98, 1.02, 9)}
    decision = Decision(TowerDecision(methods), FLOAT)
    return Candidate(name, decision, -1.0, {"image": image, "text": 400}, ratios, seen(**figures))


def outcome(*found, winner=None):
    measured = (
        Measured("image", "mlp", "", "int8", 0.001, 0.0, -300, Ratio(0.6, 0.5, 0.7, 9), ""),
        Measured("image", "mlp", "", "crash", 0.0, 0.0, 0, None, "the process was ended by SIGSEGV"),
    )
    return Outcome(winner, {}, found, measured, {}, SCALE, 1, False, "")


def test_beaten_candidates_are_left_out_but_never_float_or_the_winner():
    floats = candidate("float")
    best = candidate("c1", 200, 0.5, agreement=0.99)
    beaten = candidate("c2", 300, 0.7, agreement=0.98)
    wins = candidate("c3", 300, 0.8, agreement=0.97)
    trades = report.best_trades(outcome(floats, best, beaten, wins, winner=wins))
    assert [one.name for one in trades] == ["float", "c3", "c1"]


def test_a_candidate_that_crashed_is_no_trade():
    crashed = Candidate("c1", Decision(FLOAT, FLOAT), 0, {"image": 0, "text": 0}, {}, Seen(None, None, ("crashed",)))
    assert [one.name for one in report.best_trades(outcome(candidate("float"), crashed))] == ["float"]


def test_rows_tell_where_figures_come_from():
    chosen = Candidate(**{**vars(candidate("c1", 200, 0.5)), "on_held_out": seen(0.985, 0.97)})
    head, first, second = report.rows((candidate("float"), chosen), "c1")
    assert len(head) == len(first) == len(second)
    assert second[0] == "c1 *"
    assert second[3] == "0.50 (0.45-0.55)"
    assert "0.9700" in second
    assert "98.5% ± 1.0%" in second
    assert "100.0% ± 1.0% °" in first
    assert second[-1] == "recall@1 39.0% (-1.00 ± 0.50)"


def test_markdown_has_a_cell_for_each_figure_and_no_stray_emphasis():
    lines = report.markdown((candidate("float"), candidate("c1", 200)), "c1")
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1].startswith("| c1 \\* |")


def test_the_cost_of_a_candidate_is_the_share_of_floats():
    one = candidate("c1", 200, 0.5)
    assert candidates.cost(one, SCALE, "size") == pytest.approx(0.6)
    assert candidates.cost(one, SCALE, "latency") == pytest.approx((0.075 + 0.05) / 0.2)


@pytest.mark.parametrize(
    ("objective", "size", "time", "message"),
    [
        ("latency", 200, 1.2, "slower than float here"),
        ("latency", 200, 1.04, ""),
        ("latency", 900, 0.5, ""),
        ("size", 600, 0.5, "no smaller than float"),
        ("size", 500, 7.0, ""),
    ],
)
def test_faithful_but_worthless(objective, size, time, message):
    one = candidate("c1", size, time)
    found = worthless(one.size, one.ratio, SCALE, Settings(objective=objective))
    assert bool(found) is bool(message)
    assert message in "".join(found)


def test_the_picture_is_a_png_that_can_be_read_on_a_page():
    best = candidate("c1", 200, 0.5, cosine=0.99)
    refused = candidate("c2", 100, 0.3, cosine=0.5, failures=("no",))
    data = picture.draw(outcome(candidate("float"), best, refused, winner=best))
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert 800 <= image.width <= 1600
    assert len(image.convert("RGB").getcolors(1 << 24)) > 20
    assert len(data) < 200_000


def test_a_search_without_candidates_still_has_a_picture():
    assert picture.draw(outcome())[:4] == b"\x89PNG"


def reported(*found, winner=None, **changes):
    """A report of a search, and its table."""
    searched = outcome(*found, winner=winner)
    given = {
        "bundle": "in.edge",
        "out": "out.edge",
        "folder": "out.quantize",
        "delivered": winner is not None,
        "variant": "int8" if winner else "fp32",
        "winner": winner.name if winner else "",
        "reason": "" if winner else "no candidate passed",
        "litert": "",
        "interrupted": False,
        "looks": 1,
        "notes": (),
        "data": "set",
        "data_digest": "0" * 64,
        "scale": SCALE,
        "candidates": searched.candidates,
        "measured": searched.measured,
        "seconds": 61.4,
        "peak": 200_000_000,
        "worker_peak": 300_000_000,
        "bytes_written": 1_500_000,
        **changes,
    }
    return report.table(report.Report(**given), report.best_trades(searched)).splitlines()


def test_a_table_of_a_delivery_lines_up_and_says_where_everything_is():
    winner = candidate("c1", 200, 0.5, agreement=0.99)
    lines = reported(candidate("float"), winner, winner=winner)
    head, rows = lines[0], lines[1:3]
    assert [row.split()[0] for row in rows] == ["float", "c1"]
    assert rows[1].startswith("c1 *")
    # Columns begin where their heads do.
    for name in ("image MB", "text time", "image cos", "task"):
        place = head.index(name)
        assert all(row[place - 1] == " " and row[place] != " " for row in rows)
    assert lines[-2] == "out.edge  1.5 MB  variant int8"
    assert lines[-1] == "61 s, at most 300 MB in one process; every figure is in out.quantize"
    assert "* delivered; ° on the data the search chooses by; held-out data looked at 1 time" in lines


def test_where_float_was_kept_the_reason_stands_before_the_file():
    lines = reported(candidate("float"), looks=3)
    assert lines[-3:-1] == ["float was kept: no candidate passed", "out.edge  1.5 MB  variant fp32"]
    assert not any("* delivered" in line for line in lines)
    assert any("looked at 3 times" in line for line in lines)


def test_notes_an_interruption_and_a_missing_format_are_told():
    winner = candidate("c1", 200, 0.5)
    lines = reported(
        candidate("float"), winner, winner=winner, notes=("one", "two"), interrupted=True, litert="no tool"
    )
    wanted = ["note: one", "note: two", "interrupted: this is the best that had passed until then"]
    places = [lines.index(line) for line in (*wanted, "no LiteRT variant: no tool")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("least", "drop", "found"),
    [
        (0.95, 1.0, "99.00% ± 1.00% on 100 held-out photos, 95.00% demanded. recall@1 39.0%, float 40.0%."),
        (0.0, 1.0, "on 100 held-out photos, nothing demanded. recall@1 39.0%, float 40.0%."),
        (0.95, float("nan"), "on 100 held-out photos, 95.00% demanded."),
    ],
    ids=["promised", "nothing demanded", "no figure of the task"],
)
def test_the_card_says_what_was_demanded_and_what_was_found(least, drop, found):
    proven = replace(seen(agreement=0.99), metric=replace(seen().metric, drop=drop))
    winner = replace(candidate("c1", 200, 0.5), on_held_out=proven)
    parts = {name: Part("0" * 64, images, 7, 1, ()) for name, images in (("calibration", 5), ("search", 20))}
    parts["held-out"] = Part("0" * 64, 100, 33, 1, ())
    material = Material("set", "ab" * 32, "retrieval", parts, ("it is small",))
    settings = Settings(min_agreement=least, threads=0)
    job = Job(None, None, None, settings, material, outcome(candidate("float"), winner, winner=winner))
    other = SimpleNamespace(id="litert-int8", fidelity=None)
    text = sheet.section(job, [SimpleNamespace(id="int8", target="any"), other], "card/p.png")
    first = text.splitlines()[0]
    assert first.startswith("Variant `int8`, target any: top-1 agreement with float ")
    assert first.endswith(f"{found} The same as `litert-int8`: not measured.")
    assert "5 images to calibrate, 20 to choose by, 100 with 33 texts held out." in text
    assert "Float took image 150.00 ms, text 50.00 ms; threads: as the engine chooses." in text
    assert "Note: it is small." in text
    assert text.endswith("![fidelity against time and size](card/p.png)")


def test_a_card_of_kept_float_says_why():
    parts = {name: Part("0" * 64, 9, 9, 1, ()) for name in ("calibration", "search", "held-out")}
    material = Material("set", "ab" * 32, "retrieval", parts, ())
    found = replace(outcome(candidate("float")), reason="nothing saves anything")
    text = sheet.section(Job(None, None, None, Settings(), material, found), [], "p.png")
    assert text.splitlines()[0] == "Float was kept: nothing saves anything."
    assert "threads: 1." in text
