"""Turn a PyTorch encoder into a tower that keeps the graph contract: pixels or token ids in, unit rows out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters import export as exporting
from edgekit.converters import parity
from edgekit.converters.attention import written_out
from edgekit.converters.graph import checks, store
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.records import Tower


def image_tower(encode: torch.nn.Module, spec: ImageSpec, *, export_as: torch.nn.Module | None = None) -> Tower:
    """Make a tower of an image encoder.

    The tower's input is ``pixels``, uint8 (N, H, W, 3) RGB in 0..255. The graph does the rest: type, scale,
    mean, standard deviation, channel order, and L2 normalization of the output.

    Args:
        encode: maps float32 (N, 3, H, W) RGB, divided by 255 and normalized by the mean and the standard
            deviation of `spec`, to float32 (N, D); rows need not have unit length. It is put into evaluation
            mode, and its attention is switched to the plain form where it offers a choice.
        spec: the preprocessing; height, width, mean and std are used.
        export_as: an equivalent module to export in the place of `encode`, such as a re-parameterized copy.
            References always come from `encode`, and `export` checks that both agree.

    Returns:
        The tower.
    """
    given = TensorSpec("pixels", "uint8", ("N", spec.height, spec.width, 3))
    traced = _Pixels(written_out(_ready(encode if export_as is None else export_as)), spec)
    return _TorchTower(_PixelsReference(_ready(encode), spec), traced, given)


def text_tower(
    encode: torch.nn.Module, context_length: int, pad_id: int, *, export_as: torch.nn.Module | None = None
) -> Tower:
    """Make a tower of a text encoder.

    The tower's input is ``token_ids``, int32 (N, L). L is free in the graph when the module accepts shorter
    inputs and the exported graph was seen to follow it there; otherwise the graph states the one length it takes.
    A free L does not promise that dropping padding leaves the embedding unchanged: that depends on the model.

    Args:
        encode: maps int64 (N, L) token ids to float32 (N, D); rows need not have unit length. It is put into
            evaluation mode, and its attention is switched to the plain form where it offers a choice.
        context_length: L of a padded text; references are computed at this length.
        pad_id: id that fills a shorter batch up to `context_length` for the reference.
        export_as: an equivalent module to export in the place of `encode`, such as one that accepts shorter
            inputs. References always come from `encode`, and `export` checks that both agree.

    Returns:
        The tower.
    """
    given = TensorSpec("token_ids", "int32", ("N", "L"))
    traced = _Ids(written_out(_ready(encode if export_as is None else export_as)))
    return _TorchTower(_IdsReference(_ready(encode), context_length, pad_id), traced, given, context_length)


@dataclass(frozen=True)
class _TorchTower:
    """A tower made of two modules with the contract's input and output: one to compare with, one to trace."""

    module: torch.nn.Module = field(repr=False)
    traced: torch.nn.Module = field(repr=False)
    given: TensorSpec
    context_length: int = 0

    def reference(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 unit rows for one contract input."""
        return parity.run_torch(self.module, batch)

    def export(self, path: Path) -> None:
        """Write the graph and its weights, then run the file and compare.

        Args:
            path: of the graph; the weights go to ``<path name>.data`` beside it.

        Raises:
            UnsupportedModelError: the architecture has no ONNX form at the contract's opset.
            ConversionError: the file does not compute what the module computes, at another batch size for one.
        """
        given = parity.free_shape(self.traced, self.given, self.context_length)
        try:
            self._write(path, given)
        except ConversionError:
            if isinstance(given.shape[1], int):
                raise
            # The tracer fixed the length somewhere. Say so in the graph rather than be wrong at other lengths.
            self._write(path, TensorSpec(given.name, given.dtype, (given.shape[0], self.context_length)))

    def _write(self, path: Path, given: TensorSpec) -> None:
        """Trace, save, and compare what was saved; a file that does not agree is removed."""
        example = parity.example(given, rows=2, length=self.context_length)
        dimension = int(parity.run_torch(self.traced, example).shape[1])
        taken = TensorSpec("embedding", "float32", ("N", dimension))
        model = exporting.export_module(self.traced, torch.from_numpy(example), given, taken, path.parent)
        store.save(model, path)
        try:
            checks.check_file(path)
            parity.check(path, self.module, self.traced, given, self.context_length)
        except ConversionError:
            for file in (path, path.with_name(f"{path.name}.data")):
                file.unlink(missing_ok=True)
            raise


class _Pixels(torch.nn.Module):
    """Contract pixels to unit rows, written with few operators: one multiplication and one addition a channel."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, encode: torch.nn.Module, spec: ImageSpec) -> None:
        super().__init__()
        self.encode = encode
        mean, std = np.asarray(spec.mean, np.float64), np.asarray(spec.std, np.float64)
        self.register_buffer("scale", _per_channel(1.0 / (255.0 * std)), persistent=False)
        self.register_buffer("shift", _per_channel(-mean / std), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        planes = pixels.to(torch.float32).permute(0, 3, 1, 2)
        return _unit_rows(self.encode(planes * self.scale + self.shift))


class _PixelsReference(torch.nn.Module):
    """The same, step by step as image transforms do it."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, encode: torch.nn.Module, spec: ImageSpec) -> None:
        super().__init__()
        self.encode = encode
        self.register_buffer("mean", _per_channel(np.asarray(spec.mean)), persistent=False)
        self.register_buffer("std", _per_channel(np.asarray(spec.std)), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        return torch.nn.functional.normalize(self.encode((planes - self.mean) / self.std), dim=-1)


class _Ids(torch.nn.Module):
    """Contract ids to unit rows."""

    def __init__(self, encode: torch.nn.Module) -> None:
        super().__init__()
        self.encode = encode

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        return _unit_rows(self.encode(token_ids.to(torch.int64)))


class _IdsReference(torch.nn.Module):
    """The same on ids padded to the full length, as the checkpoint's own pipeline feeds them."""

    def __init__(self, encode: torch.nn.Module, context_length: int, pad_id: int) -> None:
        super().__init__()
        self.encode = encode
        self.context_length = context_length
        self.pad_id = pad_id

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        missing = max(0, self.context_length - token_ids.shape[1])
        padded = torch.nn.functional.pad(token_ids.to(torch.int64), (0, missing), value=self.pad_id)
        return torch.nn.functional.normalize(self.encode(padded), dim=-1)


def _unit_rows(embedding: torch.Tensor) -> torch.Tensor:
    """Divide by the largest component before squaring, so that the sum of squares fits in float16."""
    largest = embedding.abs().amax(dim=-1, keepdim=True).clamp_min(1e-6)
    scaled = embedding / largest
    length: torch.Tensor = scaled.norm(dim=-1, keepdim=True)
    return scaled / length.clamp_min(1e-6)


def _per_channel(values: npt.NDArray[np.float64]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1)


def _ready(module: torch.nn.Module) -> torch.nn.Module:
    """Evaluation mode, no gradients, and plain attention in modules that let one choose (transformers' do)."""
    module.eval().requires_grad_(False)
    for part in module.modules():
        choose = getattr(part, "set_attn_implementation", None)
        if callable(choose):
            choose("eager")
    return module
