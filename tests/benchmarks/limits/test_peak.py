"""What this device can do at most: small real measurements, what is kept of them, and sizes for other devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.benchmarks.limits import bandwidth, gemm, peak
from edgekit.benchmarks.limits.records import Peak, Peaks
from edgekit.errors import InputError, MissingDependencyError

MIB = 1 << 20
SMALL = bandwidth.Size(MIB, True)


@pytest.fixture(scope="module", name="measured")
def _measured() -> tuple[dict[str, Peak], dict[str, str]]:
    return gemm.measure(1, sizes=(64, 128), seconds=0.005)


def test_every_kind_that_this_engine_has_is_measured(measured: tuple[dict[str, Peak], dict[str, str]]) -> None:
    peaks, absent = measured
    assert {"fp32", "u8s8", "u8u8"} <= set(peaks)
    assert set(peaks) | set(absent) == {"fp32", "fp16", "u8s8", "s8s8", "u8u8", "nbits4", "nbits8"}
    for found in peaks.values():
        assert found.best > 0.01  # 10^9 a second: the slowest processor there is does more
        assert 0 <= found.spread < 1
        assert found.n >= 10
        assert found.size in ("64x64x64", "128x128x128")
        assert found.how.startswith("onnxruntime ")
    assert peaks["fp32"].how.endswith(" MatMul")
    assert peaks["u8s8"].how.split()[-1] in ("MatMulInteger", "QLinearMatMul", "MatMul")


@pytest.mark.parametrize("kind", ["u8s8", "s8s8", "u8u8"])
def test_all_forms_of_a_quantized_product_run(kind: str) -> None:
    import onnxruntime

    forms = list(gemm._kinds()[kind](64))
    assert [form.op for form in forms] == ["MatMulInteger", "QLinearMatMul", "QuantizeLinear, MatMul"]
    ran = [gemm._times(onnxruntime, form, 64, 1, 0.0) for form in forms if kind != "s8s8" or form.op[0] == "Q"]
    assert all(len(times) >= 2 for times in ran)


def test_the_products_multiply_what_they_say() -> None:
    """Codes of the float form, multiplied by hand."""
    import onnxruntime

    *_, form = gemm._kinds()["u8s8"](64)
    left = gemm._values(64, np.float32)
    found = onnxruntime.InferenceSession(form.model, providers=["CPUExecutionProvider"]).run(None, {"a": left})[0]
    codes = np.clip(np.rint(left / np.float32(0.01)), 0, 255)
    expected = (codes * 0.01) @ (gemm._values(64, np.int8) * 0.01)
    assert np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()


def test_a_rate_is_of_the_products_that_were_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that says each product took a hundredth of a second."""
    ticks = iter(np.arange(0, 1e6) / 200)
    monkeypatch.setattr(gemm.time, "perf_counter", lambda: float(next(ticks)))
    peaks, _ = gemm.measure(1, sizes=(64,), seconds=0.02)
    # Begin and end of each product are one reading apart.
    assert peaks["fp32"].best == pytest.approx(2 * 64**3 / 0.005 / 1e9, rel=1e-6)
    assert peaks["fp32"].spread == pytest.approx(0, abs=1e-6)


def test_a_slow_product_keeps_larger_ones_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def times(ort: object, graph: object, size: int, threads: int, seconds: float) -> list[float]:
        tried.append(size)
        return [0.02 if size == 64 else 0.04] * 2

    monkeypatch.setattr(gemm, "_times", times)
    monkeypatch.setattr(gemm, "_kinds", lambda: {"fp32": lambda size: iter((gemm._float(size, np.float32),))})
    gemm.measure(1, sizes=(64, 128, 256))
    assert tried == [64, 128]


def test_a_kind_that_the_engine_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(ort: object, graph: object, size: int, threads: int, seconds: float) -> list[float]:
        raise RuntimeError("no\nkernel")

    monkeypatch.setattr(gemm, "_times", times)
    peaks, absent = gemm.measure(1, sizes=(64,))
    assert peaks == {}
    assert set(absent.values()) == {"no kernel"}


