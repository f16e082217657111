"""What the ``open_clip:`` source tells of a model: its space, its terms, and the settings that a folder brings."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from edgekit.converters.digest import weights_sha256
from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import open_clip_model, open_clip_request, open_clip_text
from edgekit.converters.sources.open_clip import load
from edgekit.converters.torch_compat import prepare
from edgekit.errors import EdgekitError, UnsupportedModelError
from tiny_open_clip import CONFIG

NO_OPTIONS = SourceOptions()


@pytest.fixture(scope="module", autouse=True)
def prepared():
    prepare()


def built(path):
    return open_clip_model.create(open_clip_request.parse(str(path)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint folder without its configuration; not to be written into."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "load-release.json").write_text(json.dumps(CONFIG))
    model = built(folder / "load-release.json")
    with torch.no_grad():
        model.logit_scale.copy_(torch.tensor(3.5))
    safetensors.torch.save_model(model, str(folder / "open_clip_model.safetensors"))
    return folder


@pytest.fixture
def release(saved, tmp_path):
    """Make a checkpoint folder with some preprocessing, and return what names it."""

    def make(preprocess):
        folder = tmp_path / "release"
        folder.mkdir()
        (folder / "open_clip_model.safetensors").symlink_to(saved / "open_clip_model.safetensors")
        config = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        return f"local-dir:{folder}"

    return make


@pytest.mark.parametrize(
    ("preprocess", "told"),
    [
        ({"mean": [0.5]}, r"mean is \[0\.5\], one or three numbers"),
        ({"interpolation": "lanczos"}, "interpolation 'lanczos' is not supported"),
    ],
)
def test_a_releases_preprocessing_is_checked(release, preprocess, told):
    with pytest.raises(EdgekitError, match=f"/release: preprocessing: {told}"):
        load(release(preprocess), NO_OPTIONS)


def test_what_a_release_leaves_out_is_open_clips(release):
    source = load(release({"interpolation": None, "mean": None, "std": [0.5, 0.25, 0.125]}), NO_OPTIONS)
    assert source.image.interpolation == "bicubic"
    assert source.image.mean == (0.48145466, 0.4578275, 0.40821073)  # as OpenAI published it
    assert source.image.std == (0.5, 0.25, 0.125)


def test_the_scale_is_exponentiated(release):
    source = load(release({}), NO_OPTIONS)
    assert source.logit_scale == pytest.approx(np.exp(3.5))
    assert (source.logit_bias, source.scores, source.dimension) == (0.0, "softmax", 16)
    assert (source.name, source.license) == ("release", "unknown")


def test_towers_of_two_spaces_are_refused(write_config):
    """A trunk without a projection gives its own width, whatever the configuration says of the space."""
    vision = {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "none"}
    path = write_config("load-two-spaces", {**CONFIG, "vision_cfg": vision})
    with pytest.raises(
        UnsupportedModelError, match=r"two-spaces: the image tower gives 64 .* text tower 16; .*embed_dim"
    ):
        load(str(path), NO_OPTIONS)


@pytest.mark.parametrize("projection", [True, False])
def test_the_cut_text_tower_is_the_models_own_at_full_length(write_config, projection):
    """With a linear projection that has a bias (SigLIP), and with a matrix."""
    text = {**CONFIG["text_cfg"], "proj_bias": projection, "no_causal_mask": projection, "pool_type": "last"}
    model = built(write_config(f"load-cut-{projection}", {**CONFIG, "custom_text": True, "text_cfg": text}))
    sliced, whole = open_clip_text.sliced(model), open_clip_text.TextEncoder(model)
    ids = torch.randint(1, 49000, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(sliced(ids), whole(ids))
        # A causal tower never looks ahead: what it gives for a beginning depends on the beginning alone.
        shorter = sliced(ids[:, :5])
    assert shorter.shape == (3, 16)
    assert (shorter - whole(ids)).abs().max() > 1e-3


def test_a_tower_tied_to_its_padded_length_is_not_cut(write_config):
    """A class token stands behind the padding, and a padding mask belongs to it."""
    text = {**CONFIG["text_cfg"], "embed_cls": True}
    model = built(write_config("load-tied", {**CONFIG, "custom_text": True, "text_cfg": text}))
    assert open_clip_text.sliced(model) is None


def test_a_text_tower_without_projection_gives_its_own_width(write_config):
    text = {**CONFIG["text_cfg"], "proj_type": "none"}
    model = built(write_config("load-bare", {**CONFIG, "custom_text": True, "text_cfg": text}))
    ids = torch.ones(2, 12, dtype=torch.int64)
    with torch.no_grad():
        found = open_clip_text.sliced(model)(ids)
        torch.testing.assert_close(found, open_clip_text.TextEncoder(model)(ids))
    assert found.shape == (2, 16)


def test_the_two_sides_weights_are_told_apart(write_config):
    """A change of one side alone changes its own digest and not the other's; the scale belongs to neither."""
    model = built(write_config("load-sides", CONFIG))

    def digests():
        return weights_sha256({"i": model.visual}), weights_sha256({"t": open_clip_text.text_part(model)})

    before = digests()
    with torch.no_grad():
        model.token_embedding.weight[7, 3] += 1
        after = digests()
        model.logit_scale += 1
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert digests() == after


def test_a_tower_that_also_feeds_a_decoder_gives_its_embedding():
    class Visual(torch.nn.Module):
        def forward(self, images):
            return images.mean(dim=(2, 3)), images.flatten(2)

    class Model:
        visual = Visual()

    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(open_clip_text.ImageEncoder(Model())(images), images.mean(dim=(2, 3)))
