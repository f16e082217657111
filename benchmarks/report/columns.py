"""One row a run: the columns of CSV files, whose names stay as they are from version to version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.results.metrics import figure, metric

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Result

Cell = str | int | float | bool | None

_INTERVALS = {"p50": "p50_ms", "p90": "p90_ms", "p99": "p99_ms", "throughput": "throughput", "per_inference": "joules"}
_SINGLE = {
    "mean": "mean_ms",
    "import_ms": "import_ms",
    "load_ms": "load_ms",
    "prepare_ms": "prepare_ms",
    "first_ms": "first_ms",
    "warm_ms": "warm_ms",
    "rss_peak": "rss_peak_mib",
    "uss_peak": "uss_peak_mib",
    "device_memory": "device_memory_mib",
    "above_idle": "joules_above_idle",
    "watts": "watts",
    "agreement": "agreement",
    "cosine": "cosine_min",
    "drift": "drift_latency",
    "leak": "drift_memory_mib_per_hour",
    "overhead_us": "overhead_us",
    "peak_share": "roofline_share",
}


def row(result: Result) -> dict[str, Cell]:
    """Return a run as named cells.

    Args:
        result: of the run.

    Returns:
        Cells by column name, always the same names in the same order; None where something is unmeasured. Times are
        in milliseconds, memory in MiB, `joules` of one sample, `throughput` in samples a second; names ending in
        ``_low`` and ``_high`` are ends of 95 % intervals.
    """
    subject, plan, device = result.subject, result.plan, result.context.device
    cells: dict[str, Cell] = {
        "id": result.id,
        "date": result.date,
        "verdict": result.verdict,
        "reasons": "; ".join(result.reasons),
        "bundle": subject.bundle,
        "bundle_version": subject.version,
        "bundle_digest": subject.digest,
        "variant": subject.variant,
        "precision": subject.precision,
        "format": subject.format,
        "size_bytes": subject.size,
        "runtime": subject.runtime,
        "runtime_version": subject.runtime_version,
        "runtime_device": subject.device,
        "hostname": device.hostname,
        "board": device.board,
        "soc": device.soc,
        "architecture": device.architecture,
        "cores": device.cores,
        "memory_mib": device.memory,
        "power_mode": device.power_mode,
        "virtual": device.virtual,
        "scenario": plan.scenario,
        "pipeline": plan.pipeline,
        "generator": plan.generator,
        "batch": plan.batch,
        "threads": plan.threads,
        "streams": plan.streams,
        "target_qps": plan.target_qps,
        "seconds": plan.seconds,
        "sustained": plan.sustained,
        "data": plan.data,
        "queries": result.latency.n,
    }
    for name, column in _INTERVALS.items():
        found = figure(result, metric(name))
        cells |= {column: found.value, f"{column}_low": found.low, f"{column}_high": found.high}
    for name, column in _SINGLE.items():
        cells[column] = figure(result, metric(name)).value
    return cells | {
        "golden_before": result.accuracy.before.passed,
        "golden_after": result.accuracy.after.passed,
        "agreement_data": result.accuracy.data,
        "energy_status": result.energy.status,
        "energy_meter": result.energy.meter,
        "energy_rail": result.energy.rail,
        "energy_scope": result.energy.scope,
        "roofline_bound": result.roofline.bound if result.roofline else None,
        "edgekit": result.edgekit,
        "command": result.command,
    }
