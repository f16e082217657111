"""Profiles: the arithmetic of one by hand, and real ones of the packaged bundle and the tiny towers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import litert_towers
import tiny_bundle
from edgekit.benchmarks.limits.breakdown import runs_of, summarise
from edgekit.benchmarks.limits.profile import golden_inputs, profile
from edgekit.benchmarks.limits.records import Profile
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.schema import dumps, loads
from edgekit.errors import ExecutionError, InputError
from edgekit.locations import resolve


def _node(name: str, op: str, start: int, length: int, index: str) -> dict[str, Any]:
    args = {"op_name": op, "provider": "CPUExecutionProvider", "node_index": index, "parameter_size": "16"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": length, "args": args}


def _events(totals: list[int]) -> list[dict[str, Any]]:
    """Inferences of so many microseconds: 10 % of each are outside of its two nodes."""
    found, now = [{"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 900}], 1000
    for total in totals:
        half = total * 45 // 100
        found.append({"cat": "Session", "name": "model_run", "ts": now, "dur": total})
        found.append({"cat": "Node", "name": "MatMul_fence_before", "ts": now, "dur": 0, "args": {"op_name": "MatMul"}})
        found.append(_node("/x.0/a/MatMul", "MatMul", now + 1, half, "3"))
        found.append(_node("/x.0/b/MatMul", "MatMul", now + 1 + half, half, "4"))
        now += total + 50
    return found


def test_events_are_sorted_into_inferences() -> None:
    runs = runs_of(list(reversed(_events([1000, 2000]))))
    assert [run.ms for run in runs] == [1.0, 2.0]
    assert [len(run.nodes) for run in runs] == [2, 2]
    assert runs[0].keys == ("3 /x.0/a/MatMul_kernel_time", "4 /x.0/b/MatMul_kernel_time")


def test_a_disturbed_inference_does_not_count() -> None:
    found = summarise(runs_of(_events([1000, 1000, 1000, 90_000, 1000, 1000, 1000, 10])), "here")
    assert found["ms"] == pytest.approx(1.0)
    assert found["overhead"] == pytest.approx(0.1)
    assert [(node.ms, node.share, node.device) for node in found["nodes"]] == [(0.45, pytest.approx(0.45), "cpu")] * 2
    assert [(part.name, part.nodes, part.share) for part in found["parts"]] == [("mlp", 2, pytest.approx(0.9))]
    assert [(part.name, part.ms) for part in found["blocks"]] == [("x.0", pytest.approx(0.9))]


@pytest.mark.parametrize("events", [[], [{"cat": "Session", "name": "model_run", "ts": 0, "dur": 5}]])
def test_a_profile_without_nodes_is_told(events: list[dict[str, Any]]) -> None:
    with pytest.raises(ExecutionError, match="here: onnxruntime's profile holds no node"):
        summarise(runs_of(events), "here")


@pytest.fixture(scope="module", name="starter")
def _starter() -> dict[str, Profile]:
    bundle = open_bundle(resolve("starter"))
    return {tower: profile(bundle, "int8", tower, threads=1, runs=6) for tower in ("image", "text")}  # type: ignore[arg-type]


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_real_profile_adds_up(starter: dict[str, Profile], tower: str) -> None:
    found = starter[tower]
    assert (found.bundle, found.variant, found.tower, found.runs, found.batch) == ("starter", "int8", tower, 6, 1)
    assert found.runtime.startswith("onnxruntime ")
    for groups in (found.parts, found.ops, found.nodes):
        total = sum(group.ms for group in groups)
        assert total + found.overhead == pytest.approx(found.ms)
        assert [group.ms for group in groups] == sorted((group.ms for group in groups), reverse=True)
    assert sum(part.nodes for part in found.parts) == len(found.nodes)
    # The starter's text tower has no blocks.
    assert 0 <= sum(block.ms for block in found.blocks) < found.ms
    assert bool(found.blocks) == (tower == "image")
    assert loads(Profile, dumps(found), "profile") == found


def test_the_starters_parts(starter: dict[str, Profile]) -> None:
    image, text = starter["image"], starter["text"]
    assert [block.name for block in image.blocks] == [f"_blocks.{i}" for i in range(16)]
    assert {part.name for part in image.parts} == {"stem", "convolution", "head"}
    assert text.blocks == ()
    assert {part.name for part in text.parts} >= {"table", "norm", "head"}
    nodes = {node.name: node.part for node in text.nodes}
    assert all(part == "norm" for name, part in nodes.items() if name.endswith("/LayerNormalization"))
    assert all(part == "head" for name, part in nodes.items() if name.endswith("/Gemm"))


def test_inputs_of_ones_own(tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle.build(tmp_path / "tiny.edge"))
    pixels = [np.zeros((3, 32, 32, 3), np.uint8)]
    found = profile(bundle, "fp32", "image", threads=1, inputs=pixels, runs=2)
    assert (found.batch, found.runs) == (3, 2)
    assert {node.op for node in found.nodes} >= {"Conv", "MatMul"}
    with pytest.raises(ExecutionError, match=r"image\.onnx: onnxruntime failed under its profiler"):
        profile(bundle, "fp32", "image", inputs=[np.zeros((1, 5, 5, 3), np.uint8)], runs=1)


def test_golden_inputs_fit_the_tower(tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle.build(tmp_path / "both.edge", variants=("fp32", "static")))
    free, static = bundle.manifest.variants
    assert free.text is not None
    assert static.text is not None
    assert {rows.shape for rows in golden_inputs(bundle, free.image, "image")} == {(1, 32, 32, 3)}
    assert {rows.shape for rows in golden_inputs(bundle, static.image, "image")} == {(2, 32, 32, 3)}
    texts = golden_inputs(bundle, free.text, "text")
    assert [rows.shape[1] for rows in texts] == [len(text.token_ids) for text in bundle.manifest.golden.texts]
    assert {rows.dtype for rows in texts} == {np.dtype(np.int32)}


def test_an_engine_without_a_profiler_says_so(tmp_path: Path) -> None:
    found = profile(open_bundle(litert_towers.bundle(tmp_path / "lite.edge")), "litert", "image")
    assert found.reason == "litert's Python package offers no profile of its operators"
    assert (found.runs, found.nodes, found.parts) == (0, (), ())
    assert found.runtime.startswith("litert ")


@pytest.mark.parametrize(
    ("variant", "tower", "runs", "message"),
    [
        ("fp64", "image", 1, "has no variant 'fp64'"),
        ("fp32", "sound", 1, "has no sound tower"),
        ("fp32", "image", 0, "a profile of 0 runs says nothing"),
    ],
)
def test_wrong_use_is_told(tiny_bundle: Path, variant: str, tower: str, runs: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        profile(open_bundle(tiny_bundle), variant, tower, runs=runs)  # type: ignore[arg-type]


def test_no_input_at_all_is_told(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="a profile without an input says nothing; give one, or None"):
        profile(open_bundle(tiny_bundle), "fp32", "image", inputs=[])


def test_inputs_take_turns_and_the_first_ones_only_warm_up(tiny_bundle: Path) -> None:
    """Three inferences warm up; of two inputs of other sizes each is run as often as its turns come."""
    pixels = [np.zeros((n, 32, 32, 3), np.uint8) for n in (1, 64)]
    found = profile(open_bundle(tiny_bundle), "fp32", "image", threads=1, inputs=pixels, runs=8)
    assert (found.runs, found.batch) == (8, 1)
    small = profile(open_bundle(tiny_bundle), "fp32", "image", threads=1, inputs=pixels[:1], runs=8)
    # Half of the inferences have 64 times the work.
    assert found.ms > 2 * small.ms
    assert {node.name for node in found.nodes} == {node.name for node in small.nodes}


def test_a_broken_graph_is_told(tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle.build(tmp_path / "bad.edge", variants=("fp32", "malformed")))
    with pytest.raises(ExecutionError, match="malformed"):
        profile(bundle, "malformed", "image", runs=1)
