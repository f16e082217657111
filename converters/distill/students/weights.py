"""A module's weights in a safetensors file, and how many there are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from edgekit.atomic import write_bytes
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

_SHOWN = 4


def count(module: nn.Module) -> int:
    """Count a module's parameters.

    Args:
        module: any module.

    Returns:
        Number of numbers in its parameters; shared ones once, buffers not.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def initial(folder: Path, tower: str) -> Path:
    """Return the path of a tower's weights before the training."""
    return folder / f"initial-{tower}.safetensors"


def trained(folder: Path, tower: str) -> Path:
    """Return the path of a tower's weights after the training, as `finish` left them."""
    return folder / f"trained-{tower}.safetensors"


def save(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and persistent buffers, atomically.

    Args:
        module: any module.
        path: the safetensors file.
    """
    from safetensors.torch import save as encode

    # Cloned, since the format refuses tensors that share memory.
    state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    write_bytes(path, encode(state))


def load(module: nn.Module, path: Path) -> None:
    """Fill a module with the weights that `save` wrote.

    Args:
        module: of the same structure.
        path: the safetensors file.

    Raises:
        InputError: the file is missing or damaged, or belongs to another structure.
    """
    put(module, read(path), str(path))


def put(module: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Fill a module with weights by name, all of them and nothing else.

    Args:
        module: what to fill.
        state: by the names of `module.state_dict()`.
        where: the file, for messages.

    Raises:
        InputError: a weight is missing, unknown or of another shape; the message names the first few.
    """
    own = module.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [f"{name} is unknown" for name in state if name not in own]
    faults += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise InputError(f"{where}: not the weights of this architecture: {'; '.join(faults[:_SHOWN])}{more}")
    module.load_state_dict(state)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of weights without running anything in it.

    Args:
        path: ``.safetensors``, or a file of ``torch.save`` that holds tensors by name, alone or under ``state_dict`` or
            ``model``.

    Returns:
        Tensors by name.

    Raises:
        InputError: it is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(str(path)))
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not a readable file of weights ({type(error).__name__}: {error})") from error
    for key in ("state_dict", "model"):
        found = found[key] if isinstance(found, dict) and isinstance(found.get(key), dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"{path}: holds no tensors by name")
    return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw random numbers from `seed` inside the block, and put torch's own state back after it."""
    with torch.random.fork_rng(devices=[]):
        # Only this generator: torch.manual_seed would change those of GPUs too, which nothing here puts back.
        torch.default_generator.manual_seed(seed)
        yield
