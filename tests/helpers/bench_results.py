"""Results of benchmark runs with realistic figures, made up without running anything: same arguments, same record."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.results import records
from edgekit.benchmarks.results.context_records import Context, Device, State
from edgekit.benchmarks.results.energy_records import Baseline, Energy, Series
from edgekit.bundle.schema import dumps

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

DEVICES = {
    "orin": Device(
        hostname="orin-nano-1",
        board="NVIDIA Jetson Orin Nano Developer Kit",
        soc="Tegra234",
        architecture="aarch64",
        cores=6,
        core_kinds={"Cortex-A78AE": 6},
        features=("asimd", "asimddp", "fphp"),
        memory=7620,
        system="Ubuntu 22.04.5 LTS",
        kernel="5.15.148-tegra",
        power_mode="nvpmodel 15W",
        virtual="",
    ),
    "pi5": Device(
        hostname="pi5-kitchen",
        board="Raspberry Pi 5 Model B Rev 1.0",
        soc="BCM2712",
        architecture="aarch64",
        cores=4,
        core_kinds={"Cortex-A76": 4},
        features=("asimd", "asimddp", "fphp"),
        memory=8062,
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.6.51+rpt-rpi-2712",
        power_mode="",
        virtual="",
    ),
    "rock5": Device(
        hostname="rock-5b",
        board="Radxa ROCK 5B",
        soc="RK3588",
        architecture="aarch64",
        cores=8,
        core_kinds={"Cortex-A76": 4, "Cortex-A55": 4},
        features=("asimd", "asimddp", "fphp"),
        memory=15740,
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.75-vendor-rk35xx",
        power_mode="",
        virtual="",
    ),
    "server": Device(
        hostname="bench-vm",
        board="",
        soc="Intel(R) Xeon(R) Processor",
        architecture="x86_64",
        cores=2,
        core_kinds={"Intel(R) Xeon(R) Processor": 2},
        features=("avx2", "avx512_vnni"),
        memory=24100,
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0",
        power_mode="",
        virtual="kvm",
    ),
}
"""By a short word: a Jetson with a power sensor, a Pi with a partial one, a board without, a virtual machine."""

_SPEED = {"orin": 1.0, "pi5": 2.1, "rock5": 1.6, "server": 0.7}
_WATTS = {"orin": 9.4, "pi5": 6.1}
_METERS = {"orin": ("ina3221", "VDD_IN", "device", 0.01), "pi5": ("raspberry-pi-pmic", "sum of rails", "rail", None)}
_VARIANTS = {
    "fp32": (605_000_000, "fp32", 64.0, 1.0),
    "fp16": (303_000_000, "fp16", 58.0, 0.999),
    "int8": (152_500_000, "int8", 25.0, 0.962),
    "int8_dynamic": (153_100_000, "int8", 33.0, 0.941),
    "int4": (91_000_000, "int4", 41.0, 0.883),
}
_STAGES = {
    "photo": {"decode": 0.17, "preprocess": 0.06, "inference": 0.755, "postprocess": 0.015},
    "image": {"preprocess": 0.08, "inference": 0.92},
    "text": {"tokenize": 0.02, "inference": 0.98},
}


def result(
    device: str = "orin",
    variant: str = "int8",
    *,
    scenario: records.ScenarioName = "single-stream",
    pipeline: records.Pipeline = "photo",
    bundle: str = "vit-b-32",
    runtime: str = "onnxruntime",
    batch: int = 1,
    threads: int = 0,
    streams: int = 1,
    seconds: float = 60.0,
    slowdown: float = 1.0,
    seed: int = 0,
    sustained: bool = False,
    roofline: bool = False,
    reasons: tuple[str, ...] = (),
) -> records.Result:
    """Make up one run; `slowdown` multiplies its latencies, `reasons` make it INVALID."""
    size, precision, base, agreement = _VARIANTS[variant]
    threads_gain = 1.0 if threads == 0 else (DEVICES[device].cores / min(threads, DEVICES[device].cores)) ** 0.8
    median = base * _SPEED[device] * slowdown * threads_gain * batch**0.93 * max(1.0, streams / 2) ** 0.9
    words = f"{device} {variant} {scenario} {pipeline} {runtime} {batch} {threads} {streams} {seed}"
    rng = np.random.default_rng(zlib.crc32(words.encode()))
    queries = max(64, int(seconds * 1000 * streams / median))
    times = median * np.exp(rng.normal(0, 0.025, queries)) + (rng.random(queries) < 0.02) * rng.exponential(
        median * 0.4, queries
    )
    if sustained:
        times *= 1 + 0.22 / (1 + np.exp(-(np.linspace(0, 12, queries) - 6)))
    latency = latency_of(times)
    throughput = float(batch * streams * 1000 / times.mean())
    spread = float(throughput * 1.96 * times.std() / times.mean() / math.sqrt(queries))
    return records.Result(
        schema_version=records.SCHEMA_VERSION,
        id=f"20261128T020000Z-{DEVICES[device].hostname}-{bundle}-{variant}",
        date="2026-11-28T02:00:00Z",
        edgekit="0.1.0",
        subject=records.Subject(
            bundle=bundle,
            version="1",
            digest=f"sha256:{zlib.crc32(bundle.encode()):08x}" + "3c0200e29872" * 4 + "0badcafe",
            space="sha256:c6678280e948f33354b3a00441db5b43",
            size=size,
            variant=variant,
            precision=precision,
            format="onnx",
            runtime=runtime,
            runtime_version="1.23.2",
            device="cpu",
            placement={"image": {"cpu": 412}, "text": {"cpu": 398}},
        ),
        plan=records.Plan(
            scenario=scenario,
            pipeline=pipeline,
            generator="edgekit",
            batch=batch,
            threads=threads,
            options=(),
            streams=streams,
            target_qps=0.6 * throughput if scenario == "server" else 0.0,
            latency_bound=4 * median if scenario == "server" else 0.0,
            seconds=seconds,
            queries=64,
            sustained=sustained,
            labels=1000 if pipeline == "photo" else 0,
            samples=24,
            data="sample photos",
        ),
        p50=latency.p50.value,
        p90=latency.p90.value,
        p99=latency.p99.value,
        throughput=records.Estimate(throughput, throughput - spread, throughput + spread, queries * batch),
        latency=latency,
        stages={
            name: records.Stage(*(share * latency_of(times).mean * k for k in (1.0, 1.03, 1.2)), share)
            for name, share in _STAGES[pipeline].items()
        },
        phases=records.Phases(612.0, 3.1 * size / 1e6 + 240, median * 3.2, median * 1.05, 12),
        minutes=_minutes(times, seconds, streams),
        drift=records.Drift(
            float(np.median(times[-queries // 5 :]) / np.median(times[: queries // 5])),
            3.4 if seconds >= 300 else None,
            throttling=sustained,
            leak=False,
        ),
        memory=records.Memory(size / 2**20 * 1.35 + 180, 96.0, size / 2**20 * 1.3 + 150, None),
        energy=_energy(device, throughput, seconds),
        accuracy=records.Accuracy(
            records.Golden(True, 0.9981, 0.9967, 14),
            records.Golden(True, 0.9981, 0.9967, 14),
            agreement,
            "5000 held-out photos",
        ),
        harness=records.Harness(7.4, 0.004),
        context=_context(device, seconds),
        series=_series(device, seconds, rng, sustained),
        roofline=_roofline(device, median * _STAGES[pipeline]["inference"], batch, variant) if roofline else None,
        verdict="INVALID" if reasons else "VALID",
        reasons=reasons,
        command=f"edgekit bench {bundle}.edge --variant {variant} --runtime {runtime} --scenario {scenario}"
        f" --pipeline {pipeline} --seconds {seconds:g}",
    )


def write(folder: Path, *results: records.Result) -> list[Path]:
    """Write each result as a JSON file named by its id and its place in the list."""
    paths = [folder / f"{number:02}-{found.id}.json" for number, found in enumerate(results)]
    for path, found in zip(paths, results, strict=True):
        path.write_text(dumps(found), encoding="utf-8")
    return paths


def changed(found: records.Result, path: str, value: object) -> records.Result:
    """Return the record with the field at the dotted `path` replaced."""
    return _changed(found, path.split("."), value)


def latency_of(times: npt.NDArray[np.float64]) -> records.Latency:
    """Summarize milliseconds: percentiles with intervals by order statistics, and a histogram of 40 bins."""
    ordered, n = np.sort(times), len(times)
    counts, edges = np.histogram(times, bins=40)
    return records.Latency(
        n=n,
        mean=float(times.mean()),
        least=float(ordered[0]),
        greatest=float(ordered[-1]),
        p50=_quantile(ordered, 0.5),
        p90=_quantile(ordered, 0.9),
        p99=_quantile(ordered, 0.99),
        early={"p90": float(ordered[int(n * 0.92)]), "p99": float(ordered[int(n * 0.995)]) if n > 662 else None},
        histogram=tuple((float(edge), int(count)) for edge, count in zip(edges[1:], counts, strict=True)),
    )


def _quantile(ordered: npt.NDArray[np.float64], q: float) -> records.Estimate:
    n = len(ordered)
    half = 1.96 * math.sqrt(n * q * (1 - q))
    low, high = max(0, int(n * q - half)), min(n - 1, math.ceil(n * q + half))
    return records.Estimate(float(np.quantile(ordered, q)), float(ordered[low]), float(ordered[high]), n)


def _minutes(times: npt.NDArray[np.float64], seconds: float, streams: int) -> tuple[records.Minute, ...]:
    length = 60.0 if seconds > 120 else 10.0
    starts = np.cumsum(times) / 1000 / streams
    found = []
    for k in range(math.ceil(seconds / length)):
        part = times[(starts >= k * length) & (starts < (k + 1) * length)]
        if len(part):
            p50, p99 = np.quantile(part, (0.5, 0.99))
            found.append(records.Minute(k * length, length, len(part), float(p50), float(p99), 380 + 0.05 * k))
    return tuple(found)


def _energy(device: str, throughput: float, seconds: float) -> Energy:
    if device not in _WATTS:
        return Energy("unmeasured", "no power sensor was found; connect an external meter and name it with --meter")
    meter, rail, scope, error = _METERS[device]
    watts = _WATTS[device]
    each = watts / throughput
    idle = Baseline(watts * 0.45, 0.02, 100)
    return Energy(
        "measured",
        "",
        meter=meter,
        rail=rail,
        scope=scope,
        joules=watts * seconds,
        watts=watts,
        per_inference=each,
        per_inference_low=each * 0.982,
        per_inference_high=each * 1.018,
        above_idle=each * 0.55,
        before=idle,
        after=dataclasses.replace(idle, watts=watts * 0.455),
        rate=19.8,
        samples=int(seconds * 19.8),
        sensor_error=error,
    )


def _context(device: str, seconds: float) -> Context:
    before = State(
        governors={"performance": DEVICES[device].cores},
        clocks={"cpu0": 1510.0},
        temperatures={"cpu-thermal": 46.5},
        throttled=(),
        other_load=0.03,
        memory_free=DEVICES[device].memory - 1900,
        on_battery=None,
    )
    after = dataclasses.replace(before, temperatures={"cpu-thermal": 46.5 + min(25.0, seconds / 8)})
    packages = {"edgekit": "0.1.0", "numpy": "2.2.6", "onnxruntime": "1.23.2", "pillow": "12.0.0"}
    return Context(DEVICES[device], before, after, packages, "3.11.2")


def _series(device: str, seconds: float, rng: np.random.Generator, sustained: bool) -> tuple[Series, ...]:
    times = np.linspace(-5, seconds, 240)
    warm = np.clip(times, 0, None) / max(seconds, 1)
    temperature = 46.5 + min(25.0, seconds / 8) * (1 - np.exp(-4 * warm)) + rng.normal(0, 0.1, len(times))
    clock = np.where(times < seconds * 0.5, 1510.0, 1190.0) if sustained else np.full(len(times), 1510.0)
    made = [
        ("temperature cpu-thermal", "temperature", "°C", "thermal", temperature),
        ("temperature soc-thermal", "temperature", "°C", "thermal", temperature - 1.7),
        ("clock cpu0", "clock", "MHz", "cpufreq", clock),
    ]
    if device in _WATTS:
        watts = np.where(times < 0, _WATTS[device] * 0.45, _WATTS[device]) + rng.normal(0, 0.12, len(times))
        meter, rail, _, _ = _METERS[device]
        made.append((f"power {rail}", "power", "W", meter, watts))
    return tuple(
        Series(name, kind, unit, meter, tuple(times.round(3).tolist()), tuple(np.round(values, 3).tolist()))
        for name, kind, unit, meter, values in made
    )


def _roofline(device: str, inference: float, batch: int, variant: str) -> records.Roofline:
    size, precision, _, _ = _VARIANTS[variant]
    kind = "int8" if precision == "int8" else "fp32"
    flops, moved = 8.8e9 * batch, size * 0.6 + 2.1e7 * batch
    peak, bandwidth = (720.0 if kind == "int8" else 360.0) / _SPEED[device], 21.0 / _SPEED[device]
    achieved, limit = flops / inference / 1e6, min(peak, flops / moved * bandwidth)
    bound = "compute" if peak <= limit else "memory"
    return records.Roofline(flops, moved, peak, bandwidth, kind, achieved, achieved / limit, bound)


def _changed(record: object, path: list[str], value: object) -> object:
    head, *rest = path
    if isinstance(record, dict):
        return {**record, head: _changed(record[head], rest, value) if rest else value}
    new = _changed(getattr(record, head), rest, value) if rest else value
    return dataclasses.replace(record, **{head: new})
