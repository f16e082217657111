"""The order of the passes: what saves most first, and what was beaten is not tried again."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgekit.converters.quantize import measuring as passes
from edgekit.converters.quantize import work
from edgekit.converters.quantize.candidates import float_task
from edgekit.converters.quantize.data import PROBE
from edgekit.converters.quantize.journal import Entry
from edgekit.converters.quantize.measuring import Measuring
from edgekit.converters.quantize.methods.records import Group
from edgekit.converters.quantize.sensitivity import Scale
from edgekit.converters.quantize.settings import Settings
from edgekit.converters.quantize.work import MethodFacts, Survey

PRODUCTS = ("attention", "mlp")
METHODS = {
    "small": MethodFacts("int8", "float32", False, (*PRODUCTS, "table", "convolution"), ""),
    "fast": MethodFacts("int8", "dynamic uint8", False, PRODUCTS, ""),
    "bad": MethodFacts("int8", "uint8", True, (*PRODUCTS, "convolution"), ""),
    "late": MethodFacts("int4", "float32", False, ("attention",), ""),
}
IMAGE = Survey(
    (
        Group("stem", "convolution", ("s",), 50),
        Group("a0", "attention", ("a",), 300),
        Group("m0", "mlp", ("m",), 600),
    ),
    METHODS,
    tuple(METHODS),
)
TEXT = Survey((Group("table", "table", ("t",), 5000), Group("m0", "mlp", ("m",), 900)), METHODS, tuple(METHODS))
SCALE = Scale(0.2, 1000, {"image": 0.15, "text": 0.05}, {"image": 300, "text": 700})
# By method: noise of the rows, time, bytes.
FIGURES = {"small": (0.01, 1.0, -300), "fast": (0.1, 0.5, -300), "bad": (0.2, 0.6, -300), "late": (0.3, 0.9, -350)}


class Crew:
    """Does tasks at once, as `FIGURES` says."""

    def __init__(self, folder):
        self.folder, self.done, self.broken = folder, [], set()

    def do(self, tasks, deadline=float("inf")):
        found = {}
        for task in tasks:
            if time.monotonic() >= deadline:
                break
            self.done.append(task)
            found[task.key] = self._entry(task)
        return found

    def _entry(self, task):
        method = next(iter(task.decision.methods.values()), "")
        if method in self.broken:
            return Entry(task.key, task.note, failed="the process was ended by SIGSEGV")
        noise, ratio, size = FIGURES.get(method, (0, 1, 0))
        if task.decision.smoothing:
            noise /= 10
        rows = np.random.default_rng(3).normal(size=(12, 6)).astype(np.float32)
        rows += noise * np.random.default_rng(4).normal(size=rows.shape).astype(np.float32)
        for part in task.parts:
            path = work.rows(self.folder, task, part)
            path.parent.mkdir(exist_ok=True)
            np.save(path, rows)
        times = (ratio,) * 3 if task.rounds else ()
        return Entry(
            task.key,
            task.note,
            size=int(SCALE.tower_size[task.tower]) + size,
            times=times,
            float_times=(1.0,) * len(times),
        )


@pytest.fixture
def measuring(tmp_path):
    crew = Crew(tmp_path)
    crew.do([float_task(tower, PROBE) for tower in ("image", "text")])
    crew.done.clear()

    def make(**settings):
        return Measuring(tmp_path, crew, Settings(**settings), {"image": IMAGE, "text": TEXT}, SCALE)

    return make


def notes(crew):
    return [task.note for task in crew.done]


def test_the_heaviest_product_meets_every_method_and_the_others_those_that_were_not_beaten(measuring):
    found = measuring()
    found.kinds(float("inf"))
    assert notes(found.crew) == [
        "image: mlp as small",
        "image: mlp as fast",
        "image: mlp as bad",
        # "bad" is slower and worse than "fast"; "late" could not be tried on an mlp
        "text: mlp as fast",
        "text: mlp as small",
        "image: attention as fast",
        "image: attention as small",
        "image: attention as late",
        "text: table as small",
        "image: convolution as small",
        "image: convolution as bad",
    ]


def test_for_size_a_large_table_comes_before_the_other_products(measuring):
    found = measuring(objective="size")
    found.kinds(float("inf"))
    order = notes(found.crew)
    assert order[:3] == ["image: mlp as small", "image: mlp as fast", "image: mlp as bad"]
    assert order.index("text: table as small") < order.index("image: attention as small")


def test_single_groups_meet_what_is_worth_it(measuring):
    found = measuring()
    kinds = found.kinds(float("inf"))
    found.crew.done.clear()
    found.groups(kinds, float("inf"))
    assert notes(found.crew) == [], "every kind here has a single group, which is known already"


def test_what_fails_is_kept_as_such_and_is_no_option(measuring):
    found = measuring()
    found.crew.broken.add("fast")
    kinds = found.kinds(float("inf"))
    assert {one.failed for one in found.found if one.method == "fast"} == {"the process was ended by SIGSEGV"}
    assert all(option.name != "fast" for options in kinds.values() for option in options)


def test_when_time_is_over_what_was_measured_counts(measuring):
    assert measuring().kinds(time.monotonic() - 1) == {}


def test_smoothing_is_kept_where_it_loses_less(measuring):
    found = measuring(smoothing=True)
    found.smooth(found.kinds(float("inf")), float("inf"))
    assert found.smoothing == {"image": passes.SMOOTHING, "text": passes.SMOOTHING}


@pytest.mark.parametrize(("smoothing", "methods"), [(False, ("bad",)), (True, ("bad", "fast"))])
def test_ranges_are_measured_for_the_methods_that_want_them(measuring, smoothing, methods):
    found = measuring(smoothing=smoothing)
    found.calibrate(float("inf"))
    image, text = found.crew.done
    assert (image.action, image.methods, image.batch) == ("ranges", methods, 8)
    assert (text.methods, text.batch) == (methods, 1)
    assert bool(image.decision.smoothing) is smoothing


def test_without_such_methods_nothing_is_calibrated(measuring):
    found = measuring(methods=("small",))
    found.calibrate(float("inf"))
    assert found.crew.done == []
