"""What passes between the processes: a job and its result, whole or not, and how an ended child is described."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices
from edgekit.errors import BundleError, ExecutionError, GoldenError, ImageError, InputError, TextError
from edgekit.evaluation import child
from edgekit.evaluation.candidates import group, outcome, wanted_choices
from edgekit.evaluation.embedding import EmbeddedImages, embed_items
from edgekit.evaluation.job import Embedded, Job
from edgekit.evaluation.job_files import read_job, read_result, write_job, write_result
from edgekit.evaluation.records import Dataset, Item
from edgekit.evaluation.scoring import Scored
from edgekit.runtimes.protocol import SessionSettings
from edgekit.tower import MAX_BATCH
from small_sets import picture

TEXT = st.text(max_size=12)  # lone surrogates too: names of files may hold them


def _choice(variant: str = "fp32", runtime: str = "onnxruntime", device: str = "cpu") -> SimpleNamespace:
    return SimpleNamespace(
        variant=SimpleNamespace(id=variant), runtime=SimpleNamespace(name=runtime), version="1.0", device=device
    )


@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(TEXT, min_size=1, max_size=4),
    texts=st.lists(TEXT, max_size=4, unique=True),
    options=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    strict=st.booleans(),
    size=st.none() | st.integers(0, 9),
)
def test_a_job_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    texts: list[str],
    options: tuple[tuple[str, str], ...],
    strict: bool,
    size: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("job")
    items = tuple(Item(name, folder / f"{n}.png", n, size, "ab" * 32) for n, name in enumerate(names))
    targets = tuple((n,) for n in range(len(texts)))
    dataset = Dataset("set", "cd" * 32, "retrieval", items, tuple(texts), targets)
    job = Job(dataset, ("a {}", "{}"), SessionSettings(3, False, options=options), "exact", strict)
    write_job(folder, Path("some.edge"), _choice(device="delegate:/x y.so"), job)  # type: ignore[arg-type]
    path, choice, again = read_job(folder)
    assert (path, choice) == (Path("some.edge").absolute(), ("fp32", "onnxruntime", "delegate:/x y.so"))
    assert again == job


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), st.integers(0, 3), st.lists(TEXT, max_size=3), st.floats(0, 1e6))
def test_a_result_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, images: int, texts: int, broken: list[str], seconds: float
) -> None:
    folder = tmp_path_factory.mktemp("result")
    draw = np.random.default_rng(images)
    rows, captions = (draw.normal(size=(n, 4)).astype(np.float32) for n in (images, texts))
    errors = tuple(ImageError(text) for text in broken)
    kept = tuple(range(1, images + 1))
    write_result(folder, Embedded(EmbeddedImages(rows, kept, errors, seconds), captions))
    found = read_result(folder)
    np.testing.assert_array_equal(found.images.rows, rows)
    np.testing.assert_array_equal(found.texts, captions)
    assert (found.images.kept, found.images.seconds) == (kept, seconds)
    assert [str(error) for error in found.images.broken] == broken
    assert found.images.rows.dtype == np.float32


def test_a_result_that_is_not_whole_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match=r"the process that ran the engine left no whole result: .*No such file"):
        read_result(tmp_path)
    rows = np.ones((3, 4), np.float32)
    write_result(tmp_path, Embedded(EmbeddedImages(rows, (0, 1, 2), (), 1.0), rows))
    whole = (tmp_path / "result.npz").read_bytes()
    for cut in range(0, len(whole), 97):
        (tmp_path / "result.npz").write_bytes(whole[:cut])
        with pytest.raises(ExecutionError, match="left no whole result"):
            read_result(tmp_path)
    np.savez(tmp_path / "result.npz", images=rows)
    with pytest.raises(ExecutionError, match="left no whole result"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (3, "its process ended with exit code 3"),
        (-signal.SIGABRT, "its process was ended by SIGABRT"),
        (-signal.SIGKILL, "its process was ended by SIGKILL, most likely by the system for lack of memory"),
        (-63, "its process was ended by signal 63"),
    ],
    ids=["code", "abort", "memory", "unnamed"],
)
def test_how_a_process_ended(code: int, said: str) -> None:
    assert child._ending(code) == said


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (b"", "; it printed nothing"),
        (b"\n \n\x00\n", "; it printed nothing"),
        (b"first\nlast\n\n", "; its last line: last"),
        (b"a\x1b[31mred\x07\n", "; its last line: a[31mred"),
        (b"caf\xe9\n", "; its last line: caf\ufffd"),
        (b"x" * 1000, "; its last line: " + "x" * 300),
        (b"early\n" + b"\n" * (1 << 17), "; it printed nothing"),
    ],
    ids=["nothing", "blank", "last", "controls", "latin", "long", "far"],
)
def test_the_last_line_of_a_log(log: bytes, said: str) -> None:
    assert child._last_line(io.BytesIO(log)) == said


@pytest.mark.parametrize("kind", [BundleError, ImageError, InputError, TextError])
def test_what_the_user_must_mend_keeps_its_kind(tmp_path: Path, kind: type[Exception]) -> None:
    (tmp_path / "refusal.json").write_text(json.dumps({"kind": kind.__name__, "message": "1.png: broken"}))
    with pytest.raises(kind) as caught:
        child._raise_refusal(tmp_path)
    assert (type(caught.value), str(caught.value)) == (kind, "1.png: broken")


@pytest.mark.parametrize("kind", [GoldenError.__name__, "KeyError", "SystemExit"])
def test_any_other_refusal_is_the_candidates(tmp_path: Path, kind: str) -> None:
    (tmp_path / "refusal.json").write_text(json.dumps({"kind": kind, "message": "cosine 0.1"}))
    with pytest.raises(ExecutionError, match=r"^cosine 0\.1$"):
        child._raise_refusal(tmp_path)


def test_without_a_refusal_there_is_none(tmp_path: Path) -> None:
    child._raise_refusal(tmp_path)


def test_only_numbers_count_as_progress() -> None:
    steps: list[int] = []
    answers = SimpleNamespace(stdout=[b"16\n", b"chatter 7\n", b"\n", b"-3\n", b" 4 \n"])
    child._follow(answers, steps.append)  # type: ignore[arg-type]
    child._follow(answers, None)  # type: ignore[arg-type]
    assert steps == [16, 4]


# embedding


class Tower:
    """Returns the mean colour of each image, and keeps how many it was given at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        return pixels.reshape(len(pixels), -1, 3).mean(axis=1).astype(np.float32) if len(pixels) else np.empty((0, 3))


