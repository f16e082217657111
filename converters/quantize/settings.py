"""What the user of `edgekit quantize` may set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgekit.errors import InputError
from edgekit.golden import TOWERS
from edgekit.locations import SUFFIX

Objective = Literal["latency", "size"]
Cut = Literal["minmax", "percentile", "entropy"]
FORMATS = ("onnx", "litert")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the outcome, beside the bundle and the data.

    Attributes:
        minutes: wall time that the search may take; packing comes on top.
        min_agreement: least share, 0..1, of held-out queries whose best match is the float model's; 0 turns that off.
        max_drop: largest loss of the task's own metric that is accepted, in points; None where it does not count.
        methods: names of the methods to try; empty tries those that suit the target.
        towers: the towers that may change.
        objective: what is made small: ``latency`` on this device, or ``size``.
        target: what the variant is recorded for: an instruction set such as ``x86-vnni``, which decides whether
            weights may use all of 8 bits; ``cpu`` for this processor, ``any`` for a file right on every one.
        threads: of the inferences that are timed; 0 leaves it to the engine.
        keep_float: leave the float variant in the new bundle.
        formats: what is written; ``onnx`` always, ``litert`` too where asked.
        calibration: how the range of an activation is taken.
        smoothing: try moving activation outliers into the weights before quantizing.
        kit: the module that knows the methods, by its dotted name; see `kit`.
    """

    minutes: float = 20.0
    min_agreement: float = 0.99
    max_drop: float | None = None
    methods: tuple[str, ...] = ()
    towers: tuple[str, ...] = TOWERS
    objective: Objective = "latency"
    target: str = "any"
    threads: int = 1
    keep_float: bool = False
    formats: tuple[str, ...] = ("onnx",)
    calibration: Cut = "minmax"
    smoothing: bool = True
    kit: str = "edgekit.converters.quantize.kit"


def check(settings: Settings, out: Path) -> None:
    """Refuse settings that cannot work, before anything is computed.

    Args:
        settings: as the user gave them.
        out: the bundle to write.

    Raises:
        InputError: names the setting and what it may be.
    """
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: a bundle's name ends in {SUFFIX}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file to write")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    if not settings.minutes > 0:
        raise InputError(f"budget: {settings.minutes:g} minutes leave no time to measure anything; give more than 0")
    if settings.minutes == math.inf:
        raise InputError("budget: a search without an end never delivers; give a number of minutes, such as 600")
    if not 0 <= settings.min_agreement <= 1:
        raise InputError(f"min-agreement: {settings.min_agreement:g} is not in 0..1; 0.99 stands for 99 %")
    if settings.max_drop is not None and not 0 <= settings.max_drop < math.inf:
        raise InputError(
            f"max-drop: {settings.max_drop:g} is no number of points from 0 on; leave it out where no drop matters"
        )
    if settings.threads < 0:
        raise InputError(f"threads: {settings.threads} is negative; 0 leaves it to the engine")
    _known("towers", settings.towers, TOWERS)
    _known("formats", settings.formats, FORMATS)
    _known("calibration", (settings.calibration,), get_args(Cut))
    _known("objective", (settings.objective,), get_args(Objective))
    if "onnx" not in settings.formats:
        raise InputError("formats: the search measures ONNX files; write onnx,litert for both")


def _known(field: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not given:
        raise InputError(f"{field}: is empty; choose from {', '.join(known)}")
    for name in given:
        if name not in known:
            raise InputError(f"{field}: {name!r} is not one of {', '.join(known)}")
