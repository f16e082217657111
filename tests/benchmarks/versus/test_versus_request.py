"""What a side-by-side run refuses before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.benchmarks.versus.records import Contender
from edgekit.benchmarks.versus.request import VersusRequest, check
from edgekit.errors import InputError

A, B = Contender("a", "edgekit", "a.edge"), Contender("b", "open-clip", "ViT-B-32:x.pt")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (VersusRequest((A,)), "side by side needs two; give --vs B.edge"),
        (VersusRequest(()), "side by side needs two"),
        (VersusRequest((A, Contender("a", "edgekit", "b.edge"))), "two contenders are called 'a'"),
        (VersusRequest((B, A)), "b is no bundle of edgekit"),
        (VersusRequest((A, B), pipeline="text"), "b: peers turn photos into embeddings; give --pipeline photo"),
        (VersusRequest((A, Contender("c", "edgekit", "c.edge", threads=-1))), "c: threads is -1; give 0"),
        (VersusRequest((A, B), seconds=0), "seconds 0: give a number above 0"),
        (VersusRequest((A, B), goal=float("nan")), "goal nan: give a number above 0"),
    ],
    ids=["one", "none", "one name", "peer first", "peer of texts", "threads", "seconds", "goal"],
)
def test_refused(request_: VersusRequest, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(request_)


@pytest.mark.parametrize(("kind", "pipeline"), [("sometimes", "photo"), ("edgekit", "sound")])
def test_unknown_words_are_refused(kind: Any, pipeline: Any) -> None:
    with pytest.raises(InputError, match=r"there are edgekit, onnxruntime|give one of image, text, photo"):
        check(VersusRequest((A, Contender("b", kind, "b")), pipeline=pipeline))


def test_what_is_right_passes() -> None:
    check(VersusRequest((A, B)))
    check(VersusRequest((A, Contender("c", "edgekit", "c.edge", threads=0)), pipeline="text", seconds=1))
