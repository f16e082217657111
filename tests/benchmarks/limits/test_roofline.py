"""How far an inference is from the limits: by hand, and on the packaged bundle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.limits.records import Operation, Peak, Peaks, Work
from edgekit.benchmarks.limits.roofline import compare, roofline
from edgekit.bundle.reader import open_bundle
from edgekit.errors import ExecutionError, InputError
from edgekit.locations import resolve


def _peak(best: float) -> Peak:
    return Peak(best, 0.0, 5, "", "test")


PEAKS = Peaks(
    threads=1,
    gemm={"fp32": _peak(100.0), "u8s8": _peak(400.0), "s8s8": _peak(50.0), "nbits8": _peak(80.0)},
    bandwidth={"read": _peak(8.0), "copy": _peak(10.0)},
    absent={"fp16": "no kernel"},
    other_load=0.0,
    beyond_caches=True,
    date="",
)


def _work(weights: float, **flops: float) -> Work:
    operations = tuple(Operation(kind, "MatMul", kind, amount) for kind, amount in flops.items())  # type: ignore[arg-type]
    return Work(operations, weights, 0.0, 0.0, {})


def test_arithmetic_binds() -> None:
    found = compare(_work(1e6, fp32=1e9), PEAKS, 20.0, "here")
    # 10^9 at 100 x 10^9 a second is 10 ms, half of what it took.
    assert found.share == pytest.approx(0.5)
    assert (found.bound, found.kind) == ("compute", "fp32")
    assert (found.peak_gflops, found.bandwidth_gbs, found.achieved_gflops) == pytest.approx((100.0, 10.0, 50.0))


def test_memory_binds() -> None:
    found = compare(_work(1e8, fp32=1e8), PEAKS, 40.0, "here")
    # 10^8 bytes at 10 x 10^9 a second is 10 ms; the arithmetic would take 1 ms.
    assert (found.share, found.bound) == (pytest.approx(0.25), "memory")
    assert (found.flops, found.bytes) == (1e8, 1e8)


def test_kinds_are_added_in_time_not_in_speed() -> None:
    found = compare(_work(1.0, u8s8=4e8, fp32=1e8, s8s8=1e6), PEAKS, 4.0, "here")
    # 1 ms and 1 ms, and 0.02 ms for what is too small to be named.
    assert found.share == pytest.approx(2.02 / 4.0)
    assert found.kind == "u8s8 + fp32"
    assert found.peak_gflops == pytest.approx(501e6 / 2.02e-3 / 1e9)


def test_another_engine_is_said_to_be_compared_with_this_one() -> None:
    assert compare(_work(1.0, fp32=1e9), PEAKS, 20.0, "here", " as elsewhere").kind == "fp32 as elsewhere"


def test_a_kind_without_a_peak_is_told_with_its_reason() -> None:
    with pytest.raises(ExecutionError, match="here: this device's peak of fp16 products is not measured: no kernel"):
        compare(_work(1.0, fp16=1e9), PEAKS, 20.0, "here")


@pytest.mark.parametrize("time", [0.0, -1.0, float("nan")])
def test_a_time_must_be_one(time: float) -> None:
    with pytest.raises(InputError, match="is no time of an inference"):
        compare(_work(1.0, fp32=1e9), PEAKS, time, "here")


@given(
    st.floats(1e3, 1e12), st.floats(1e3, 1e12), st.floats(1e3, 1e11), st.floats(1e-3, 1e5), st.sampled_from([1.0, 3.0])
)
def test_the_share_is_that_of_the_larger_limit(u8: float, fp: float, size: float, ms: float, factor: float) -> None:
    found = compare(_work(size, u8s8=u8, fp32=fp), PEAKS, factor * ms, "here")
    arithmetic = (u8 / 400e9 + fp / 100e9) / (factor * ms / 1e3)
    assert found.share == pytest.approx(max(arithmetic, size / 10e9 / (factor * ms / 1e3)))
    assert (found.bound == "compute") == (arithmetic >= size / 10e9 / (factor * ms / 1e3))
    assert found.achieved_gflops / found.peak_gflops == pytest.approx(arithmetic)


def test_the_starter() -> None:
    bundle = open_bundle(resolve("starter"))
    image = roofline(bundle, "int8", "image", milliseconds=100.0, peaks=PEAKS)
    assert image.kind == "fp32"  # its weights are in 8 bits, its products are not
    assert 0.01 < image.share < 0.1
    many = roofline(bundle, "int8", "image", milliseconds=100.0, batch=4, peaks=PEAKS)
    assert many.flops == 4 * image.flops
    short, long = (roofline(bundle, "int8", "text", milliseconds=10.0, length=n, peaks=PEAKS) for n in (4, 64))
    assert short.bound == long.bound == "memory"
    assert long.flops == short.flops  # tokens are looked up and summed; only their sum is multiplied


def test_another_device_is_not_compared_with_the_processor() -> None:
    bundle = open_bundle(resolve("starter"))
    with pytest.raises(ExecutionError, match="it ran on cuda, and only the limits of the processor are measured"):
        roofline(bundle, "int8", "image", milliseconds=1.0, device="cuda", peaks=PEAKS)


def test_work_that_cannot_be_counted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.benchmarks.limits import roofline as module

    bundle = open_bundle(resolve("starter"))
    for uncounted, message in (({"LSTM": 2}, r"LSTM \(2\)"), ({}, "no product of matrices was found")):
        monkeypatch.setattr(module, "count", lambda *_, u=uncounted, **__: Work((), 1.0, 1.0, 1.0, u))
        with pytest.raises(ExecutionError, match=f"int8: image tower: its work cannot be counted: {message}"):
            roofline(bundle, "int8", "image", milliseconds=1.0, peaks=PEAKS)
