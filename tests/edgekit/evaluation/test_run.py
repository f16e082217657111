"""`evaluate` on a tiny model: every figure from the SDK's own embeddings, refusals, skipped photos, crashes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.manifest import Manifest, Share, Tolerance
from edgekit.bundle.reader import Bundle, open_bundle
from edgekit.errors import BundleError, ImageError, InputError, RuntimeUnavailableError, TextError
from edgekit.evaluation.datasets import open_dataset
from edgekit.evaluation.metrics import bootstrap, mcnemar, recall_at_k
from edgekit.evaluation.records import Dataset
from edgekit.evaluation.report import Outcome, Report
from edgekit.evaluation.run import evaluate
from edgekit.evaluation.scoring import score
from edgekit.fidelity import fidelity
from small_sets import picture

WORDS = ("cat", "dog", "cup", "rocket", "flower", "temple", "car", "person")
IMAGES = 24


def _lenient(manifest: Manifest) -> Manifest:
    """Let the variant of another model pass its golden check, as one that lost much would."""
    variants = tuple(
        replace(v, precision="int8", image=replace(v.image, tolerance=Tolerance(-1, -1))) if v.id == "wrong" else v
        for v in manifest.variants
    )
    return replace(manifest, variants=variants)


@pytest.fixture(scope="module", name="bundle")
def _bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("variants") / "tiny.edge"
    return open_bundle(tiny.build(path, variants=("wrong", "fp32", "nan", "static"), change=_lenient))


@pytest.fixture(scope="module", name="retrieval")
def _retrieval(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("captions")
    for number in range(IMAGES):
        (folder / f"{number:02}.png").write_bytes(picture(number))
        first, second = WORDS[number % 8], WORDS[(number // 8 + number + 1) % 8]
        (folder / f"{number:02}.txt").write_text(f"a {first} and {second}\n{second} in the water\n")
    return open_dataset(folder)


@pytest.fixture(scope="module", name="classes")
def _classes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("classes")
    for number in range(IMAGES):
        home = folder / WORDS[number % 7 if number < 20 else 0]
        home.mkdir(exist_ok=True)
        (home / f"{number:02}.png").write_bytes(picture(number))
    return open_dataset(folder)


@pytest.fixture(scope="module", name="report")
def _report(bundle: Bundle, retrieval: Dataset) -> Report:
    return evaluate(bundle, retrieval)


def _by_variant(outcomes: tuple[Outcome, ...]) -> dict[str, Outcome]:
    return {outcome.variant: outcome for outcome in outcomes}


def _figures(outcome: Outcome) -> dict[str, float]:
    return {metric.name: metric.found.value for metric in outcome.metrics}


def test_retrieval_is_what_the_sdks_own_embeddings_give(bundle: Bundle, retrieval: Dataset, report: Report) -> None:
    found = report
    assert (found.task, found.images, found.texts) == ("retrieval", IMAGES, len(retrieval.texts))
    assert (found.data, found.digest) == (retrieval.name, retrieval.digest)
    assert (found.bundle, found.bundle_sha256, found.templates) == (bundle.where, bundle.digest, ())
    with edgekit.load(bundle.where, variant="fp32") as clip:
        images = clip.embed_images([item.read() for item in retrieval.items])
        texts = clip.embed_texts(list(retrieval.texts))
    wanted = score(retrieval, images, texts, None).metrics
    reference = found.outcomes[0]
    assert [metric.name for metric in wanted] == [
        f"{way}_recall@{k}" for way in ("image_to_text", "text_to_image") for k in (1, 5, 10)
    ]
    assert reference.metrics == wanted
    assert _figures(reference)["image_to_text_recall@5"] == recall_at_k(images, texts, retrieval.targets, 5)
    assert all(metric.found.n == (IMAGES if "image_to" in metric.name else len(texts)) for metric in wanted)


def test_the_float_variant_comes_first_and_the_others_are_compared_with_it(
    bundle: Bundle, retrieval: Dataset, report: Report
) -> None:
    assert [outcome.variant for outcome in report.outcomes] == ["fp32", "static", "wrong", "nan"]
    assert report.evaluated == report.outcomes[:3]
    first, same, other = report.evaluated
    assert first.fidelity is None
    assert all(metric.against is None for metric in first.metrics)
    assert same.fidelity is not None
    assert same.fidelity.image_to_text.top1 == Share(1.0, 0.0, IMAGES)
    assert [metric.found for metric in same.metrics] == [metric.found for metric in first.metrics]
    rows = {}
    for variant in ("fp32", "wrong"):
        with edgekit.load(bundle.where, variant=variant) as clip:
            rows[variant] = (
                clip.embed_images([item.read() for item in retrieval.items]),
                clip.embed_texts(list(retrieval.texts)),
            )
    wanted = fidelity(*rows["wrong"], *rows["fp32"], data=retrieval.name, digest=retrieval.digest)
    assert other.fidelity == wanted
    assert wanted.image_to_text.top1.value < 0.9
    tests = {metric.name: metric.against for metric in other.metrics if metric.against}
    assert set(tests) == {"image_to_text_recall@1", "text_to_image_recall@1"}
    right = {v: score(retrieval, *rows[v], None).right["text_to_image_recall@1"] for v in rows}
    assert tests["text_to_image_recall@1"] == mcnemar(right["fp32"], right["wrong"])
    assert all(outcome.images_per_second and outcome.images_per_second > 0 for outcome in report.evaluated)


def test_what_is_refused_says_why_and_stops_nobody(report: Report) -> None:
    refused = _by_variant(report.outcomes)["nan"]
    assert "NaN or infinity" in refused.refused
    assert (refused.metrics, refused.fidelity, refused.images_per_second) == ((), None, None)


def test_classification_is_clip_classify(bundle: Bundle, classes: Dataset) -> None:
    templates = ["a photo of a {}", "the {}"]
    found = evaluate(bundle, classes, variants=["fp32"], templates=templates)
    assert found.templates == tuple(templates)
    labels = list(classes.texts)
    with edgekit.load(bundle.where, variant="fp32") as clip:
        ranked = clip.classify_many([item.read() for item in classes.items], labels, templates=templates)
    right = [[label.label for label in r].index(labels[t[0]]) for r, t in zip(ranked, classes.targets, strict=True)]
    figures = {metric.name: metric.found for metric in found.outcomes[0].metrics}
    assert figures["top1"] == bootstrap(np.array([place < 1 for place in right]))
    assert figures["top5"] == bootstrap(np.array([place < 5 for place in right]))
    by_class = [
        np.mean([place == 0 for place, t in zip(right, classes.targets, strict=True) if t[0] == number])
        for number in range(len(labels))
    ]
    assert figures["mean_per_class"].value == pytest.approx(np.mean(by_class))


def test_the_bundles_own_templates_are_the_default(bundle: Bundle, classes: Dataset) -> None:
    found = evaluate(bundle, classes, variants=["fp32"])
    assert found.templates == ("a photo of {}",)
    same = evaluate(bundle, classes, variants=["fp32"], templates=["a photo of {}"])
    assert same.outcomes[0].metrics == found.outcomes[0].metrics


@pytest.mark.parametrize(
    ("templates", "error", "message"),
    [([], TextError, "the list of templates is empty"), (["no slot"], TextError, "expected exactly one")],
    ids=["none", "malformed"],
)
def test_templates_are_checked_before_anything_runs(
    bundle: Bundle, classes: Dataset, templates: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(bundle, classes, templates=templates)


def test_templates_are_not_for_captions(bundle: Bundle, retrieval: Dataset) -> None:
    with pytest.raises(InputError, match="is for retrieval; templates are for class names only"):
        evaluate(bundle, retrieval, templates=["{}"])


def test_images_alone_show_agreement(bundle: Bundle, retrieval: Dataset) -> None:
    images = open_dataset(retrieval.items[0].path.parent, task="unlabelled")
    found = evaluate(bundle, images, variants=["wrong", "fp32"])
    assert (found.task, found.texts) == ("unlabelled", 0)
    assert all(outcome.metrics == () for outcome in found.outcomes)
    other = _by_variant(found.outcomes)["wrong"].fidelity
    assert other is not None
    assert (other.image.n, other.text.n) == (IMAGES, len(tiny.TEXTS))
    assert other.image.centred_mean < 0.9


# broken photos


@pytest.fixture(name="damaged")
def _damaged(retrieval: Dataset, tmp_path: Path) -> Dataset:
    """The same set with two broken photos, one of which has a caption that no other has."""
    for item in retrieval.items:
        (tmp_path / item.name).write_bytes(item.read())
        (tmp_path / item.name).with_suffix(".txt").write_bytes(item.path.with_suffix(".txt").read_bytes())
    (tmp_path / "03.png").write_bytes(picture(3)[:60])
    (tmp_path / "03.txt").write_text("nobody else says this")
    (tmp_path / "17.png").write_bytes(b"not an image")
    return open_dataset(tmp_path)


def test_broken_photos_are_named_and_left_out_with_their_captions(bundle: Bundle, damaged: Dataset) -> None:
    found = evaluate(bundle, damaged, variants=["fp32", "static"])
    assert [reason.split(": ")[0] for reason in found.skipped] == ["03.png", "17.png"]
    assert all("<bytes>" not in reason for reason in found.skipped)
    wanted = {text for i, target in enumerate(damaged.targets) if i not in (3, 17) for text in target}
    assert (found.images, found.texts) == (IMAGES - 2, len(wanted))
    assert len(wanted) < len(damaged.texts)
    assert found.digest != damaged.digest
    (Path(damaged.items[0].path.parent) / "03.png").unlink()
    for name in ("03.txt", "17.png", "17.txt"):
        (Path(damaged.items[0].path.parent) / name).unlink()
    whole = evaluate(bundle, open_dataset(damaged.items[0].path.parent), variants=["fp32", "static"])
    assert whole.digest == found.digest
    assert [o.metrics for o in whole.outcomes] == [o.metrics for o in found.outcomes]
    assert whole.skipped == ()


def test_strict_stops_at_the_first(bundle: Bundle, damaged: Dataset) -> None:
    with pytest.raises(ImageError, match=r"^03\.png: "):
        evaluate(bundle, damaged, strict=True)


def test_photos_that_are_all_broken_are_an_error(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"not an image")
    with pytest.raises(ImageError, match=r"^1\.png: "):
        evaluate(bundle, open_dataset(tmp_path))


def test_a_photo_that_vanishes_is_named(bundle: Bundle, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    dataset = open_dataset(tmp_path)
    (tmp_path / "1.png").unlink()
    assert evaluate(bundle, dataset, variants=["fp32"]).skipped == ("1.png: cannot be read: No such file or directory",)


# what is wanted


def test_wrong_wishes(bundle: Bundle, retrieval: Dataset) -> None:
    with pytest.raises(InputError, match="has no variant 'int3'"):
        evaluate(bundle, retrieval, variants=["int3"])
    with pytest.raises(RuntimeUnavailableError, match="there is no runtime 'gpt'"):
        evaluate(bundle, retrieval, runtimes=["gpt"])
    with pytest.raises(RuntimeUnavailableError, match="offers no device 'tpu'"):
        evaluate(bundle, retrieval, device="tpu")
    with pytest.raises(InputError, match="holds no image"):
        evaluate(bundle, replace(retrieval, items=(), targets=()))


def test_a_runtime_that_is_missing_stands_among_the_refused(bundle: Bundle, retrieval: Dataset) -> None:
    found = evaluate(bundle, retrieval, variants=["fp32"], runtimes=["gpt", "onnxruntime"])
    assert [(o.variant, o.runtime.split()[0], bool(o.refused)) for o in found.outcomes] == [
        ("fp32", "onnxruntime", False),
        ("fp32", "gpt", True),
    ]


def test_a_damaged_bundle_is_no_refusal(tmp_path: Path, retrieval: Dataset) -> None:
    path = tiny.build(tmp_path / "tiny.edge")
    members = tiny.contents(path)
    members["variants/fp32/text.onnx"] = bytes(len(members["variants/fp32/text.onnx"]))
    path.write_bytes(tiny.pack(members))
    with pytest.raises(BundleError, match="SHA-256"):
        evaluate(open_bundle(path), retrieval)


def test_a_bundle_in_memory_gives_the_same_figures(bundle: Bundle, retrieval: Dataset, report: Report) -> None:
    here = evaluate(open_bundle(Path(bundle.where).read_bytes()), retrieval)
    assert here.bundle == "<bytes>"
    assert [(o.metrics, o.fidelity) for o in here.outcomes] == [(o.metrics, o.fidelity) for o in report.outcomes]


def test_progress_counts_every_image_of_every_candidate(bundle: Bundle, retrieval: Dataset) -> None:
    steps: list[int] = []
    evaluate(bundle, retrieval, variants=["fp32", "static"], progress=steps.append)
    assert sum(steps) == 2 * IMAGES
    assert len(steps) > 2


# engines that fail; registered as a third party would, so that child processes find them

ENGINE = """
import ctypes, os
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import Availability

