"""The rules of a search, on towers that are only figures: every group's loss, time and size is known beforehand."""

from __future__ import annotations

import itertools
import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from edgekit.converters.quantize import work
from edgekit.converters.quantize.crew import Interrupted
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT, PROBE, SEARCH, Material, Part
from edgekit.converters.quantize.journal import Entry
from edgekit.converters.quantize.methods.records import Group
from edgekit.converters.quantize.search import MAX_LOOKS, Search
from edgekit.converters.quantize.settings import Settings
from edgekit.converters.quantize.work import MethodFacts, Survey
from edgekit.errors import ConversionError, InputError

ROWS, WIDTH = {PROBE: 24, SEARCH: 60, HELD_OUT: 80, GOLDEN: 4}, 12
KINDS = ("attention", "mlp")
NAMES = ("plain", "quick", "rough", "broken")
SURVEY = Survey(
    tuple(Group(f"{kind}{i}", kind, (f"{kind}{i}",), 100 * (i + 1)) for i in range(2) for kind in KINDS),
    {name: MethodFacts("int8", "float32", False, KINDS, name) for name in NAMES},
    NAMES,
)
SIZES = {"image": 4000, "text": 1000}
# By method: noise of one group's rows, time saved of the tower, bytes saved, noise on the held-out part.
FIGURES = {
    "plain": (0.002, 0.02, 300, 0.002),
    "quick": (0.05, 0.08, 300, 0.05),
    "rough": (0.6, 0.12, 450, 0.6),
}


def seed(*parts):
    return zlib.crc32("/".join(parts).encode())


def normal(*parts, rows):
    return np.random.default_rng(seed(*parts)).normal(size=(rows, WIDTH)).astype(np.float32)


class Crew:
    """Does every task at once; a method called broken crashes, and `figures` say what the others do."""

    def __init__(self, folder, figures=None, asked_after=None):
        self.folder, self.figures, self.asked_after = folder, figures or FIGURES, asked_after
        self.done, self.peak = [], 0
        self.stopped = lambda: self.asked_after is not None and len(self.done) >= self.asked_after

    def do(self, tasks, deadline=float("inf")):
        found = {}
        for task in tasks:
            if self.stopped():
                raise Interrupted
            if time.monotonic() >= deadline:
                break
            self.done.append(task)
            found[task.key] = self._entry(task)
        return found

    def _entry(self, task):
        if task.action == "survey":
            from edgekit.bundle import schema

            work.survey(self.folder, task.tower).write_text(schema.dumps(SURVEY))
        used = task.decision.methods
        if "broken" in used.values():
            return Entry(task.key, task.note, failed="the process was ended by SIGSEGV")
        for part in task.parts if task.action == "evaluate" else ():
            path = work.rows(self.folder, task, part)
            path.parent.mkdir(exist_ok=True)
            np.save(path, rows(self.figures, task.tower, used, part))
        saved = sum(self.figures[method][1] for method in used.values())
        size = SIZES[task.tower] - sum(self.figures[method][2] for method in used.values())
        times = (1 - saved,) * 5 if task.rounds else ()
        return Entry(task.key, task.note, size=size, times=times, float_times=(1.0,) * len(times))


def rows(figures, tower, used, part):
    """Embeddings of a tower: pairs of photos and texts are near each other, and each changed group adds its noise."""
    count = ROWS[part]
    found = normal("pair", part, rows=count) + 0.3 * normal(tower, part, rows=count)
    for group, method in used.items():
        noise = figures[method][0] if part != HELD_OUT else figures[method][-1]
        found = found + noise * normal(tower, group, method, part, rows=count)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def material():
    parts = {
        name: Part(f"{seed(name):x}", count, count, 1, tuple((i,) for i in range(count)))
        for name, count in ROWS.items()
        if name != GOLDEN
    }
    return Material("pairs", "d" * 64, "retrieval", parts, ())


def searched(folder, settings=None, **crew):
    return Search(folder, settings or Settings(), Crew(folder, **crew), lambda stage: None).run(material())


