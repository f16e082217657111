"""``edgekit convert --target CHIP``: a float conversion, then what ``edgekit compile`` does."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.converters import convert as conversion
from edgekit.converters.quantize import data
from edgekit.converters.targets import catalog
from edgekit.converters.targets.compile import CompileOptions, Report, check, compile_bundle, require
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


def convert(source: str, out: Path, options: conversion.ConvertOptions, on_stage: Callable[[str], None]) -> Report:
    """Convert a source and compile the result.

    Args:
        source: as for `converters.convert`.
        out: the ``.edge`` file to create or replace; it holds the float variant and the chip's.
        options: as for `converters.convert`; `target` names the chip, and the weights stay float32.
        on_stage: called with the name of each stage.

    Returns:
        The report of the compilation.

    Raises:
        InputError: the chip, an option, or the data cannot be used; nothing was converted then.
        MissingDependencyError: the toolchain is not installed.
        ConversionError: as for `compile_bundle`.
    """
    maker, chip = catalog.find(options.target)
    settings = CompileOptions()
    check(out, chip, settings)
    if options.weights not in (None, "float32"):
        raise InputError(f"weights: a chip is compiled from float32, not {options.weights}; leave --weights out")
    require(maker)
    # Said before the conversion, which takes minutes, and not after it.
    data.find(settings.data)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        floats = Path(folder) / out.name
        conversion.convert(source, floats, replace(options, weights="float32", target="any"), on_stage)
        return compile_bundle(str(floats), chip.name, out, settings, on_stage)
