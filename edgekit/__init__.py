"""edgekit: CLIP-style image-text models on edge devices.

>>> import edgekit
>>> clip = edgekit.load("starter")
>>> clip.classify("photo.jpg", ["a cat", "a dog"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.clip import Clip as Clip
    from edgekit.errors import EdgekitError as EdgekitError
    from edgekit.loading import load as load
    from edgekit.results import Classification as Classification
    from edgekit.results import Explanation as Explanation
    from edgekit.results import Label as Label
    from edgekit.runtimes.protocol import SessionSettings as SessionSettings
    from edgekit.tuning.report import Tuning as Tuning
    from edgekit.tuning.tune import tune as tune

__version__ = "0.1.0"

# Where each public name lives; nothing is imported before it is used, so that `import edgekit` costs nothing.
_HOMES = {
    "Classification": "edgekit.results",
    "Clip": "edgekit.clip",
    "EdgekitError": "edgekit.errors",
    "Explanation": "edgekit.results",
    "Label": "edgekit.results",
    "SessionSettings": "edgekit.runtimes.protocol",
    "Tuning": "edgekit.tuning.report",
    "load": "edgekit.loading",
    "tune": "edgekit.tuning.tune",
}
__all__ = [
    "Classification",
    "Clip",
    "EdgekitError",
    "Explanation",
    "Label",
    "SessionSettings",
    "Tuning",
    "load",
    "tune",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
