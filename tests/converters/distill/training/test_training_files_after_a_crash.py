"""Checkpoints, the metrics log and the outcome, whatever was left of them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from edgekit.converters.distill.training import checkpoints, delivery
from edgekit.converters.distill.training.metrics_log import MetricsLog, read_metrics
from edgekit.converters.distill.training.records import Evaluation, Figure, Outcome
from edgekit.errors import BundleError, InputError

_FILES = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _save(folder, *steps, value=1.0):
    for step in steps:
        checkpoints.save(folder, step, {"identity": "a", "step": step, "rows": torch.full((2, 3), value * step)})


@_FILES
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path, place, bit):
    _save(tmp_path, 1, 2)
    last = tmp_path / "step-000000002.checkpoint"
    data = bytearray(last.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    last.write_bytes(data)
    found = checkpoints.newest(tmp_path)
    assert checkpoints.unpack(found.payload)["step"] == 1
    assert len(found.notices) == 1


@_FILES
@given(share=st.floats(0, 1, exclude_max=True))
def test_any_truncation_is_noticed(tmp_path, share):
    _save(tmp_path, 1, 2)
    last = tmp_path / "step-000000002.checkpoint"
    data = last.read_bytes()
    last.write_bytes(data[: int(share * len(data))])
    assert checkpoints.unpack(checkpoints.newest(tmp_path).payload)["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.checkpoint"]


def test_a_notice_names_the_file_and_what_was_done(tmp_path):
    _save(tmp_path, 8)
    (tmp_path / "step-000000008.checkpoint").write_bytes(b"")
    (notice,) = checkpoints.newest(tmp_path).notices
    assert "step-000000008.checkpoint" in notice
    assert "removed" in notice
    assert "earlier state" in notice


def test_saving_a_step_again_takes_its_place(tmp_path):
    _save(tmp_path, 4, 5)
    _save(tmp_path, 5, value=2.0)
    assert len(list(tmp_path.iterdir())) == 2
    assert float(checkpoints.unpack(checkpoints.newest(tmp_path).payload)["rows"][0, 0]) == 10


@pytest.mark.parametrize("steps", [(9, 10), (99, 100), (999_999, 1_000_000)], ids=str)
def test_the_newest_is_the_one_of_most_steps_not_of_the_last_letter(tmp_path, steps):
    _save(tmp_path, *reversed(steps))
    assert checkpoints.unpack(checkpoints.newest(tmp_path).payload)["step"] == max(steps)


@pytest.mark.parametrize(
    "name", ["step-1.checkpoint", "step-0000000001.checkpoint", "step-000000001.checkpoint.bak", "other"]
)
def test_a_file_of_another_name_is_no_checkpoint(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    assert checkpoints.newest(tmp_path) == checkpoints.Found(b"", ())
    _save(tmp_path, 1, 2, 3)
    assert (tmp_path / name).read_bytes() == b"mine"


def test_everything_a_state_is_made_of_comes_back(tmp_path):
    state = {
        "identity": "a",
        "none": None,
        "flag": True,
        "nested": {"rows": [torch.tensor([1, 2]), 0.1, "é"]},
        "empty": torch.zeros(0, 3),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    checkpoints.save(tmp_path / "made" / "here", 1, state)
    found = checkpoints.unpack(checkpoints.newest(tmp_path / "made" / "here").payload)
    assert found["nested"]["rows"][1:] == [0.1, "é"]
    assert (found["none"], found["flag"], found["empty"].shape) == (None, True, (0, 3))
    assert torch.equal(found["half"], state["half"])


@pytest.mark.parametrize("state", [{}, {"identity": "b"}, {"identity": None}], ids=str)
def test_another_identity_is_refused_with_the_folder_and_the_way_out(tmp_path, state):
    with pytest.raises(InputError, match=r"another recipe, or of other teachers; take another output, or remove") as e:
        checkpoints.check_identity(state, "a", tmp_path)
    assert str(tmp_path) in str(e.value)


BROKEN = {
    "half a line": b'{"step": 3, "los',
    "no record": b"[1, 2]\n",
    "no step": b'{"loss": 1}\n',
    "a step that is no number": b'{"step": "3"}\n',
    "nothing": b"\n",
    "noise": b"\xff\xfe\x00\n",
    "zeros": b"\0" * 16 + b"\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_left_out_and_the_others_stay(tmp_path, name):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + BROKEN[name])
    assert read_metrics(path) == [{"step": 1}]
    log = MetricsLog(path, 5, writes=True)
    log.add({"step": 6})
    assert [line["step"] for line in read_metrics(path)] == [1, 6]
    assert path.read_bytes() == b'{"step": 1}\n{"step": 6}\n'


@_FILES
@given(steps=st.lists(st.integers(1, 9), max_size=8), at=st.integers(1, 9))
def test_what_was_written_after_the_state_is_cut_off(tmp_path, steps, at):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in sorted(steps)))
    MetricsLog(path, at, writes=True)
    assert [line["step"] for line in read_metrics(path)] == [step for step in sorted(steps) if step <= at]


def test_a_log_in_a_folder_that_is_not_there_yet(tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    assert read_metrics(path) == []
    log = MetricsLog(path, 7, writes=True)
    log.sync()
    assert path.read_bytes() == b""
    log.add({"step": 8, "text": "é\n"})
    assert read_metrics(path) == [{"step": 8, "text": "é\n"}]


def test_a_process_that_does_not_write_makes_no_folder(tmp_path):
    MetricsLog(tmp_path / "new" / "metrics.jsonl", 0, writes=False).add({"step": 1})
    assert not (tmp_path / "new").exists()


def _outcome(**changes):
    figure = Figure("recall@1", 0.5, 0.1, 20)
    settings_ = {
        "identity": "a" * 64,
        "steps": 7,
        "wall_seconds": 1.5,
        "cpu_seconds": 1.25,
        "images_per_second": 10.0,
        "ended": "finished",
        "delivered": "last",
        "delivered_step": 7,
        "reason": "why",
        "evaluations": (Evaluation(7, 1.25, True, (figure,)),),
        "teacher": (figure,),
        "logit_scale": 20.0,
        "logit_bias": -2.0,
        "processes": 1,
        "precision": "float32",
        "device": "cpu",
        "notices": ("mended",),
    }
    return Outcome(**{**settings_, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"evaluations": (), "teacher": (), "notices": ()}, {"ended": "plateau"}], ids=str
)
def test_an_outcome_comes_back(tmp_path, changes):
    assert delivery.read_outcome(tmp_path) is None
    delivery.write_outcome(tmp_path, _outcome(**changes))
    assert delivery.read_outcome(tmp_path) == _outcome(**changes)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]"], ids=["empty", "half", "no fields", "a list"])
def test_a_damaged_outcome_names_its_file(tmp_path, content):
    (tmp_path / "outcome.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"outcome\.json"):
        delivery.read_outcome(tmp_path)


def test_only_new_towers_are_written(tmp_path):
    found = {"image": None, "text": {"w": torch.ones(2)}}
    delivery.write_towers(tmp_path, found)
    assert [path.name for path in (tmp_path / "student").iterdir()] == ["trained-text.safetensors"]
    assert torch.equal(load_file(tmp_path / "student" / "trained-text.safetensors")["w"], torch.ones(2))


def test_a_snapshot_shares_nothing_with_what_goes_on_learning():
    module = torch.nn.Linear(2, 2)
    learner = SimpleNamespace(
        image=module, text=None, log_scale=torch.tensor(0.0), bias=torch.tensor(-3.0, requires_grad=True)
    )
    found = delivery.snapshot(learner, 5)
    before = found["image"]["weight"].clone()
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(found["image"]["weight"], before)
    assert (found["text"], found["scale"], found["bias"], found["step"]) == (None, 1.0, -3.0, 5)
