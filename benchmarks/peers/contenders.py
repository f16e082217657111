"""Peers with weights of their own, opened as their documentation says: photo to embedding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edgekit.benchmarks.versus.records import Opened
from edgekit.errors import BundleError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.benchmarks.versus.records import Contender

    Embed = Callable[[int], npt.NDArray[np.float32]]

_INSTALL = {
    "modern-onnx-clip": "pip install modern-onnx-clip",
    "open-clip": 'pip install "torch==2.13.0" "open-clip-torch>=3.3,<4"',
}


def opened(contender: Contender, photos: Sequence[str]) -> tuple[Opened, Embed]:
    """Open a peer.

    Args:
        contender: ``modern-onnx-clip`` or ``open-clip``, with the path of its own weights.
        photos: paths.

    Returns:
        What it says of itself, and what turns the position of a photo into its embedding, (D,) float32, unit length.

    Raises:
        MissingDependencyError: it is not installed; the message names the command that installs it.
        InputError: its weights are missing, or a setting is one that it does not have.
    """
    make = modern_onnx_clip if contender.kind == "modern-onnx-clip" else open_clip
    try:
        return make(contender, photos)
    except ImportError as error:
        raise MissingDependencyError(
            f"the peer {contender.name} is not installed ({error}); {_INSTALL[contender.kind]}"
        ) from error


def modern_onnx_clip(contender: Contender, photos: Sequence[str]) -> tuple[Opened, Embed]:
    """Open modern-onnx-clip with its defaults; it takes Pillow images. See `opened`."""
    import onnxruntime
    from onnx_clip import OnnxClip
    from PIL import Image

    folder = Path(contender.model)
    if not (folder / "visual.onnx").is_file():
        raise InputError(
            f"{contender.name}: {folder} has no visual.onnx; give its own folder, --vs-peer {contender.kind}=FOLDER"
        )
    if contender.threads:
        raise InputError(f"{contender.name}: has no setting of threads (one for each core); leave --threads out")
    model = OnnxClip(model_dir=str(folder), device="cpu", silent=True)

    def embed(sample: int) -> npt.NDArray[np.float32]:
        with Image.open(photos[sample]) as image:
            row = np.asarray(model.get_image_embedding(image), np.float32)[0]
        return cast("npt.NDArray[np.float32]", row / np.linalg.norm(row))

    engine = f"onnxruntime {onnxruntime.__version__}"
    return Opened(str(folder), "", "", "", "", engine, "cpu", 0, 0.0), embed


def open_clip(contender: Contender, photos: Sequence[str]) -> tuple[Opened, Embed]:
    """Open open_clip with its own transform. See `opened`."""
    import torch
    from PIL import Image

    from edgekit.benchmarks.peers.material import open_clip_model

    architecture, weights = checkpoint(contender)
    if contender.threads:
        torch.set_num_threads(contender.threads)
    model = open_clip_model(weights, architecture)
    from open_clip.transform import PreprocessCfg, image_transform_v2

    # The settings that its own `create_model` left with the model.
    settings: dict[str, Any] = getattr(model.visual, "preprocess_cfg")  # noqa: B009
    transform = image_transform_v2(PreprocessCfg(**settings), is_train=False)

    def embed(sample: int) -> npt.NDArray[np.float32]:
        with Image.open(photos[sample]) as image, torch.inference_mode():
            row = model.encode_image(transform(image)[None])[0]  # type: ignore[operator]
        return cast("npt.NDArray[np.float32]", torch.nn.functional.normalize(row, dim=0).numpy())

    engine = f"torch {torch.__version__}"
    shown = f"{architecture}:{weights}"
    return Opened(shown, "", "", "", "fp32", engine, "cpu", contender.threads or 0, 0.0), embed


def checkpoint(contender: Contender) -> tuple[str, Path]:
    """Return open_clip's architecture and the file of its weights.

    Args:
        contender: its `model` is ``ARCHITECTURE:CHECKPOINT``, or a bundle that was converted from those.

    Returns:
        Both; the file is there.

    Raises:
        InputError: it names no such file.
    """
    text = contender.model
    if text.endswith(".edge"):
        from edgekit.bundle.reader import open_bundle

        try:
            scheme, _, text = open_bundle(text).manifest.source.uri.partition(":")
        except BundleError as error:
            raise InputError(f"{contender.name}: {error}") from error
        text = text if scheme == "open_clip" else ""
    architecture, _, path = text.partition(":")
    if not (architecture and path and Path(path).is_file()):
        raise InputError(
            f"{contender.name}: needs weights of its own, found none by {contender.model!r}; give "
            f"--vs-peer {contender.kind}=ARCHITECTURE:CHECKPOINT, such as ViT-B-32:/path/weights.pt"
        )
    return architecture, Path(path)
