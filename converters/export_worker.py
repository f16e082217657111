"""The child that imports the source's framework: export both towers and compute the references to check them by."""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children, exchange
from edgekit.converters.records import SourceModel, SourceOptions
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from edgekit.converters.records import Tower

GROUP = "edgekit.sources"
_PHOTOS = ("RGB", "RGBA", "L", "LA", "CMYK")
_OPAQUE = 255


def main(folder: Path) -> None:
    """Do what ``request.json`` in `folder` asks for; leave graphs, references and ``facts.json`` there."""
    request = exchange.read_request(folder)
    children.stage("loading the source")
    model = load_source(request.source, SourceOptions(Path(request.tokenizer) if request.tokenizer else None))
    for name, tower in (("image", model.image_tower), ("text", model.text_tower)):
        children.stage(f"exporting the {name} tower")
        path = exchange.master(folder, name)
        path.parent.mkdir(exist_ok=True)
        tower.export(path)
    children.stage("computing references")
    write_references(folder, model, request)
    write_bytes(folder / exchange.TOKENIZER, model.text.tokenizer_json.encode())
    write_bytes(folder / exchange.FACTS, schema.dumps(_facts(model)).encode())


def load_source(source: str, options: SourceOptions) -> SourceModel:
    """Load a source with whatever is registered for its kind.

    Args:
        source: ``KIND:SPEC``.
        options: what the user added.

    Returns:
        The model.

    Raises:
        InputError: there is no such kind of source.
    """
    kind, _, spec = source.partition(":")
    for entry in entry_points(group=GROUP, name=kind):
        model = entry.load()(spec, options)
        if not isinstance(model, SourceModel):
            raise InputError(f"{source}: the source {kind!r} returned {type(model).__name__}, not a SourceModel")
        return model
    known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)}))
    raise InputError(f"{source}: there is no source {kind!r}; a source starts with one of {known}")


def write_references(folder: Path, model: SourceModel, request: exchange.Request) -> None:
    """Store, for the request's photos and texts, pixels, ids and the framework's own embeddings.

    Args:
        folder: the work folder.
        model: the source.
        request: names the photos and holds the texts.

    Raises:
        InputError: a photo cannot be read, or is a picture that transforms treat differently.
    """
    from edgekit.preprocess import preprocess

    pixels = np.stack([preprocess(photo, model.image, decoding="exact") for photo in request.photos])
    theirs = np.stack([model.image_reference(_upright(photo)) for photo in request.photos])
    ids = model.text.reference(request.texts)
    stored: dict[str, npt.NDArray[np.generic]] = {
        "pixels": pixels,
        "reference_pixels": theirs,
        "reference_token_ids": ids.astype(np.int32),
        "reference_image": _one_by_one(model.image_tower, pixels),
        "reference_text": _one_by_one(model.text_tower, ids.astype(np.int32)),
    }
    for name, values in stored.items():
        np.save(exchange.array(folder, name), values, allow_pickle=False)


def _one_by_one(tower: Tower, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    return np.concatenate([tower.reference(batch[i : i + 1]) for i in range(len(batch))]).astype(np.float32)


def _upright(photo: str) -> Image.Image:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(Path(photo).read_bytes())) as image:
        if not _is_photo(image):
            raise InputError(
                f"{photo}: a picture of mode {image.mode} (a palette, transparency, deep or other colours), which "
                "every transform treats in its own way; give a photo in RGB or grey"
            )
        return ImageOps.exif_transpose(image).convert("RGB")


def _is_photo(image: Image.Image) -> bool:
    """Whether it makes no difference if a transform resizes before it makes an image RGB, or after."""
    opaque = "A" not in image.getbands() or image.getchannel("A").getextrema()[0] == _OPAQUE
    return image.mode in _PHOTOS and opaque and "transparency" not in image.info


def _facts(model: SourceModel) -> exchange.Facts:
    return exchange.Facts(
        name=model.name,
        license=model.license,
        description=model.description,
        weights_sha256=model.weights_sha256,
        dimension=model.dimension,
        logit_scale=float(model.logit_scale),
        logit_bias=float(model.logit_bias),
        scores=model.scores,
        image=model.image,
        context_length=model.text.context_length,
        pad_id=model.text.pad_id,
        cleaning=model.text.cleaning,
        templates=model.templates,
        storage=dict(model.storage),
        toolchain=dict(model.toolchain),
        space=model.space or f"sha256:{model.weights_sha256[:32]}",
        history=model.history,
        sections=dict(model.sections),
        attachments={path: str(file.absolute()) for path, file in model.attachments.items()},
        unjudged=model.unjudged,
    )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    children.report(lambda: main(Path(sys.argv[1])))
