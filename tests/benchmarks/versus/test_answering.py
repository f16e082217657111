"""The child's side, in a real process: what it reads, what it answers, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_bundle as tiny_bundles
from edgekit.benchmarks.versus import likeness
from edgekit.benchmarks.versus.answering import Answer, Brief, Query
from edgekit.benchmarks.versus.records import Contender, Opened
from edgekit.bundle import schema
from edgekit.errors import BundleError

_CHILD = [sys.executable, "-c", "from edgekit.benchmarks.versus.answering import main; main()"]


def _talk(*lines: Any) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
    """Hand lines to a child, end its input, and return what it answered."""
    given_ = "".join(f"{line if isinstance(line, str) else json.dumps(schema.to_plain(line))}\n" for line in lines)
    done = subprocess.run(_CHILD, input=given_, capture_output=True, text=True, timeout=120, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def test_it_opens_answers_and_ends_with_its_input(tiny_bundle: Path, photos: list[Path]) -> None:
    brief = Brief(Contender("a", "edgekit", str(tiny_bundle)), "photo", (str(photos[0]), str(photos[1])))
    (opened, *answers), done = _talk(brief, Query(1), Query(0, tell=True), Query(1, tell=True))
    assert done.returncode == 0
    assert schema.loads(Opened, json.dumps(opened), "opened").variant == "fp32"
    found = [schema.loads(Answer, json.dumps(answer), "answer") for answer in answers]
    assert [len(one.row) for one in found] == [0, 16, 16]
    assert all(one.ns > 0 for one in found)
    assert found[1].row != found[2].row


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("{", "BundleError", "brief: not valid JSON"),
        ("{}", "BundleError", "brief: the field 'contender' is missing"),
        (Brief(Contender("a", "edgekit", "nowhere.edge"), "photo", ()), "BundleError", "nowhere.edge"),
        (Brief(Contender("a", "modern-onnx-clip", "nowhere"), "photo", ()), "InputError", "has no visual.onnx"),
    ],
    ids=["no json", "empty", "no bundle", "no folder"],
)
def test_a_refusal_is_one_line(line: Any, kind: str, message: str) -> None:
    (answer,), done = _talk(line)
    assert answer["error"][0] == kind
    assert message in answer["error"][1]
    assert done.returncode == 1


def test_a_query_that_fails_ends_it_with_a_line(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    brief = Brief(Contender("a", "edgekit", str(tiny_bundle)), "photo", (str(tmp_path / "broken.jpg"),))
    (_, answer), done = _talk(brief, Query(0))
    assert answer["error"][0] == "ImageError"
    assert "broken.jpg" in answer["error"][1]
    assert done.returncode == 1


def test_an_embedding_that_is_none_is_an_answer_that_agrees_with_nothing(tmp_path: Path, photos: list[Path]) -> None:
    """JSON has no NaN: the parent would have waited for another answer until it took the contender for hung."""
    nan = tiny_bundles.build(tmp_path / "nan.edge", variants=("nan",))
    brief = Brief(Contender("a", "onnxruntime", str(nan)), "photo", (str(photos[0]),))
    (_, silent, told), done = _talk(brief, Query(0), Query(0, tell=True))
    assert done.returncode == 0
    found = [schema.loads(Answer, json.dumps(answer), "answer") for answer in (silent, told)]
    assert [one.row for one in found] == [(), (0.0,) * 16]
    opened = Opened("m", "", "", "", "", "e 1", "cpu", 0, 1.0)
    assert likeness.agreement(opened, [found[1].row], opened, [found[1].row]).cosine_min == -1


def test_a_crash_is_a_crash(tiny_bundle: Path, photos: list[Path]) -> None:
    brief = Brief(Contender("a", "edgekit", str(tiny_bundle)), "photo", (str(photos[0]),))
    answers, done = _talk(brief, Query(5))  # no such sample: a fault of the parent, not of the user
    assert len(answers) == 1
    assert done.returncode == 1
    assert "IndexError" in done.stderr


_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_CONTENDERS = st.builds(
    Contender,
    name=_TEXT,
    kind=st.sampled_from(["edgekit", "onnxruntime", "modern-onnx-clip", "open-clip"]),
    model=_TEXT,
    variant=_TEXT,
    runtime=_TEXT,
    device=_TEXT,
    threads=st.none() | st.integers(0, 99),
    options=st.lists(st.tuples(_TEXT, _TEXT), max_size=3).map(tuple),
    decoding=st.sampled_from(["fast", "exact"]),
)


@given(_CONTENDERS, st.sampled_from(["photo", "image", "text"]), st.lists(_TEXT, max_size=3))
def test_a_brief_comes_through_as_it_was(contender: Contender, pipeline: Any, samples: list[str]) -> None:
    brief = Brief(contender, pipeline, tuple(samples))
    line = json.dumps(schema.to_plain(brief))
    assert "\n" not in line
    assert schema.loads(Brief, line, "brief") == brief


@given(st.text(max_size=60))
def test_no_line_is_taken_for_a_query_by_chance(line: str) -> None:
    try:
        found = schema.loads(Query, line, "query")
    except BundleError as error:
        assert str(error).startswith("query")
    else:
        assert isinstance(found.sample, int)