class Session:
    def __init__(self, real, device):
        self.real, self.device, self.inputs, self.outputs = real, device, real.inputs, real.outputs
        self.close, self.placement = real.close, real.placement
    def run(self, inputs):
        (array,) = inputs.values()
        print("7")  # no answer, though it looks like one
        if self.device == "segfault":
            ctypes.string_at(0)
        if self.device == "abort-on-a-batch" and len(array) > 8:
            print("frail: assertion failed: n <= 8", flush=True)
            os.abort()
        if self.device == "exception":
            raise ZeroDivisionError("frail: no scale")
        return self.real.run(inputs)

class Frail:
    name, formats = "frail", frozenset({"onnx"})
    def available(self):
        return Availability(True, "1.0", "")
    def devices(self):
        return ("segfault", "abort-on-a-batch", "exception", "good", "better")
    def open(self, artifact, device, settings):
        return Session(OnnxRuntime().open(artifact, "cpu", settings), device)
"""


@pytest.fixture(name="_frail")
def _frail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "frail_engine.py").write_text(ENGINE)
    home = tmp_path / "frail-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: frail\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text("[edgekit.runtimes]\nfrail = frail_engine:Frail\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("frail_engine", None)


@pytest.mark.usefixtures("_frail")
def test_an_engine_that_crashes_is_refused_and_the_next_one_is_tried(
    tiny_bundle: Path, retrieval: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[int] = []
    found = evaluate(open_bundle(tiny_bundle), retrieval, runtimes=["frail"], progress=steps.append)
    reasons = {outcome.device: outcome.refused for outcome in found.outcomes}
    assert list(reasons) == ["good", "segfault", "abort-on-a-batch", "exception"]
    assert reasons["good"] == ""
    assert "its process was ended by SIGSEGV" in reasons["segfault"]
    assert reasons["abort-on-a-batch"] == (
        "its process was ended by SIGABRT; its last line: frail: assertion failed: n <= 8"
    )
    assert "exit code 1; its last line: ZeroDivisionError: frail: no scale" in reasons["exception"]
    assert sum(steps) == IMAGES
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_frail")
def test_everything_means_every_device(tiny_bundle: Path, retrieval: Dataset) -> None:
    found = evaluate(open_bundle(tiny_bundle), retrieval, everything=True)
    assert [(o.runtime, o.device) for o in found.evaluated][:2] == [("frail 1.0", "good"), ("frail 1.0", "better")]
    assert "onnxruntime" in {o.runtime.split()[0] for o in found.evaluated}
    assert len(found.outcomes) - len(found.evaluated) == 3
