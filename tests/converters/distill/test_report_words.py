"""What a report, a card and a picture say where figures are missing, tiny, large or out of the ordinary."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from edgekit.bundle.manifest import Agreement
from edgekit.converters.distill import figures, picture, sheet
from edgekit.converters.distill import report as reporting
from edgekit.converters.distill.data.store_records import Cost
from edgekit.converters.distill.display import clock, line
from edgekit.converters.distill.recipe import DataSpec, ImageStudent, Recipe, StudentSpec, TeacherSpec, TextStudent
from edgekit.converters.distill.records import Report, Score, TowerFigures
from edgekit.converters.distill.students import limits
from edgekit.converters.distill.throughput import Pace
from edgekit.converters.distill.training.records import Evaluation, Figure, Outcome

ODD = re.compile(r"\b(nan|inf|none)\b", re.IGNORECASE)
TOWER = TowerFigures(False, 1_000, 4_000, None, None, Agreement(4, 0.0, 1.0, 1.0, 1.0, 1.0))
OUTCOME = Outcome(
    identity="0" * 64,
    steps=0,
    wall_seconds=0.0,
    cpu_seconds=0.0,
    images_per_second=0.0,
    ended="finished",
    delivered="last",
    delivered_step=0,
    reason="it is the last one",
    evaluations=(),
    teacher=(),
    logit_scale=1.0,
    logit_bias=0.0,
    processes=1,
    precision="float32",
    device="cpu",
)
BARE = Report(
    bundle="s.edge",
    size=0,
    folder="s.distill",
    teachers=("",),
    teacher_digests=("",),
    recipe="0" * 64,
    validation="",
    validation_digest="",
    scores=(),
    teacher_scores=(),
    image=TOWER,
    text=TOWER,
    embedding=Cost(0, 0.0, 0.0, 0),
    training=OUTCOME,
    seconds=0.0,
)
TEXTS = Recipe((TeacherSpec(),), DataSpec(texts=("t",)), StudentSpec(text=TextStudent()), {"feature": 1.0})


def score(value=0.5, name="recall@1", low=0.4, high=0.6, n=10):
    return Score(name, value, low, high, n)


def test_a_report_without_any_figure_has_the_towers_and_one_sentence():
    assert reporting.table(BARE).splitlines() == [
        "                  student  teacher",
        "image parameters  1,000    –",
        "image MB          0.00     –",
        "text parameters   1,000    –",
        "text MB           0.00     –",
        "",
        "0 steps in 0:00 (0 CPU s of the first process), 0/s; 1 process on cpu, float32; finished",
        "s.edge  0.0 MB",
    ]


@pytest.mark.parametrize("scores", [(), (score(),)], ids=["none", "one"])
@pytest.mark.parametrize("teacher", [(), (score(),), (score(name="recall@5"),)], ids=["none", "same", "another"])
@pytest.mark.parametrize("known", [True, False], ids=["teacher-known", "teacher-unknown"])
@pytest.mark.parametrize("validation", ["", "photos"], ids=["no-set", "set"])
def test_nothing_that_is_missing_is_written_as_a_number(scores, teacher, known, validation):
    tower = replace(TOWER, teacher_parameters=2_000, teacher_size=8_000) if known else TOWER
    made = replace(BARE, scores=scores, teacher_scores=teacher, image=tower, text=tower, validation=validation)
    for text in (
        reporting.table(made),
        sheet.section(made, TEXTS, "c.png", "r.json"),
        "\n".join(reporting.markdown(made)),
    ):
        assert not ODD.search(text), text
        assert ("recall@1" in text) == bool(scores)
        assert ("÷ 2.0" in text) == known
    judged = [text for text in reporting.sentences(made) if text.startswith("judged on")]
    on = "images of photos" if validation else "texts that were held out"
    assert judged == ([f"judged on 10 {on}; intervals cover 95 %"] if scores else [])


def test_a_row_of_the_markdown_has_a_cell_for_each_head():
    made = replace(BARE, scores=(score(), score(name="centred_cosine")), teacher_scores=(score(),))
    lines = reporting.markdown(made)
    assert lines[1] == "|---|---|---|"
    assert {text.count("|") for text in lines} == {4}
    assert len(lines) == 2 + 2 + 4


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (score(0.0, low=0.0, high=0.0), "0.0 % (0.0–0.0)"),
        (score(1.0, low=1.0, high=1.0), "100.0 % (100.0–100.0)"),
        (score(0.12345, low=0.1, high=0.15), "12.3 % (10.0–15.0)"),
        (score(-0.25, "centred_cosine", -0.5, 0.0), "-0.2500 (-0.5000–0.0000)"),
    ],
    ids=["none", "all", "rounded", "negative-cosine"],
)
def test_shares_are_percentages_and_cosines_are_not(found, shown):
    assert reporting.rows(replace(BARE, scores=(found,)))[1] == (found.name, shown, "–")


@pytest.mark.parametrize(
    ("own", "other", "kept", "shown"),
    [
        (1_000, 10_000, False, ("1,000 (÷ 10.0)", "10,000")),
        (1_000, 1_000, False, ("1,000", "1,000")),
        (2_000, 1_000, False, ("2,000", "1,000")),
        (1_000, None, False, ("1,000", "–")),
        (0, 1_000, False, ("0", "1,000")),
        (1_000, 0, False, ("1,000", "0")),
        (1_000, 1_000, True, ("1,000 (kept)", "1,000")),
        (1_000, None, True, ("1,000 (kept)", "–")),
    ],
    ids=["smaller", "same", "larger", "unknown", "nothing", "of-nothing", "kept", "kept-unknown"],
)
def test_a_ratio_stands_only_where_the_student_is_smaller(own, other, kept, shown):
    tower = replace(TOWER, kept=kept, parameters=own, teacher_parameters=other)
    assert reporting.rows(replace(BARE, image=tower))[1][1:] == shown


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"processes": 1}, "1 process on cpu"),
        ({"processes": 2}, "2 processes on cpu"),
        ({"ended": "plateau"}, "; ended early, on a plateau"),
        ({"ended": "stopped"}, "; stopped"),
        ({"wall_seconds": 3725.4}, "in 1:02:05 ("),
        ({"cpu_seconds": 0.4}, "(0 CPU s"),
        ({"images_per_second": 12345.6}, ", 12346/s"),
        ({"device": "cuda", "precision": "bfloat16"}, "on cuda, bfloat16"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_first_sentence_tells_how_it_went(changes, told):
    assert told in reporting.sentences(replace(BARE, training=replace(OUTCOME, **changes)))[0]


def test_the_weights_are_told_where_they_are_not_the_last():
    best = replace(OUTCOME, delivered="best", delivered_step=7, reason="later ones were worse")
    assert "weights: best, of step 7 (later ones were worse)" in reporting.sentences(replace(BARE, training=best))
    assert not [text for text in reporting.sentences(BARE) if text.startswith("weights")]


def test_notes_come_last_those_of_the_run_before_those_of_the_training():
    noted = replace(BARE, notes=("one", "two"), training=replace(OUTCOME, notices=("three",)))
    assert reporting.sentences(noted)[-3:] == ["note: one", "note: two", "note: three"]


def test_a_section_without_images_says_so_and_names_embeddings():
    text = sheet.section(BARE, TEXTS, "c.png", "r.json")
    assert text.startswith("Teachers: `embeddings`. Losses: feature × 1. Data: no images, 4 stored views")
    assert "The recipe is in `r.json`." in text
    assert text.endswith("![loss and score over the training](c.png)")


@pytest.mark.parametrize(
    ("model", "shown"),
    [("/home/me/big.edge", "big.edge"), ("starter", "starter"), ("hf:owner/name", "name"), ("", "embeddings")],
)
def test_a_section_names_teachers_without_folders(model, shown):
    made = replace(BARE, teachers=(model, "b"), teacher_digests=(f"sha256:{'c' * 64}", ""))
    text = sheet.section(made, TEXTS, "c.png", "r.json")
    assert text.startswith(f"Teachers: `{shown}` (sha256:{'c' * 12}…), `b`. ")
    assert "/home" not in text


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (None, ()),
        (TextStudent("transformer", vocabulary=9), ()),
        (TextStudent("static", layers=1), ()),
        (TextStudent("static"), ("It knows no order of words",)),
        (TextStudent("static", layers=2, vocabulary=500), ("It has at most 500 tokens",)),
        (TextStudent("static", vocabulary=500), ("It knows no order of words", "It has at most 500 tokens")),
    ],
    ids=["kept", "transformer", "mixed", "static", "mixed-few", "few"],
)
def test_what_a_text_tower_cannot_know_is_on_its_card(spec, told):
    found = list(limits.of_text(spec))
    assert len(found) == len(told)
    assert all(part in sentence for part, sentence in zip(told, found, strict=True))
    text = sheet.section(BARE, replace(TEXTS, student=StudentSpec(image=ImageStudent(), text=spec)), "c", "r")
    assert all(f"- {sentence}" in text for sentence in found)


@pytest.mark.parametrize(
    ("value", "error", "low", "high"),
    [
        (0.5, 0.0, 0.5, 0.5),
        (0.0, 0.1, 0.0, 0.196),
        (1.0, 0.1, 0.804, 1.0),
        (-0.9, 0.1, -1.0, -0.704),
        (0.5, 9.0, 0.0, 1.0),
    ],
)
def test_an_interval_stays_within_what_can_be(value, error, low, high):
    (found,) = figures.of_training((Figure("recall@1", value, error, 5),))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.low <= found.value <= found.high


LOST = [
    ([], ()),
    ([{"step": 1, "losses": {"feature": 0.0}}], ()),
    ([{"step": 5, "losses": {"feature": 1e30, "total": 1e-30}}], (Evaluation(5, 1.0, False, ()),)),
    ([{"step": 1, "losses": {}}], (Evaluation(5, 1.0, False, (Figure("recall@1", 0.0, 0.0, 0),)),)),
]


@pytest.mark.parametrize(("lines", "evaluations"), LOST, ids=["nothing", "zero", "no-figure", "no-case"])
def test_a_picture_can_be_drawn_of_hardly_anything(lines, evaluations):
    drawn = picture.draw(lines, replace(OUTCOME, evaluations=evaluations, teacher=(Figure("other", 0.5, 0.1, 3),)))
    assert drawn.startswith(b"\x89PNG")


def test_lines_without_losses_are_left_out_of_a_picture(tmp_path):
    kept = [{"step": 1, "losses": {"a": 1.0}}, {"step": 3, "losses": {"a": 0.5}}]
    lines = [kept[0], {"step": 2, "evaluation": {}}, kept[1]]
    torn = '{"step": 4, "losses": {"a": 0.'
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(line)}\n\n" for line in lines) + torn, encoding="utf-8")
    assert picture.read_losses(tmp_path / "m.jsonl") == kept


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5.0, "0:00"),
        (0.4, "0:00"),
        (59.6, "1:00"),
        (60, "1:00"),
        (3599.4, "59:59"),
        (3600, "1:00:00"),
        (90061, "25:01:01"),
    ],
)
def test_a_clock_counts_hours_where_there_are_some(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, ""),
        ({"done": 0}, ""),
        ({"done": 3}, "3"),
        ({"total": 5}, "0/5"),
        ({"done": 0, "total": 0}, ""),
        ({"loss": 0.0, "score": 0.0, "per_second": 0.0, "left": 0.0}, "loss 0.0000  score 0.0%  0/s  0:00 left"),
        ({"loss": None, "score": None, "per_second": None, "left": None}, ""),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_line_shows_the_facts_there_are(facts, shown):
    assert line(facts) == shown


def test_a_pace_begins_anew_with_a_new_job():
    told, now = [], [0.0]
    pace = Pace(told.append, lambda: now[0])
    for done, total, at in [
        (0, 10, 0.0),
        (5, 10, 5.0),
        (5, 10, 5.1),
        (10, 10, 5.2),
        (0, 4, 6.0),
        (1, 4, 7.0),
        (0, 4, 8.0),
    ]:
        now[0] = at
        pace(done, total)
    assert told == [
        {"done": 0, "total": 10},
        {"done": 5, "total": 10, "per_second": 1.0, "left": 5.0},
        {"done": 10, "total": 10, "per_second": pytest.approx(10 / 5.2), "left": 0.0},
        {"done": 0, "total": 4},
        {"done": 1, "total": 4, "per_second": 1.0, "left": 3.0},
        {"done": 0, "total": 4},
    ]
