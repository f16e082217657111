"""The table, the Markdown and the picture of a search."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from edgekit.bundle.manifest import Agreement, Fidelity, Retrieval, Share
from edgekit.converters.quantize import candidates, picture, report
from edgekit.converters.quantize.candidates import Candidate, Seen, worthless
from edgekit.converters.quantize.figures import Metric
from edgekit.converters.quantize.records import Decision, TowerDecision
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
