"""Settings that only TensorRT has, and what a version of it needs to keep a graph's own types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError, MissingDependencyError
from edgekit.runtimes import ort_providers
from edgekit.runtimes.ort_providers import ProviderOption, ProviderTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.runtimes.onnx_facts import Facts

CACHE = "compiled_cache"
LEAST = (8, 5)
"""First version whose execution is by names of tensors; older ones are for Python 3.6 to 3.9 on Jetson, too."""

TABLE = ProviderTable(
    device="tensorrt",
    provider="TensorRT",
    source="docs.nvidia.com/deeplearning/tensorrt, Python API, IBuilderConfig",
    strictness="compiles all layers or none",
    options=(
        ProviderOption("workspace_mb", "integer", "megabytes (10^6 bytes) it may use while it compiles", low=1),
        ProviderOption("optimization_level", "integer", "how long it searches; 3 is its own", low=0, high=5),
        ProviderOption("auxiliary_streams", "integer", "streams beside the first", low=0),
        ProviderOption("largest_batch", "integer", "of a model with a free batch", low=1),
        ProviderOption("timing_cache", "choice", "use again what was timed in earlier builds", ("on", "off")),
        ProviderOption(CACHE, "choice", "keep the compiled plan", ("on", "off")),
    ),
    defaults=(("largest_batch", "8"), ("timing_cache", "on"), (CACHE, "on")),
)


@dataclass(frozen=True)
class Typing:
    """How a network is created so that it computes in the graph's types.

    Attributes:
        network: names of `NetworkDefinitionCreationFlag`.
        builder: names of `BuilderFlag`.
    """

    network: tuple[str, ...]
    builder: tuple[str, ...]


def resolve(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Check a user's settings and put them over edgekit's defaults.

    Args:
        pairs: names and values.

    Returns:
        Every setting that has a value.

    Raises:
        InputError: a name or a value is unknown, or a name stands twice.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise InputError(f"the option {name} is given twice; give it once")
        given[name] = value
    return ort_providers.resolve(TABLE, given)


def compiling(options: dict[str, str]) -> str:
    """Return the settings that change a plan, for its key."""
    names = sorted(set(options) - {CACHE, "timing_cache"})
    return " ".join(f"{name}={options[name]}" for name in names)


def version_of(trt: Any) -> tuple[int, int]:
    """Return major and minor version.

    Args:
        trt: the module `tensorrt`.

    Returns:
        Such as (10, 13).

    Raises:
        MissingDependencyError: it tells none, or one that is too old.
    """
    found = re.match(r"(\d+)\.(\d+)", str(getattr(trt, "__version__", "")))
    if not found:
        raise MissingDependencyError("tensorrt is not completely installed; install it again")
    version = int(found.group(1)), int(found.group(2))
    if version < LEAST:
        raise MissingDependencyError(
            f"tensorrt {trt.__version__} is older than {LEAST[0]}.{LEAST[1]}; use the runtime onnxruntime here, or a "
            "newer JetPack"
        )
    return version


def typing_of(version: tuple[int, int], facts: Facts) -> Typing:
    """Say how a version is told to keep the graph's types.

    Source: NVIDIA, "Strongly Typed Networks" (from 9.0, always from 11.0) and the migration guide to 11.0, which drops
    `EXPLICIT_BATCH` and the flags of types.

    Args:
        version: of TensorRT.
        facts: about the graph.

    Returns:
        The flags. Version 8 has no such network: it may compute in float16 what the graph holds in float32.
    """
    if version >= (11, 0):
        return Typing((), ())
    if version >= (10, 0):
        return Typing(("STRONGLY_TYPED",), ())
    if version >= (9, 0):
        return Typing(("EXPLICIT_BATCH", "STRONGLY_TYPED"), ())
    flags = (*(("FP16",) if facts.half else ()), *(("INT8",) if facts.quantized else ()))
    return Typing(("EXPLICIT_BATCH",), flags)
