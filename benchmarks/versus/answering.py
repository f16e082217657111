"""A contender's own process: it opens one contender and answers one query at a time.

Standard input carries a `Brief` and then `Query`s, one JSON object a line. What was standard output when the process
began carries an `Opened` and then an `Answer` for each query, or ``{"error": [type, message]}``; what a library prints
goes to standard error, the parent's log.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.results.records import Pipeline
from edgekit.benchmarks.running.worker import answer_errors
from edgekit.benchmarks.versus.records import Contender
from edgekit.bundle import schema

if TYPE_CHECKING:
    from typing import TextIO


@dataclass(frozen=True)
class Brief:
    """What a contender is and works on.

    Attributes:
        contender: to open.
        pipeline: what a query does.
        samples: paths of photos, or texts.
    """

    contender: Contender
    pipeline: Pipeline
    samples: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """One query: the position of its sample, and whether the embedding is to be told."""

    sample: int
    tell: bool = False


@dataclass(frozen=True)
class Answer:
    """What a query took: nanoseconds from sample to embedding, and the embedding where it was asked for.

    An embedding that holds NaN or an infinity, which JSON lacks, is told as zeros: both have no direction, and agree
    with nothing.
    """

    ns: int
    row: tuple[float, ...] = ()


def main() -> None:
    """Open the contender that standard input names, and answer until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer_errors(lambda: _serve(answers), answers)


def _serve(answers: TextIO) -> None:
    from edgekit.benchmarks.versus.openers import opened

    brief = schema.loads(Brief, sys.stdin.readline(), "brief")
    found, embed = opened(brief.contender, brief.pipeline, brief.samples)
    _send(answers, schema.to_plain(found))
    for line in sys.stdin:
        query = schema.loads(Query, line, "query")
        begin = time.perf_counter_ns()
        row = embed(query.sample)
        taken = time.perf_counter_ns() - begin
        told = tuple(float(value) for value in row) if query.tell else ()
        finite = all(map(math.isfinite, told))
        _send(answers, schema.to_plain(Answer(taken, told if finite else (0.0,) * len(told))))


def _send(answers: TextIO, plain: Any) -> None:
    answers.write(json.dumps(plain, allow_nan=False) + "\n")
    answers.flush()