def agreement(figures, decision, part):
    """The promise, computed here: photos and texts whose best match is float's."""
    shares = []
    for own, other in (("image", "text"), ("text", "image")):
        ours = [rows(figures, t, getattr(decision, t).methods, part) for t in (own, other)]
        floats = [rows(figures, t, {}, part) for t in (own, other)]
        shares.append(((ours[0] @ ours[1].T).argmax(1) == (floats[0] @ floats[1].T).argmax(1)).mean())
    return min(shares)


def noisy(least):
    noise = st.sampled_from([0.0, 0.003, 0.03, 0.2, 0.8])
    return st.tuples(noise, st.sampled_from([least, 0.0, 0.05, 0.11]), st.integers(-100, 450), noise)


@examples(max_examples=10, deadline=None, derandomize=True)
@given(
    drawn=st.fixed_dictionaries({name: noisy(-0.1) for name in ("plain", "quick", "rough")}),
    promise=st.sampled_from([0.0, 0.9, 0.97, 1.0]),
    objective=st.sampled_from(["latency", "size"]),
)
def test_whatever_methods_do_what_is_delivered_keeps_its_promise(tmp_path_factory, drawn, promise, objective):
    folder = tmp_path_factory.mktemp("search")
    found = searched(folder, Settings(min_agreement=promise, objective=objective), figures=drawn)
    assert found.looks <= MAX_LOOKS
    assert not found.interrupted
    if found.winner is None:
        assert found.reason
        assert not found.tasks
        return
    assert found.reason == ""
    decision = found.winner.decision
    used = {*decision.image.methods.values(), *decision.text.methods.values()}
    assert used
    assert "broken" not in used
    assert agreement(drawn, decision, HELD_OUT) >= promise - 1e-9
    assert agreement(drawn, decision, SEARCH) >= promise - 1e-9
    saved = {t: [drawn[name] for name in getattr(decision, t).methods.values()] for t in SIZES}
    if objective == "size":
        assert sum(figures[2] for of in saved.values() for figures in of) > 0
    else:
        assert sum(figures[1] for of in saved.values() for figures in of) >= -1e-9
    assert {task.tower for task in found.tasks.values()} == set(SIZES)
    assert all(task.keep and work.rows(folder, task, GOLDEN).exists() for task in found.tasks.values())


def test_what_only_seemed_to_keep_its_promise_is_found_out_by_data_that_it_was_not_chosen_by(tmp_path):
    lucky = {**FIGURES, "quick": (0.01, 0.08, 300, 0.01), "rough": (0.03, 0.12, 450, 0.2)}
    found = searched(tmp_path, Settings(min_agreement=0.95), figures=lucky)
    assert 1 < found.looks <= MAX_LOOKS
    refused = [one for one in found.candidates if one.on_held_out is not None and one.on_held_out.failures]
    assert refused
    assert all(one.passed for one in refused)
    assert agreement(lucky, found.winner.decision, HELD_OUT) >= 0.95


def test_where_luck_is_all_there_is_float_is_kept_and_the_figure_is_told(tmp_path):
    lucky = {name: (0.0, *figures[1:3], 0.9) for name, figures in FIGURES.items()}
    found = searched(tmp_path, Settings(min_agreement=0.95), figures=lucky)
    assert found.winner is None
    assert found.tasks == {}
    assert "is below 95.00%" in found.reason
    assert found.reason.endswith(f"the held-out data was looked at {found.looks} times")


def test_with_the_promise_off_every_group_gets_what_is_fastest(tmp_path):
    found = searched(tmp_path, Settings(min_agreement=0.0))
    for tower in SIZES:
        assert set(getattr(found.winner.decision, tower).methods.values()) == {"rough"}
        assert len(getattr(found.winner.decision, tower).methods) == 4


