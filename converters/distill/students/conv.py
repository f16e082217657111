"""Small plain convolutional networks for pictures of 32 to 128 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    import torch

WIDTH, LAYERS = 32, 4
_LAST = 5.375  # channels of the last stage over those of the first
_LARGE = 48  # pixels from which the last stage halves its map too


class ConvEncoder(nn.Module):
    """Convolutions of 3 x 3 with batch normalization and ReLU, the mean over positions, a linear map.

    Stages of `width`, 2, 4 and 5.375 times `width` channels; further layers add residual convolutions to the last.
    358,392 parameters at width 32 and D = 384, 106,812 at width 16.
    """

    def __init__(self, width: int, layers: int, size: int, dimension: int) -> None:
        """Make a network.

        Args:
            width: channels of the first stage.
            layers: convolutions, at least 4.
            size: side of the input in pixels; from 48 on the last stage has a stride of 2.
            dimension: D.
        """
        super().__init__()
        last = round(_LAST * width)
        strides = (2, 2, 2, 2 if size >= _LARGE else 1)
        widths = (3, width, 2 * width, 4 * width, last)
        stages: list[nn.Module] = [
            nn.Sequential(*_convolution(given, taken, stride), nn.ReLU(inplace=True))
            for given, taken, stride in zip(widths, widths[1:], strides, strict=False)
        ]
        stages += [_Residual(last) for _ in range(layers - LAYERS)]
        self.body = nn.Sequential(*stages)
        self.head = nn.Linear(last, dimension)
        self.last = "head"

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map float32 (N, 3, H, W) to float32 (N, D)."""
        rows: torch.Tensor = self.head(self.body(planes).mean((2, 3)))
        return rows


class _Residual(nn.Module):
    """A convolution that is added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(width, width, 1))
        self.activation = nn.ReLU()

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.activation(planes + self.body(planes))
        return result


def _convolution(given: int, taken: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(given, taken, 3, stride, 1, bias=False), nn.BatchNorm2d(taken)
