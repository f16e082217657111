"""The usual script as a contender: Pillow and a session of ONNX Runtime on the bundle's own file, nothing else.

It opens the bundle's float variant where there is one, and the one that was asked for, or the first, where there is
none; photos are decoded whole, resized and cropped with Pillow alone, one after another.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.running.subject import is_float
from edgekit.benchmarks.versus.records import Opened
from edgekit.bundle.reader import open_bundle
from edgekit.errors import InputError, MissingDependencyError
from edgekit.locations import resolve
from edgekit.preprocess.geometry import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.benchmarks.versus.records import Contender
    from edgekit.bundle.manifest import ImageSpec, VariantRecord
    from edgekit.bundle.reader import Bundle

    Embed = Callable[[int], npt.NDArray[np.float32]]


def opened(contender: Contender, photos: Sequence[str]) -> tuple[Opened, Embed]:
    """Open the image tower of a bundle without edgekit's engine.

    Args:
        contender: its `model` is a bundle.
        photos: paths.

    Returns:
        What was opened, and what turns the position of a photo into its embedding.

    Raises:
        InputError: the bundle has no ONNX variant.
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f'the contender {contender.name} needs onnxruntime ({error}); pip install "edgekit[onnx]"'
        ) from error
    bundle = open_bundle(resolve(contender.model))
    variant = plain_variant(bundle, contender.variant)
    session = _session(onnxruntime, bundle, variant, contender.threads or 0)
    given, spec = variant.image.input.name, bundle.manifest.image

    def embed(sample: int) -> npt.NDArray[np.float32]:
        row = session.run(None, {given: pixels(photos[sample], spec)[None]})[0][0]
        return np.asarray(row, np.float32)

    found = Opened(
        model=f"{bundle.manifest.name} {bundle.manifest.version}, {variant.image.artifact}",
        digest=bundle.digest,
        space=bundle.manifest.embedding.space,
        variant=variant.id,
        precision=variant.precision,
        engine=f"onnxruntime {onnxruntime.__version__}",
        device="cpu",
        threads=contender.threads or 0,
        load_ms=0.0,
    )
    return found, embed


def plain_variant(bundle: Bundle, wanted: str) -> VariantRecord:
    """Choose the variant that a bare session opens.

    Args:
        bundle: opened.
        wanted: id; empty for the float variant.

    Returns:
        The one wanted; else the first of floats; else the first.

    Raises:
        InputError: none of them is an ONNX file that takes any number of photos.
    """
    onnx = [v for v in bundle.manifest.variants if v.format == "onnx" and wanted in ("", v.id)]
    if not onnx:
        known = ", ".join(f"{v.id} ({v.format})" for v in bundle.manifest.variants)
        raise InputError(f"{bundle.where}: a bare session of onnxruntime opens ONNX files; the bundle has {known}")
    return next(filter(is_float, onnx), onnx[0])


def pixels(photo: str, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Decode and fit a photo with Pillow, as the usual script does.

    Where each pixel goes is read off the bundle's own plan: a script that rounds otherwise would be called wrong.

    Args:
        photo: path.
        spec: of the bundle.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the photo is too thin for the model.
    """
    from PIL import Image, ImageOps

    with Image.open(photo) as image:
        rgb = ImageOps.exif_transpose(image).convert("RGB")
    x, y = plan(rgb.size, spec, photo)
    resized = rgb.resize((x.resized, y.resized), Image.Resampling[spec.interpolation.upper()])
    kept = resized.crop((x.start, y.start, x.stop, y.stop))
    if kept.size == (spec.width, spec.height):
        return np.asarray(kept)
    whole = Image.new("RGB", (spec.width, spec.height), spec.fill)
    whole.paste(kept, (x.offset, y.offset))
    return np.asarray(whole)


def _session(ort: Any, bundle: Bundle, variant: VariantRecord, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="edgekit-bare-") as name:
        for path in (variant.image.artifact, *variant.image.sidecars):
            (Path(name) / path.rpartition("/")[2]).write_bytes(bundle.read(path))
        model = Path(name) / variant.image.artifact.rpartition("/")[2]
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