def test_no_faster_choice_of_one_method_a_kind_keeps_the_promise_too(tmp_path):
    """Compared with every one of the 3 ** 4 choices that give all groups of a kind one method."""
    settings = Settings(min_agreement=0.95)
    found = searched(tmp_path, settings)

    def cost(decision):
        return -sum(FIGURES[name][1] for t in SIZES for name in getattr(decision, t).methods.values())

    wanted = []
    for names in itertools.product(("plain", "quick", "rough"), repeat=4):
        methods = dict(zip(itertools.product(SIZES, KINDS), names, strict=True))
        towers = {t: work.TowerDecision({g.name: methods[t, g.kind] for g in SURVEY.groups}) for t in SIZES}
        decision = type(found.winner.decision)(**towers)
        if min(agreement(FIGURES, decision, part) for part in (SEARCH, HELD_OUT)) >= 0.95:
            wanted.append(cost(decision))
    assert cost(found.winner.decision) <= min(wanted) + 1e-9


def test_only_the_towers_and_methods_that_were_asked_for_change(tmp_path):
    found = searched(tmp_path, Settings(towers=("text",), methods=("plain",), min_agreement=0.9))
    assert found.winner.decision.image.methods == {}
    assert set(found.winner.decision.text.methods.values()) == {"plain"}
    assert {one.method for one in found.measured} == {"plain"}
    assert list(found.surveys) == ["text"]


def test_a_method_that_does_not_exist_is_named_before_anything_is_measured(tmp_path):
    crew = Crew(tmp_path)
    with pytest.raises(InputError, match="methods: 'fine' is not one of broken, plain, quick, rough"):
        Search(tmp_path, Settings(methods=("plain", "fine")), crew, lambda stage: None).run(material())
    assert all(not task.decision.methods for task in crew.done)


def test_where_every_method_crashes_float_is_kept_and_why_is_told(tmp_path):
    found = searched(tmp_path, Settings(methods=("broken",)))
    assert found.winner is None
    assert found.reason.endswith("no method could be measured in the time, or none saves anything")
    assert found.looks == 0
    assert {one.failed for one in found.measured} == {"the process was ended by SIGSEGV"}


def test_a_float_tower_that_fails_is_an_error_that_names_it(tmp_path):
    crew = Crew(tmp_path)
    crew._entry = lambda task: Entry(task.key, task.note, failed="rows have lengths 0.1 to 3.0, not 1")
    with pytest.raises(ConversionError, match="the float image tower fails here on golden: rows have lengths"):
        Search(tmp_path, Settings(), crew, lambda stage: None).run(material())


def test_without_any_time_float_is_kept_and_the_reason_is_the_time(tmp_path):
    found = searched(tmp_path, Settings(minutes=1e-9))
    assert found.winner is None
    assert "no method could be measured in the time" in found.reason
    assert not found.interrupted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nobody stops: what it found, and how many tasks it took."""
    crew = Crew(tmp_path_factory.mktemp("whole"))
    settings = Settings(min_agreement=0.95)
    return Search(crew.folder, settings, crew, lambda stage: None).run(material()), len(crew.done)


@examples(max_examples=10, deadline=None, derandomize=True)
@given(share=st.floats(0, 1))
def test_stopped_at_any_task_it_delivers_what_was_proven_or_nothing(tmp_path_factory, whole, share):
    after = int(share * (whole[1] + 1))
    folder = tmp_path_factory.mktemp("stopped")
    try:
        found = searched(folder, Settings(min_agreement=0.95), asked_after=after)
    except Interrupted:
        return
    assert found.winner is not None
    assert found.interrupted == (after < whole[1])
    assert agreement(FIGURES, found.winner.decision, HELD_OUT) >= 0.95
    if not found.interrupted:
        assert found.winner.decision == whole[0].winner.decision


def test_stopped_late_something_is_delivered_and_it_is_no_faster_than_the_whole_search(tmp_path, whole):
    proof = 4
    found = searched(tmp_path, Settings(min_agreement=0.95), asked_after=whole[1] - proof)
    assert found.interrupted
    assert found.winner.predicted >= whole[0].winner.predicted - 1e-12
