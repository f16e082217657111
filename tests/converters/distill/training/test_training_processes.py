"""Real child processes: killed by SIGKILL in the middle of a step, and two of them under torchrun."""

from __future__ import annotations

import json
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from distill_material import finish_all, launch, launch_torchrun, run_here
from edgekit.converters.distill.training.metrics_log import read_metrics

# Both towers, two teachers, every kind of loss, a batch that two processes cannot share evenly, rounding after step 28.
OPTIONS = {
    "kept": "none",
    "teachers": 2,
    "dimension": 4,
    "batch": 15,
    "quantize": 0.3,
    "has_texts": True,
    "losses": {
        "feature": 1.0,
        "relation": 1.0,
        "contrastive": 0.5,
        "sigmoid": 0.3,
        "gradient": 1.0,
        "interactive": 0.5,
    },
    "material": {
        "kept": "none",
        "has_texts": True,
        "prompts": 6,
        "dimensions": (6, 9),
        "labelled": 0.5,
        "batch": 15,
    },
    "student": {"kept": "none", "dimension": 4, "norm": False},
}
# After the rounding began, and before a checkpoint knows of it.
KILLED_AT, ROUNDED_AT = 29, 28


def weights(folder):
    files = sorted((folder / "student").iterdir())
    assert [path.name for path in files] == ["trained-image.safetensors", "trained-text.safetensors"]
    return {f"{path.stem}.{name}": value for path in files for name, value in load_file(path).items()}


def kill_at(folder, step, processes):
    """Train until `step`, and end all processes at once while they make it."""
    children = launch(folder, {**OPTIONS, "pause_at": step}, processes)
    reached = [folder / f"paused-{rank}" for rank in range(processes)]
    try:
        while not all(path.exists() for path in reached):
            assert all(child.poll() is None for child in children), (folder / "log").read_text()
            time.sleep(0.02)
    finally:
        for child in children:
            child.kill()
    assert [child.wait() for child in children] == [-signal.SIGKILL] * processes


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of four trainings: one process and two, undisturbed, and each of them killed and gone on with."""
    home = tmp_path_factory.mktemp("runs")
    run_here(home / "one", OPTIONS)
    kill_at(home / "one-killed", KILLED_AT, 1)
    run_here(home / "one-killed", OPTIONS)
    finish_all(launch_torchrun(home / "two", OPTIONS, 2), home / "two")
    kill_at(home / "two-killed", KILLED_AT, 2)
    finish_all(launch(home / "two-killed", OPTIONS, 2), home / "two-killed")
    return home


@pytest.mark.parametrize("name", ["one", "two"])
def test_killed_and_gone_on_is_the_same_bit_by_bit(runs, name):
    whole, killed = weights(runs / name), weights(runs / f"{name}-killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)
    lines = [
        [(line["step"], line.get("losses")) for line in read_metrics(runs / of / "metrics.jsonl")]
        for of in (name, f"{name}-killed")
    ]
    assert lines[0] == lines[1]


def losses(folder):
    return {line["step"]: line["losses"] for line in read_metrics(folder / "metrics.jsonl") if "losses" in line}


def test_two_processes_learn_what_one_does(runs):
    # Activations are rounded by their range in a process's own part of the batch, so only until then.
    one, two = losses(runs / "one"), losses(runs / "two")
    assert list(one) == list(two) == list(range(1, 41))
    for step in range(1, ROUNDED_AT + 1):
        assert two[step] == pytest.approx(one[step], rel=1e-4, abs=1e-6), step
    assert one[ROUNDED_AT]["total"] < 0.9 * one[1]["total"]


def test_two_processes_end_where_one_does(runs):
    outcomes = [json.loads((runs / name / "outcome.json").read_text()) for name in ("one", "two")]
    assert [outcome["processes"] for outcome in outcomes] == [1, 2]
    assert outcomes[1]["logit_scale"] == pytest.approx(outcomes[0]["logit_scale"], rel=1e-3)
    assert outcomes[0]["logit_scale"] != pytest.approx(20, rel=1e-2)
    figures = [[e["figures"][0]["value"] for e in outcome["evaluations"]] for outcome in outcomes]
    assert figures[0][:2] == pytest.approx(figures[1][:2], abs=0.02)
    assert [e["rounded"] for e in outcomes[1]["evaluations"]] == [False, False, True, True]
