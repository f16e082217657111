"""``edgekit doctor``."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import click

from edgekit import __version__, processor
from edgekit.bundle.schema import to_plain
from edgekit.cli.main import FAILED
from edgekit.cli.options import json_option
from edgekit.errors import InputError, RuntimeUnavailableError
from edgekit.locations import cache_dir
from edgekit.runtimes import compiled_cache, registry

_PACKAGES = ("numpy", "pillow", "tokenizers", "ftfy", "click")
# What each extra adds, by import name: enough to tell whether it is installed without importing it.
_EXTRAS = {
    "convert": ("torch", "open_clip", "transformers", "onnx"),
    "quantize": ("onnx", "onnxruntime", "matplotlib"),
    "convert-litert": ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
    "data": ("resvg_py",),
    "distill": ("torch", "accelerate", "timm", "yaml"),
    "bench": ("onnx", "onnxruntime", "plotly", "psutil", "rich", "yaml"),
    "starter": ("efficientnet_lite_pytorch",),
}


@dataclass(frozen=True)
class RuntimeState:
    """Whether one runtime works here, and why not."""

    name: str
    ok: bool
    version: str
    devices: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Diagnosis:
    """What works on this machine.

    Attributes:
        edgekit: version.
        python: version.
        machine: architecture and system.
        cores: logical processors.
        int8: how the processor multiplies 8-bit integers, see `edgekit.processor`; empty where that cannot be told.
        saturates: whether its usual sums of unsigned by signed bytes overflow 16 bits.
        runtimes: every registered runtime.
        packages: version of each package that the core needs; empty when absent.
        extras: per extra, the modules that are missing.
        cache: folder for decisions, or why there is none.
        cache_writable: whether it can be written to.
        compiled: number of compiled models that are kept there.
        compiled_bytes: what they take.
    """

    edgekit: str
    python: str
    machine: str
    cores: int
    int8: str
    saturates: bool
    runtimes: tuple[RuntimeState, ...]
    packages: dict[str, str]
    extras: dict[str, tuple[str, ...]]
    cache: str
    cache_writable: bool
    compiled: int
    compiled_bytes: int

    @property
    def ok(self) -> bool:
        """True when at least one runtime works."""
        return any(runtime.ok for runtime in self.runtimes)


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what works on this machine and, for what does not, why.

    Exits with 1 when no runtime works.
    """
    found = diagnose()
    click.echo(json.dumps({"ok": found.ok, **to_plain(found)}, indent=2) if as_json else report(found))
    if not found.ok:
        ctx.exit(FAILED)


def diagnose() -> Diagnosis:
    """Look at the machine; opens no model."""
    cache, writable = _cache()
    int8 = processor.int8_here()
    kept = compiled_cache.entries() if writable else ()
    return Diagnosis(
        edgekit=__version__,
        python=platform.python_version(),
        machine=f"{platform.machine()} {platform.system()}",
        cores=os.cpu_count() or 1,
        int8=f"{int8.name}, {int8.words}" if int8 else "",
        saturates=int8 is not None and int8.saturates,
        runtimes=tuple(_runtime(name) for name in registry.names()),
        packages={name: _version(name) for name in _PACKAGES},
        extras={extra: tuple(m for m in modules if find_spec(m) is None) for extra, modules in _EXTRAS.items()},
        cache=cache,
        cache_writable=writable,
        compiled=len(kept),
        compiled_bytes=sum(entry.size for entry in kept),
    )


def report(found: Diagnosis) -> str:
    """Return a diagnosis as text for a person."""
    warning = "; u8s8 int8 models may saturate, the golden check will tell" if found.saturates else ""
    lines = [
        f"edgekit {found.edgekit}, Python {found.python}, {found.machine}, {found.cores} cores",
        f"int8 kernels: {found.int8 or 'not known for this processor'}{warning}",
    ]
    for runtime in found.runtimes:
        works = f"ok   {runtime.name} {runtime.version}: {', '.join(runtime.devices)}"
        lines.append(works if runtime.ok else f"no   {runtime.name}: {runtime.reason}")
    for name, found_version in found.packages.items():
        lines.append(f"ok   {name} {found_version}" if found_version else f"no   {name}: pip install {name}")
    for extra, missing in found.extras.items():
        hint = f'needs {", ".join(missing)}; pip install "edgekit[{extra}]"'
        lines.append(f"no   [{extra}] {hint}" if missing else f"ok   [{extra}]")
    state = "ok   " if found.cache_writable else "no   "
    lines.append(f"{state}cache {found.cache}" + ("" if found.cache_writable else ": cannot be written to"))
    if found.compiled:
        lines.append(f"     {found.compiled} compiled models, {found.compiled_bytes / 1e6:.1f} MB; edgekit cache list")
    return "\n".join(lines)


def _runtime(name: str) -> RuntimeState:
    try:
        runtime = registry.get(name)
    except RuntimeUnavailableError as error:
        return RuntimeState(name, False, "", (), str(error))
    state = runtime.available()
    return RuntimeState(name, state.ok, state.version, runtime.devices(), state.reason)


def _cache() -> tuple[str, bool]:
    try:
        folder = cache_dir()
    except InputError as error:
        return str(error), False
    return str(folder), _writable(folder)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _writable(folder: Path) -> bool:
    # os.path's exists, because pathlib's raises where a folder on the way may not be entered.
    existing = next((path for path in (folder, *folder.parents) if os.path.exists(path)), None)  # noqa: PTH110
    return existing is not None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
