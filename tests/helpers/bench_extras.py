"""What a report may hold beside results: side-by-side runs, profiles, and the table of all variants."""

from __future__ import annotations

from bench_results import result
from edgekit.benchmarks.limits.records import NodeTime, PartTime, Profile
from edgekit.benchmarks.results.records import Estimate
from edgekit.benchmarks.versus.records import Agreement, Comparison, Matrix, Opened, Row, Side, Versus


def versus(
    *others: tuple[str, float, float, float], subject: str = "edgekit int8", reasons: tuple[str, ...] = ()
) -> Versus:
    """Make up a side-by-side run; each of `others` is a name, a ratio and its ends."""
    given = others or (("open-clip", 2.31, 2.25, 2.38), ("modern-onnx-clip", 1.01, 0.98, 1.04))
    return Versus(
        schema_version=1,
        date="2026-11-28T03:00:00Z",
        edgekit="0.1.0",
        pipeline="photo",
        data="sample photos",
        samples=24,
        queries=12,
        rounds=40,
        seconds=58.0,
        goal=0.04,
        ended="narrow",
        subject=_side(subject, 20.0),
        others=tuple(_side(name, 20.0 * ratio) for name, ratio, _, _ in given),
        comparisons=tuple(
            Comparison(name, Estimate(ratio, low, high, 40), _agreement(name)) for name, ratio, low, high in given
        ),
        context=result("server").context,
        verdict="INVALID" if reasons else "VALID",
        reasons=reasons,
        command="edgekit bench vit-b-32.edge --vs-peer open-clip",
    )


def profile(tower: str = "image", reason: str = "") -> Profile:
    """Make up a profile whose three parts take 30 of 31 ms; one with a reason holds nothing else."""
    if reason:
        return Profile("vit-b-32", "int8", "onnxruntime 1.23.2", tower, 0, 0, 1, 0.0, 0.0, (), (), (), (), reason)
    parts = (PartTime("mlp", 24, 18.0, 0.58), PartTime("attention", 48, 10.0, 0.32), PartTime("stem", 2, 2.0, 0.06))
    nodes = tuple(NodeTime(f"layer.{i}.mlp.fc", "MatMul", "mlp", f"layer.{i}", "cpu", 0.75, 0.024) for i in range(24))
    blocks = tuple(PartTime(f"layer.{i}", 6, 2.3, 0.075) for i in range(12))
    ops = (PartTime("MatMul", 72, 27.0, 0.87), PartTime("Softmax", 12, 1.0, 0.03))
    return Profile("vit-b-32", "int8", "onnxruntime 1.23.2", tower, 0, 20, 1, 31.0, 1.0, parts, blocks, ops, nodes)


def matrix(*refused: tuple[str, str]) -> Matrix:
    """Make up a table of one row that ran and rows that did not, each a variant and the reason."""
    ran = Row(
        "int8", "int8", "onnxruntime 1.23.2", "cpu", 1, 0.96, 0.99, 25.0, 30.0, 40.0, 376, None, "VALID", (), True, "x"
    )
    rows = [
        Row(name, "int8", "litert 2.1", "cpu", 1, None, None, None, None, None, None, None, "", (reason,), False, "")
        for name, reason in refused
    ]
    return Matrix(1, "2026-11-28T03:00:00Z", "vit-b-32", "sha256:0", "photo", "sample photos", (ran, *rows))


def _side(name: str, ms: float) -> Side:
    opened = Opened(f"model of {name}", "", "", "", "", "onnxruntime 1.23.2", "cpu", 0, 900.0)
    blocks = tuple(ms * (1 + 0.01 * (i % 3)) for i in range(40))
    return Side(name, "edgekit", opened, 2, 3 * ms, Estimate(ms, 0.99 * ms, 1.01 * ms, 40), blocks, 420.0)


def _agreement(name: str) -> Agreement:
    if name == "open-clip":
        return Agreement(0.9912, 0.9971, 24, "")
    return Agreement(None, None, 0, "another embedding space")
