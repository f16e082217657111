"""Photos and video frames to the image tower's pixels, as the checkpoint's own transform makes them.

>>> from edgekit.preprocess import decode, preprocess, preprocess_batch

Nothing here imports Pillow before the first image arrives, and nothing imports OpenCV at all.
"""

from __future__ import annotations

from edgekit.preprocess.dct_scaling import FAST_MAX_LEVELS, FAST_MEAN_LEVELS, FAST_RATIO, FAST_WORST_LEVELS
from edgekit.preprocess.encoded import DEFAULT_MAX_PIXELS
from edgekit.preprocess.pipeline import Decoded, Decoding, decode, decode_for, fit, preprocess, preprocess_batch
from edgekit.preprocess.source import ChannelOrder, ImageSource

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "FAST_MAX_LEVELS",
    "FAST_MEAN_LEVELS",
    "FAST_RATIO",
    "FAST_WORST_LEVELS",
    "ChannelOrder",
    "Decoded",
    "Decoding",
    "ImageSource",
    "decode",
    "decode_for",
    "fit",
    "preprocess",
    "preprocess_batch",
]