@pytest.mark.parametrize(("rates", "expected"), [([4.0, 5.0, 1.0], 0.2), ([3.0], 1.0), ([2.0, 2.0], 0.0)])
def test_spread(rates: list[float], expected: float) -> None:
    assert gemm.spread(rates) == pytest.approx(expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bandwidth_of_each_pattern(threads: int) -> None:
    found = bandwidth.measure(threads, SMALL, repetitions=3)
    assert list(found) == ["read", "copy", "triad"]
    for one in found.values():
        assert one.best > 0.01
        assert (one.n, one.size) == (3, "1 MiB")
        assert one.how.startswith("numpy ")


def test_the_patterns_do_what_they_say() -> None:
    a, b, c = (np.full(200_001, value, np.float32) for value in (0.0, 1.0, 2.0))
    bandwidth._copy(a, b, c)
    assert (a == 1).all()
    bandwidth._triad(a, b, c)
    assert (a == 7).all()  # b + 3 c
    bandwidth._read(a, b, c)
    assert (b == 1).all()


def _device(root: Path, caches: dict[str, str], free_kib: int | None) -> Path:
    for index, size in caches.items():
        folder = root / "sys/devices/system/cpu/cpu0/cache" / index
        folder.mkdir(parents=True)
        (folder / "size").write_text(f"{size}\n")
    if free_kib is not None:
        (root / "proc").mkdir(exist_ok=True)
        (root / "proc/meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {free_kib} kB\n")
    return root


@pytest.mark.parametrize(
    ("caches", "free_kib", "expected"),
    [
        ({"index0": "32K", "index3": "2048K"}, 4 << 20, bandwidth.Size(8 * MIB, True)),
        ({"index0": "32K", "index2": "1M"}, 4 << 20, bandwidth.Size(4 * MIB, True)),
        ({"index0": "32K", "index3": "2048K"}, 16 << 10, bandwidth.Size(2 * MIB, False)),
        ({"index3": "480M"}, 64 << 20, bandwidth.Size(512 * MIB, False)),
        ({}, 4 << 20, bandwidth.Size(256 * MIB, False)),
        ({"index0": "what?"}, None, bandwidth.Size(64 * MIB, False)),
        ({"index3": "1M"}, 100, bandwidth.Size(MIB, False)),
    ],
    ids=["small board", "megabytes", "little memory", "huge cache", "no cache told", "nothing told", "hardly any"],
)
def test_arrays_are_four_times_the_cache_where_memory_allows(
    tmp_path: Path, caches: dict[str, str], free_kib: int | None, expected: bandwidth.Size
) -> None:
    assert bandwidth.size_here(_device(tmp_path, caches, free_kib)) == expected


def test_a_cache_whose_size_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    root = _device(tmp_path, {"index0": "32K", "index2": "1M"}, 4 << 20)
    size = root / "sys/devices/system/cpu/cpu0/cache/index2/size"
    size.unlink()
    size.mkdir()  # as a file that gives an error when it is read, to root too
    assert bandwidth.size_here(root) == bandwidth.Size(MIB, True)


def test_a_damaged_meminfo_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable: many kB\n")
    assert bandwidth.size_here(tmp_path).bytes == 64 * MIB


def _peaks(**changes: object) -> Peaks:
    one = Peak(10.0, 0.01, 9, "64x64x64", "test")
    plain = Peaks(1, {"fp32": one}, {"copy": one}, {}, 0.0, True, "2026-01-01")
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_only_an_undisturbed_measurement_is_kept() -> None:
    shaky = Peak(10.0, 0.2, 9, "64x64x64", "test")
    assert peak.undisturbed(_peaks())
    assert peak.undisturbed(_peaks(other_load=None))
    assert not peak.undisturbed(_peaks(other_load=0.5))
    assert not peak.undisturbed(_peaks(gemm={"fp32": shaky}))
    assert not peak.undisturbed(_peaks(bandwidth={"copy": shaky}))


def test_what_was_kept_is_found_again_for_the_same_threads_and_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def products(threads: int, sizes: object, seconds: float) -> tuple[dict[str, Peak], dict[str, str]]:
        calls.append(threads)
        return {"fp32": Peak(10.0 * len(calls), 0.0, 9, "64x64x64", "test")}, {}

    monkeypatch.setattr(peak.gemm, "measure", products)
    monkeypatch.setattr(peak.bandwidth, "measure", lambda threads, size: _peaks().bandwidth)
    monkeypatch.setattr(peak, "undisturbed", lambda found: True)
    first = peak.measure(1, arrays=SMALL)
    assert peak.measure(1, arrays=SMALL) == first
    assert peak.measure(2, arrays=SMALL).threads == 2
    assert peak.measure(1, arrays=SMALL, again=True).gemm["fp32"].best == 30.0
    monkeypatch.setattr(peak, "_versions", lambda: {"onnxruntime": "9"})
    peak.measure(1, arrays=SMALL)
    assert calls == [1, 2, 1, 1]
    monkeypatch.setattr(peak, "undisturbed", lambda found: False)
    for _ in range(2):
        peak.measure(3, arrays=SMALL)
    assert calls[4:] == [3, 3]


def test_without_an_engine_there_is_bandwidth_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(threads: int, sizes: object, seconds: float) -> None:
        raise MissingDependencyError('pip install "edgekit[bench]"')

    monkeypatch.setattr(peak.gemm, "measure", missing)
    found = peak.measure(1, arrays=SMALL, again=True)
    assert found.gemm == {}
    assert "edgekit[bench]" in found.absent["fp32"]
    assert found.bandwidth["copy"].best > 0


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(peak.gemm, "measure", lambda threads, sizes, seconds: (seen.append(threads), ({}, {}))[1])
    monkeypatch.setattr(peak.bandwidth, "measure", lambda threads, size: (seen.append(threads), _peaks().bandwidth)[1])
    assert peak.measure(0, arrays=SMALL, again=True).threads == 0
    assert seen == [0, peak.processors()]
    with pytest.raises(InputError, match="threads is -1; give 0"):
        peak.measure(-1)
    assert peak.processors() >= 1
