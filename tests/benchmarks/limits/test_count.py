"""Work of a bundle's towers, in both formats, and of the packaged one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import litert_towers
import tiny_bundle
from edgekit.benchmarks.limits.count import count
from edgekit.benchmarks.limits.roofline import roofline
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.reader import Bundle, open_bundle
from edgekit.errors import ExecutionError, InputError
from edgekit.locations import resolve


@pytest.fixture(scope="module", name="both")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(litert_towers.bundle(tmp_path_factory.mktemp("count") / "both.edge"))


def test_both_formats_of_the_same_towers_count_the_same(both: Bundle) -> None:
    for tower, batch, length in (("image", 1, None), ("image", 3, None), ("text", 1, 5), ("text", 2, None)):
        found = [count(both, variant, tower, batch=batch, length=length) for variant in ("fp32", "litert")]  # type: ignore[arg-type]
        onnx, lite = ([operation.flops for operation in one.operations] for one in found)
        assert onnx == lite
        assert found[0].transfer == found[1].transfer
        assert found[0].weights == pytest.approx(found[1].weights, abs=64)  # scalars and shapes
        assert found[0].uncounted == found[1].uncounted == {}


def test_the_tiny_towers_by_hand(both: Bundle) -> None:
    image = count(both, "fp32", "image", batch=2)
    # 8 filters of 3 x 8 x 8 at 16 places; then 128 features to 16.
    assert [one.flops for one in image.operations] == [2 * 2 * 16 * 8 * 192, 2 * 2 * 128 * 16]
    text = count(both, "fp32", "text", batch=2, length=5)
    assert text.flops == 2 * 2 * 12 * 16
    longest = count(both, "fp32", "text", batch=2)
    assert longest.transfer == 2 * 8 * 4 + 2 * 16 * 4  # the context length of 8


def test_the_starters_image_tower_has_the_published_count() -> None:
    """EfficientNet-Lite0: 407 million multiply-adds at 224 x 224, by TensorFlow's table of its models."""
    bundle = open_bundle(resolve("starter"))
    image = count(bundle, "int8", "image")
    # Ours has its own head (1000 classes to 384 dimensions), and no products with padding.
    assert image.flops / 2 == pytest.approx(0.4e9, rel=0.06)
    assert image.kinds == {"fp32": image.flops}  # its weights are in 8 bits, its products are not
    assert image.uncounted == {}
    assert image.weights < 5.8e6
    text = count(bundle, "int8", "text", length=16)
    assert text.uncounted == {}
    # A perceptron of 128 to 512, and both to 384; the 16 tokens are looked up and summed.
    assert text.flops / 2 == 128 * 512 + (128 + 512) * 384
    assert text.weights < 0.33e6  # of a table of 14,000 tokens, 16 rows


@pytest.mark.parametrize(
    ("variant", "tower", "message"),
    [("fp64", "image", "has no variant 'fp64'; it has fp32, litert"), ("fp32", "sound", "fp32: has no sound tower")],
)
def test_what_is_not_there_is_told(both: Bundle, variant: str, tower: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        count(both, variant, tower)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1])
@pytest.mark.parametrize("variant", ["fp32", "litert"])
def test_no_sample_and_no_text_are_no_work(both: Bundle, variant: str, size: int) -> None:
    with pytest.raises(InputError, match=f"{variant}: batch is {size}; give 1 or more"):
        count(both, variant, "image", batch=size)
    with pytest.raises(InputError, match=f"{variant}: length is {size}; give 1 or more"):
        count(both, variant, "text", length=size)
    with pytest.raises(InputError, match="batch is 0"):
        roofline(both, variant, "image", milliseconds=1.0, batch=0)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 40), st.integers(1, 8))
def test_both_formats_count_the_same_for_any_size(both: Bundle, batch: int, length: int) -> None:
    for tower, sizes in (("image", {}), ("text", {"length": length})):
        onnx, lite = (count(both, variant, tower, batch=batch, **sizes) for variant in ("fp32", "litert"))  # type: ignore[arg-type]
        assert onnx.flops == lite.flops
        assert onnx.transfer == lite.transfer


def test_another_format_cannot_be_counted(tmp_path: Path) -> None:
    def change(manifest: Manifest) -> Manifest:
        return replace(manifest, variants=(replace(manifest.variants[0], format="rknn"),))

    bundle = open_bundle(tiny_bundle.build(tmp_path / "chip.edge", change=change))
    with pytest.raises(ExecutionError, match="the work of rknn files cannot be counted"):
        count(bundle, "fp32", "image")


def test_a_fixed_batch_is_taken_as_it_is(tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle.build(tmp_path / "static.edge", variants=("static",)))
    assert count(bundle, "static", "image").flops == 2 * (2 * 16 * 8 * 192 + 2 * 128 * 16)
