"""The report's table, the card's section and the curves say what was measured, and nothing else."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tiny_bundle as tiny
from edgekit.bundle import schema
from edgekit.bundle.manifest import Agreement
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill import figures, picture, sheet, work
from edgekit.converters.distill import report as reporting
from edgekit.converters.distill.data.store_records import Cost
from edgekit.converters.distill.recipe import DataSpec, ImageStudent, Recipe, StudentSpec, TeacherSpec
from edgekit.converters.distill.records import Report, Score, TowerFigures
from edgekit.converters.distill.training.records import Evaluation, Figure, Outcome
from edgekit.evaluation.metrics import Interval
from edgekit.evaluation.report import Metric

PERFECT = Agreement(4, 0.0, 1.0, 1.0, 1.0, 1.0)
DIGEST = f"sha256:{'ab' * 32}"


def evaluation(step, value, rounded=False):
    return Evaluation(step, float(step), rounded, (Figure("recall@1", value, 0.05, 40),))


OUTCOME = Outcome(
    identity="ab" * 32,
    steps=100,
    wall_seconds=75.0,
    cpu_seconds=140.4,
    images_per_second=512.3,
    ended="finished",
    delivered="last",
    delivered_step=100,
    reason="the last evaluation is the best one",
    evaluations=(evaluation(50, 0.2), evaluation(100, 0.4)),
    teacher=(Figure("recall@1", 0.5, 0.02, 40),),
    logit_scale=20.0,
    logit_bias=0.0,
    processes=1,
    precision="float32",
    device="cpu",
)
REPORT = Report(
    bundle="s.edge",
    size=1_500_000,
    folder="s.distill",
    teachers=("/home/x/big.edge",),
    teacher_digests=(DIGEST,),
    recipe="cd" * 32,
    validation="pictures",
    validation_digest="ef" * 32,
    scores=(Score("recall@1", 0.4, 0.3, 0.5, 40), Score("recall@5", 0.8, 0.7, 0.9, 40)),
    teacher_scores=(Score("recall@1", 0.5, 0.46, 0.54, 40),),
    image=TowerFigures(False, 100_000, 400_000, 1_000_000, 4_000_000, PERFECT),
    text=TowerFigures(True, 2_000, 8_000, 2_000, 8_000, PERFECT),
    embedding=Cost(400, 61.0, 100.0, 2_000_000),
    training=OUTCOME,
    seconds=120.0,
    notes=("one thing to know",),
)
RECIPE = Recipe(
    teachers=(TeacherSpec("/home/x/big.edge"),),
    data=DataSpec(images=("pictures",), labelled=0.1, views=3),
    student=StudentSpec(image=ImageStudent()),
    losses={"feature": 1.0, "labels": 0.5, "affinity": 0.0},
)


def test_the_table_sets_student_beside_teacher():
    text = reporting.table(REPORT)
    assert "recall@1          40.0 % (30.0–50.0)  50.0 % (46.0–54.0)" in text
    assert "recall@5          80.0 % (70.0–90.0)  –" in text
    assert "image parameters  100,000 (÷ 10.0)    1,000,000" in text
    assert "text MB           0.01 (kept)         0.01" in text
    assert "100 steps in 1:15 (140 CPU s of the first process), 512/s; 1 process on cpu, float32; finished" in text
    assert "400 rows in 1:01 (100 CPU s), 2.0 MB" in text
    assert "judged on 40 images of pictures" in text
    assert "note: one thing to know" in text
    assert text.endswith("s.edge  1.5 MB")


def test_what_is_not_known_is_not_made_up():
    lone = replace(
        REPORT,
        validation="",
        scores=(),
        teacher_scores=(),
        image=replace(REPORT.image, teacher_parameters=None, teacher_size=None),
        embedding=Cost(0, 0.0, 0.0, 0),
        training=replace(
            OUTCOME, ended="plateau", delivered="best", delivered_step=50, processes=2, notices=("mended",)
        ),
    )
    text = reporting.table(lone)
    assert "recall" not in text
    assert "judged on" not in text
    assert "embeddings" not in text
    assert "image parameters  100,000       –" in text
    assert "2 processes" in text
    assert "ended early, on a plateau" in text
    assert "weights: best, of step 50" in text
    assert "note: mended" in text


def test_cosines_are_no_percentages():
    scored = replace(REPORT, scores=(Score("centred_cosine", 0.91234, 0.9, 0.92, 40),))
    assert "centred_cosine    0.9123 (0.9000–0.9200)" in reporting.table(scored)


def test_a_report_survives_json():
    assert schema.loads(Report, schema.dumps(REPORT), "report.json") == REPORT


def test_the_cards_section_tells_how_it_was_made_and_no_path():
    text = sheet.section(REPORT, RECIPE, "card/curves.png", "distill/recipe.json")
    assert f"`big.edge` ({DIGEST[:19]}…)" in text
    assert "Losses: feature × 1, labels × 0.5." in text
    assert "10% of the images with their texts, 3 stored views" in text
    assert "| recall@1 | 40.0 % (30.0–50.0) | 50.0 % (46.0–54.0) |" in text
    assert "![loss and score over the training](card/curves.png)" in text
    assert "/home" not in text


def lines(steps=10):
    return [{"step": s, "losses": {"feature": 1 / s, "labels": 2 / s, "total": 3 / s}} for s in range(1, steps + 1)]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_curves_are_a_picture_that_changes_with_the_figures(tmp_path):
    drawn = picture.draw(lines(), OUTCOME)
    assert pixels(drawn).shape[1] > 900
    assert picture.draw(lines(), OUTCOME) == drawn
    assert picture.draw(lines(), replace(OUTCOME, evaluations=(evaluation(50, 0.3), evaluation(100, 0.4)))) != drawn
    assert picture.draw(lines(), replace(OUTCOME, teacher=())) != drawn
    (tmp_path / work.METRICS).write_text(
        "".join(f"{json.dumps(line)}\n" for line in [*lines(), {"step": 3, "evaluation": {}}])
    )
    picture.write(tmp_path, OUTCOME)
    assert (tmp_path / work.PICTURE).read_bytes() == drawn


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ([], replace(OUTCOME, evaluations=(), teacher=())),
        (lines(1), replace(OUTCOME, evaluations=(evaluation(100, 0.4, rounded=True),))),
        ([{"step": 1, "losses": {"a": -1.0}}, {"step": 2, "losses": {"b": 0.0}}], OUTCOME),
        (lines(200), replace(OUTCOME, steps=0, delivered_step=7)),
    ],
    ids=["nothing", "one-rounded", "negative", "no-steps"],
)
def test_odd_trainings_can_be_drawn_too(given, outcome):
    assert pixels(picture.draw(given, outcome)).std() > 5


def test_a_missing_metrics_file_has_no_lines(tmp_path):
    assert picture.read_losses(tmp_path / "none.jsonl") == []


def test_scores_from_a_standard_error_stay_within_what_is_possible():
    (low, high, cosine) = figures.of_training(
        (Figure("recall@1", 0.01, 0.02, 9), Figure("recall@5", 0.99, 0.02, 9), Figure("centred_cosine", -0.5, 0.1, 9))
    )
    assert (low.low, high.high) == (0.0, 1.0)
    assert cosine.low == pytest.approx(-0.696)
    assert low.high == pytest.approx(0.0492)


def test_metrics_of_an_evaluation_are_named_as_the_trainings():
    found = Interval(0.4, 0.3, 0.5, 20)
    assert figures._score(Metric("top5", found, None)) == Score("recall@5", 0.4, 0.3, 0.5, 20)
    assert figures._score(Metric("image_to_text_recall@10", found, None)).name == "recall@10"
    assert figures._score(Metric("mean_per_class", found, None)) is None
    assert figures._score(Metric("text_to_image_recall@1", found, None)) is None


def test_parameters_and_sizes_are_counted_in_the_graphs(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    weights = tiny.weights(0, tiny.make_tokenizer().get_vocab_size())
    towers = figures.towers(bundle, bundle, RECIPE)
    assert towers["image"].parameters >= weights.patches.size + weights.image.size
    assert towers["image"].parameters < weights.patches.size + weights.image.size + 100
    assert towers["image"].teacher_parameters == towers["image"].parameters
    files = {record.path: record.size for record in bundle.manifest.files}
    image = bundle.manifest.variants[0].image
    assert towers["image"].size == sum(files[path] for path in (image.artifact, *image.sidecars))
    assert (towers["image"].kept, towers["text"].kept) == (False, True)
    assert figures.towers(bundle, None, RECIPE)["text"].teacher_size is None
