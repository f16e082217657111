"""The preprocessing record, and the reference transform against open_clip's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.converters.sources.open_clip_image import image_reference, image_spec
from edgekit.converters.torch_compat import prepare
from edgekit.errors import InputError, UnsupportedModelError

BASE = {"size": 32, "mode": "RGB", "mean": (0.48, 0.45, 0.40), "std": (0.26, 0.26, 0.27)}


@pytest.fixture(scope="module", autouse=True)
def prepared():
    prepare()


def preprocess(**changes):
    return {**BASE, "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0, **changes}


def test_clip():
    spec = image_spec(preprocess())
    assert (spec.height, spec.width, spec.shortest_edge) == (32, 32, 32)
    assert (spec.resize_mode, spec.interpolation, spec.fill) == ("shortest", "bicubic", (0, 0, 0))
    assert (spec.mean, spec.std) == (BASE["mean"], BASE["std"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"size": (24, 40)}, {"height": 24, "width": 40, "shortest_edge": 0}),
        ({"size": [32, 32], "resize_mode": "squash"}, {"height": 32, "resize_mode": "squash", "shortest_edge": 0}),
        ({"resize_mode": "longest", "fill_color": 127}, {"fill": (127, 127, 127), "shortest_edge": 0}),
        ({"resize_mode": "longest", "fill_color": (1, 2, 3)}, {"fill": (1, 2, 3)}),
        ({"fill_color": 127}, {"fill": (0, 0, 0)}),
        ({"interpolation": "bilinear"}, {"interpolation": "bilinear"}),
        ({"interpolation": "random"}, {"interpolation": "bicubic"}),
        ({"interpolation": "bilinear", "size": (24, 40)}, {"interpolation": "bicubic"}),
        ({"interpolation": "bilinear", "size": (24, 40), "resize_mode": "squash"}, {"interpolation": "bilinear"}),
        ({"mean": 0.5, "std": 0.5}, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}),
        ({"resize_mode": None}, {"resize_mode": "shortest"}),
    ],
)
def test_settings(changes, expected):
    spec = image_spec(preprocess(**changes))
    assert {name: getattr(spec, name) for name in expected} == expected


@pytest.mark.parametrize("changes", [{"resize_mode": "stretch"}, {"mode": "L"}])
def test_what_open_clip_does_not_have_is_refused(changes):
    with pytest.raises(UnsupportedModelError, match=str(next(iter(changes.values())))):
        image_spec(preprocess(**changes))


@pytest.mark.parametrize("interpolation", ["lanczos", "nearest", 3])
def test_a_filter_that_open_clip_does_not_have_is_refused(interpolation):
    with pytest.raises(UnsupportedModelError, match=r"release: interpolation .* is not supported, only bicubic"):
        image_spec(preprocess(interpolation=interpolation), "release")


@given(
    st.integers(-2, 70) | st.lists(st.integers(-2, 70), max_size=4) | st.floats() | st.none(),
    st.lists(st.floats() | st.integers(-1, 2), max_size=4) | st.floats() | st.none(),
    st.integers(-5, 300) | st.lists(st.integers(-5, 300), min_size=2, max_size=4) | st.text(max_size=2),
)
@settings(max_examples=150, deadline=None)
def test_any_record_is_one_that_runs_or_an_error_with_the_field(size, std, fill):
    """What is taken gives pixels of the size it states; what is not names the field that is wrong."""
    config = preprocess(size=size, std=std, fill_color=fill, resize_mode="longest")
    try:
        spec = image_spec(config, "release")
    except InputError as error:
        assert str(error).split(" is ")[0] in ("release: size", "release: std", "release: fill_color")
        return
    assert all(value > 0 for value in spec.std)
    found = image_reference({**config, "std": spec.std, "fill_color": spec.fill})(Image.new("RGB", (40, 30), (9, 9, 9)))
    assert found.shape == (spec.height, spec.width, 3)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_the_reference_is_open_clips_transform_before_normalization(mode, interpolation, size, photos):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = preprocess(resize_mode=mode, interpolation=interpolation, size=size, fill_color=9)
    spec, reference = image_spec(config), image_reference(config)
    whole = image_transform_v2(PreprocessCfg(**config), is_train=False)
    for photo in photos:
        found = reference(photo)
        assert found.dtype == np.uint8
        assert found.shape == (spec.height, spec.width, 3)
        normalized = whole(photo).permute(1, 2, 0).numpy()
        undone = np.rint((normalized * np.array(spec.std) + np.array(spec.mean)) * 255)
        np.testing.assert_array_equal(found, undone)


def test_a_grey_image_becomes_rgb():
    found = image_reference(preprocess())(Image.new("L", (50, 40), 77))
    assert found.shape == (32, 32, 3)
    assert set(found.ravel()) == {77}


def test_the_fill_colour_is_where_the_record_says():
    config = preprocess(resize_mode="longest", fill_color=200)
    found = image_reference(config)(Image.new("RGB", (64, 16), (10, 20, 30)))
    assert found[0, 0].tolist() == list(image_spec(config).fill)
    assert found[16, 16].tolist() == [10, 20, 30]