SPEC = tiny.ImageSpec(8, 8, "shortest", 8, "bicubic", (0, 0, 0), (0.5,) * 3, (0.5,) * 3)


def _items(folder: Path, broken: set[int], count: int) -> tuple[Item, ...]:
    for number in range(count):
        (folder / f"{number}.png").write_bytes(b"no image" if number in broken else picture(number))
    return tuple(Item(f"{number}.png", folder / f"{number}.png") for number in range(count))


@pytest.mark.parametrize(
    "broken",
    [set(), {0}, {MAX_BATCH}, set(range(MAX_BATCH)), {1, 5, MAX_BATCH + 1}],
    ids=lambda b: f"{len(b)}-{min(b, default=0)}",
)
def test_rows_are_those_of_the_images_that_could_be_read(tmp_path: Path, broken: set[int]) -> None:
    count, tower, steps = MAX_BATCH + 3, Tower(), list[int]()
    items = _items(tmp_path, broken, count)
    found = embed_items(items, SPEC, tower, progress=steps.append)  # type: ignore[arg-type]
    assert found.kept == tuple(number for number in range(count) if number not in broken)
    assert [str(error).split(": ")[0] for error in found.broken] == [f"{number}.png" for number in sorted(broken)]
    assert steps == [MAX_BATCH, 3]
    assert sum(tower.batches) == len(found.rows) == len(found.kept)
    assert max(tower.batches) <= MAX_BATCH
    for row, number in zip(found.rows, found.kept, strict=True):
        alone = embed_items([items[number]], SPEC, Tower())  # type: ignore[arg-type]
        np.testing.assert_array_equal(alone.rows[0], row)


def test_without_a_single_image_the_rows_keep_their_shape(tmp_path: Path) -> None:
    found = embed_items(_items(tmp_path, {0, 1}, 2), SPEC, Tower())  # type: ignore[arg-type]
    assert found.rows.shape == (0, 3)
    assert (found.kept, len(found.broken)) == ((), 2)


def test_a_strict_job_stops_at_the_first_in_order(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^2\.png: "):
        embed_items(_items(tmp_path, {2, 3}, 5), SPEC, Tower(), strict=True)  # type: ignore[arg-type]


# candidates


def test_float_variants_come_first_then_the_manifests_order(tmp_path: Path) -> None:
    from dataclasses import replace

    precisions = {"fp32": "int8", "static": "float32", "wrong": "fp32", "nan": "fp16"}
    path = tiny.build(
        tmp_path / "t.edge",
        variants=tuple(precisions),
        change=lambda m: replace(m, variants=tuple(replace(v, precision=precisions[v.id]) for v in m.variants)),
    )
    bundle = open_bundle(path)
    choices, refused = wanted_choices(bundle, (), ("onnxruntime",), "cpu")
    assert [choice.variant.id for choice in choices] == ["static", "wrong", "fp32", "nan"]
    assert refused == []
    twice, _ = wanted_choices(bundle, ("nan", "fp32", "nan"), ("onnxruntime", "onnxruntime"), "cpu")
    assert [choice.variant.id for choice in twice] == ["fp32", "nan"]
    with pytest.raises(InputError, match="has no variant 'int3'; it has fp32, static, wrong, nan"):
        wanted_choices(bundle, ("fp32", "int3"), (), "auto")


def test_what_is_missing_is_named_with_all_that_it_stands_for(tiny_bundle: Path) -> None:
    choices, refused = wanted_choices(open_bundle(tiny_bundle), (), ("nope", "onnxruntime"), "cpu")
    assert [choice.runtime.name for choice in choices] == ["onnxruntime"]
    (gone,) = refused
    assert (gone.variant, gone.runtime, gone.device) == ("every variant", "nope", "cpu")
    assert "there is no runtime 'nope'" in gone.refused


def test_a_candidate_stands_for_its_variant_or_for_its_variant_on_a_runtime(tiny_bundle: Path) -> None:
    choice = list_choices(open_bundle(tiny_bundle), None, "onnxruntime", "cpu")[0][0]
    assert group(choice, ()) == ("fp32", "")
    assert group(choice, ("onnxruntime", "litert")) == ("fp32", "onnxruntime")


def test_a_record_of_a_candidate(tiny_bundle: Path) -> None:
    choice = list_choices(open_bundle(tiny_bundle), None, "onnxruntime", "cpu")[0][0]
    gone = outcome(choice, refused="no")
    assert (gone.refused, gone.metrics, gone.fidelity, gone.images_per_second) == ("no", (), None, None)
    assert gone.runtime == f"onnxruntime {choice.version}"
    images = EmbeddedImages(np.ones((6, 2), np.float32), tuple(range(6)), (), 1.5)
    assert outcome(choice, images, Scored((), {})).images_per_second == 4.0
