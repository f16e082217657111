"""The child that imports torch and litert_torch: a float LiteRT file from a portable master."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.litert import limits, work
from edgekit.errors import ConversionError, MissingDependencyError

if TYPE_CHECKING:
    from torch import nn

INSTALL = 'pip install "edgekit[convert-litert]"'
_TOOLS = ("litert-torch", "litert-converter", "torch")


def main(folder: Path) -> None:
    """Do what ``request.json`` in `folder` asks for; leave the file and ``facts.json``."""
    request = work.read_request(folder)
    limits.die_after(request.seconds)
    children.stage(f"reading {Path(request.master).name}")
    for package in ("torch", "onnx", "litert_torch"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"{package} is not installed; {INSTALL}")
    # First, since it refuses in seconds what the tool, which takes long to load, would fail on.
    module, name = build(Path(request.master), request.shape, request.mask or None)
    children.stage("converting to LiteRT (minutes for a large tower)")
    _convert(tools(), module, name, request)
    facts = work.Facts(_count(Path(request.out)), (), {tool: version(tool) for tool in _TOOLS}, limits.peak_bytes())
    write_bytes(folder / work.FACTS, schema.dumps(facts).encode())


def tools() -> Any:
    """Import litert_torch.

    Returns:
        The module.

    Raises:
        MissingDependencyError: it does not work.
    """
    try:
        import litert_torch
    except Exception as error:
        raise MissingDependencyError(f"litert_torch cannot be imported ({error}); {INSTALL}") from error
    return litert_torch


def build(master: Path, shape: tuple[int, ...], mask: float | None) -> tuple[nn.Module, str]:
    """Build the torch module of a master at one shape; see `program.fold` and `patterns.rewrite`.

    Args:
        master: the float graph.
        shape: of the input.
        mask: least value of attention masks, or None.

    Returns:
        The module and its input's name.
    """
    from edgekit.converters.graph import store
    from edgekit.converters.litert import module, patterns, program
    from edgekit.converters.quantize.methods.groups import find_groups

    model = store.load(master)
    groups = find_groups(model)
    folded = program.fold(model, shape)
    del model
    return module.signature(patterns.rewrite(folded, mask), groups)


def _convert(litert_torch: Any, module: nn.Module, name: str, request: work.Request) -> None:
    import torch

    example = torch.zeros(request.shape, dtype=torch.uint8 if len(request.shape) == 4 else torch.int32)
    try:
        edge = litert_torch.signature("serving_default", module, sample_kwargs={name: example}).convert()
        edge.export(request.out)
    # The tool raises whatever its parts raise; its own log has the rest.
    except Exception as error:
        from edgekit.converters.export import first_line

        text = f"{Path(request.master).name}: litert_torch failed: {type(error).__name__}: {first_line(error)}"
        raise ConversionError(text) from error


def _count(path: Path) -> dict[str, int]:
    from edgekit.converters.litert.files import count_operators

    return count_operators(path)


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
