"""From a recipe to the plan of an image tower, and the weights it starts from where there are any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.converters.distill.students import conv, inherit, onnx_files, openclip, specs, trunks
from edgekit.converters.distill.students.checks import at_least, check_heads, check_train, must_be, unused
from edgekit.converters.distill.students.plan import ImagePlan
from edgekit.converters.distill.students.weights import read
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.distill.recipe import ImageStudent
    from edgekit.converters.distill.students.reference import Reference

    Planned = tuple[ImagePlan, dict[str, Tensor] | None]

_WHERE = "student.image"
_PATCHES = ((160, 16), (64, 8), (0, 4))  # from this side on, this patch


def plan_image(
    spec: ImageStudent,
    reference: Reference,
    dimension: int,
    folder: Path,
    batches: Callable[[ImageSpec], Sequence[Tensor]],
) -> Planned:
    """Decide everything about an image tower.

    Args:
        spec: what the recipe says.
        reference: the first teacher.
        dimension: D.
        folder: the student's; a graph that the tower is rebuilt from goes there.
        batches: gives planes to rank by what is inherited.

    Returns:
        The plan, and the weights to start from; None starts from random ones.

    Raises:
        InputError: an unknown architecture, or a setting that does not fit it; the message names the field.
    """
    kind, _, name = spec.arch.partition(":")
    functions: dict[str, Callable[[], Planned]] = {
        "conv": lambda: _conv(spec, reference, dimension),
        "hybrid": lambda: _hybrid(spec, reference, dimension),
        "vit-tiny": lambda: _vit(spec, reference, dimension),
        "vit-small": lambda: _vit(spec, reference, dimension),
        "timm": lambda: _timm(spec, name, reference, dimension),
        "open_clip": lambda: _open_clip(spec, name, reference, dimension),
        "inherit": lambda: _inherit(spec, reference, dimension, batches),
        "teacher": lambda: _teacher(spec, reference, dimension, folder),
    }
    if kind not in functions or bool(name) != (kind in ("timm", "open_clip")):
        known = "conv, hybrid, vit-tiny, vit-small, timm:NAME, open_clip:NAME, inherit, teacher"
        raise InputError(f"{_WHERE}.arch: {spec.arch!r} is none of {known}")
    plan, start = functions[kind]()
    check_train(_WHERE, spec.train, spec.rank, start is not None or plan.kind == "onnx")
    return plan, start


def _base(kind: str, spec: ImageStudent, image: ImageSpec, dimension: int) -> ImagePlan:
    return ImagePlan(kind, spec.arch, image, dimension, 0, 0, 0, 0, "", None, spec.train, spec.rank)


def _framed(spec: ImageStudent, reference: Reference) -> ImageSpec:
    return specs.framed(reference.image, spec.size)


def _conv(spec: ImageStudent, reference: Reference, dimension: int) -> Planned:
    unused(_WHERE, spec.arch, {"heads": spec.heads, "patch": spec.patch, "weights": spec.weights})
    layers = at_least(f"{_WHERE}.layers", spec.layers or conv.LAYERS, conv.LAYERS)
    plan = _base("conv", spec, _framed(spec, reference), dimension)
    return replace(plan, width=spec.width or conv.WIDTH, layers=layers), None


def _hybrid(spec: ImageStudent, reference: Reference, dimension: int) -> Planned:
    unused(_WHERE, spec.arch, {"heads": spec.heads, "patch": spec.patch, "weights": spec.weights})
    width = spec.width or trunks.HYBRID_WIDTH
    if width % 4:
        raise InputError(f"{_WHERE}.width: {width} is no multiple of 4, which hybrid needs for its attention heads")
    # The third stage may go down to a single block.
    least = sum(trunks.HYBRID_STAGES) - trunks.HYBRID_STAGES[2] + 1
    layers = at_least(f"{_WHERE}.layers", spec.layers or sum(trunks.HYBRID_STAGES), least)
    return replace(_base("hybrid", spec, _framed(spec, reference), dimension), width=width, layers=layers), None


def _vit(spec: ImageStudent, reference: Reference, dimension: int) -> Planned:
    unused(_WHERE, spec.arch, {"weights": spec.weights})
    image = _framed(spec, reference)
    width, layers, heads = trunks.VIT_SIZES[spec.arch]
    width, layers = spec.width or width, spec.layers or layers
    heads = spec.heads or max(1, width * heads // trunks.VIT_SIZES[spec.arch][0])
    check_heads(_WHERE, width, heads)
    side = min(image.height, image.width)
    patch = spec.patch or next(patch for least, patch in _PATCHES if side >= least)
    if image.height % patch or image.width % patch:
        raise InputError(f"{_WHERE}.patch: {patch} does not divide the size, {image.height} x {image.width} pixels")
    return replace(_base("vit", spec, image, dimension), width=width, layers=layers, heads=heads, patch=patch), None


def _timm(spec: ImageStudent, name: str, reference: Reference, dimension: int) -> Planned:
    unused(_WHERE, spec.arch, {"width": spec.width, "layers": spec.layers, "heads": spec.heads, "patch": spec.patch})
    trunks.known(name)
    image = specs.scaled_as(_framed(spec, reference), trunks.timm_settings(name))
    plan = replace(_base("timm", spec, image, dimension), config=json.dumps({"name": name}))
    if not spec.weights:
        return plan, None
    encoder = trunks.timm_model(name, (image.height, image.width), dimension)
    trunks.load_trunk(encoder, read(Path(spec.weights)), spec.weights)
    return plan, encoder.state_dict()


def _open_clip(spec: ImageStudent, name: str, reference: Reference, dimension: int) -> Planned:
    unused(_WHERE, spec.arch, {"width": spec.width, "layers": spec.layers, "heads": spec.heads, "patch": spec.patch})
    request = openclip.request_of(f"{name}:{spec.weights}" if spec.weights else name)
    if request.is_random:
        image = openclip.scaled(_framed(spec, reference))
        if image.height != image.width:
            raise InputError(f"{_WHERE}.size: must be given, the teacher's pictures are not square")
        config = openclip.image_config(request, dimension, image.height)
        return replace(_base("open_clip", spec, image, dimension), config=config), None
    model = openclip.whole_model(request)
    own = openclip.preprocessing(model)
    must_be(f"{_WHERE}.size", spec.size, own.height)
    config = openclip.image_config(request, 0, 0)
    must_be("student.dimension", dimension, int(json.loads(config)["embed_dim"]))
    image = replace(_framed(replace(spec, size=own.height), reference), mean=own.mean, std=own.std)
    plan = replace(_base("open_clip", spec, image, dimension), config=config)
    return plan, openclip.image_of(model).state_dict()


def _inherit(
    spec: ImageStudent,
    reference: Reference,
    dimension: int,
    batches: Callable[[ImageSpec], Sequence[Tensor]],
) -> Planned:
    unused(_WHERE, spec.arch, {"patch": spec.patch, "weights": spec.weights})
    bundle = reference.needed(f"{_WHERE}.arch inherit")
    request = openclip.request_of(inherit.source_of(reference, _WHERE))
    image = bundle.manifest.image
    must_be(f"{_WHERE}.size", spec.size, image.height)
    config = openclip.image_config(request, 0, 0)
    must_be("student.dimension", dimension, int(json.loads(config)["embed_dim"]))
    tower = openclip.image_of(openclip.whole_model(request))
    sizes = inherit.sizes_of(tower, _WHERE, spec.width, spec.layers, spec.heads)
    inherit.cut(tower, inherit.rank(tower, sizes, spec.importance, lambda: batches(image)))
    plan = replace(_base("open_clip", spec, image, dimension), config=config, cut=sizes)
    return plan, tower.state_dict()


def _teacher(spec: ImageStudent, reference: Reference, dimension: int, folder: Path) -> Planned:
    unused(_WHERE, spec.arch, {"width": spec.width, "layers": spec.layers, "heads": spec.heads, "patch": spec.patch})
    unused(_WHERE, spec.arch, {"weights": spec.weights})
    manifest = reference.needed(f"{_WHERE}.arch teacher").manifest
    image = manifest.image
    must_be(f"{_WHERE}.size", spec.size, image.height)
    must_be("student.dimension", dimension, manifest.embedding.dimension)
    if reference.open_clip():
        request = openclip.request_of(reference.open_clip())
        plan = replace(_base("open_clip", spec, image, dimension), config=openclip.image_config(request, 0, 0))
        return plan, openclip.image_of(openclip.whole_model(request)).state_dict()
    onnx_files.take(reference, "image", f"{_WHERE}.arch teacher", folder)
    return _base("onnx", spec, image, dimension), None
