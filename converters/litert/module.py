"""A program as a torch module whose parts are named after the tower's groups of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edgekit.converters.litert.names import scopes
from edgekit.converters.litert.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from edgekit.converters.litert.call import Call
    from edgekit.converters.litert.program import Program
    from edgekit.converters.quantize.methods.records import Group

OUTPUT = "embedding"
_NO_GROUP = "other"


class Step(nn.Module):
    """One call, with the constants it reads."""

    def __init__(self, call: Call, constants: Mapping[str, nn.Parameter | Tensor]) -> None:
        """Register floating constants as parameters, others as buffers."""
        super().__init__()
        self._call = call
        self._operator = OPERATORS[call.op]
        for position in call.constants:
            value = constants[call.inputs[position]]
            if isinstance(value, nn.Parameter):
                self.register_parameter(_name(position), value)
            else:
                self.register_buffer(_name(position), value, persistent=False)

    def forward(self, *live: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the call from those inputs that are not constants, in order."""
        rest = iter(live)
        return self._operator(self._call, *(self._argument(i, rest) for i in range(len(self._call.inputs))))

    def _argument(self, position: int, rest: Iterator[Tensor]) -> Tensor | None:
        if position in self._call.constants:
            return getattr(self, _name(position))  # type: ignore[no-any-return]
        return next(rest) if self._call.inputs[position] else None


class Tower(nn.Module):
    """The whole program."""

    def __init__(self, program: Program, groups: Sequence[Group]) -> None:
        """Make a step of each call, named after the group of the node it came from."""
        super().__init__()
        constants = {name: _stored(value) for name, value in program.constants.items()}
        named = scopes(groups)
        of_node = {node: named[group.name] for group in groups for node in group.nodes}
        self._program = program
        self._names = [f"{of_node.get(call.name, _NO_GROUP)}{index}" for index, call in enumerate(program.calls)]
        for name, call in zip(self._names, program.calls, strict=True):
            self.add_module(name, Step(call, constants))

    def forward(self, given: Tensor) -> Tensor:
        """Run every step.

        Args:
            given: of the shape the program was folded at.

        Returns:
            The output.
        """
        values = {self._program.input: given}
        for call, name in zip(self._program.calls, self._names, strict=True):
            live = [values[source] for i, source in enumerate(call.inputs) if source and i not in call.constants]
            result = self.get_submodule(name)(*live)
            values.update(zip(call.outputs, result if isinstance(result, tuple) else (result,), strict=False))
        return values[self._program.output]


class ImageSignature(nn.Module):
    """Names the input and the output of an image tower as the graph contract does."""

    def __init__(self, tower: Tower) -> None:
        """Wrap `tower`."""
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Map uint8 (N, H, W, 3) RGB to ``{"embedding": (N, D)}``."""
        return {OUTPUT: self.tower(pixels)}


class TextSignature(nn.Module):
    """Names the input and the output of a text tower as the graph contract does."""

    def __init__(self, tower: Tower) -> None:
        """Wrap `tower`."""
        super().__init__()
        self.tower = tower

    def forward(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Map int32 (N, L) token ids to ``{"embedding": (N, D)}``."""
        return {OUTPUT: self.tower(token_ids)}


def signature(program: Program, groups: Sequence[Group]) -> tuple[nn.Module, str]:
    """Return the module of a tower with contract names, ready to be exported, and its input's name.

    Args:
        program: of an image tower, whose input is called ``pixels``, or of a text tower.
        groups: of the master's weights, for the names inside the file.

    Returns:
        The module in evaluation mode, and ``pixels`` or ``token_ids``.
    """
    tower = Tower(program, groups)
    wrapped = ImageSignature(tower) if program.input == "pixels" else TextSignature(tower)
    return wrapped.eval(), program.input


def run(module: nn.Module, batch: Tensor) -> Tensor:
    """Return the embedding of one batch, for checks."""
    with torch.inference_mode():
        result: Tensor = module(batch)[OUTPUT]
    return result


def _stored(value: Tensor) -> nn.Parameter | Tensor:
    if value.is_floating_point():
        return nn.Parameter(value.clone(), requires_grad=False)
    if value.dtype != torch.int64:
        return value.clone()
    # Of LiteRT's operators hardly any takes 64 bits; what does not fit stands for "to the end" in a slice.
    limits = torch.iinfo(torch.int32)
    return value.clamp(limits.min, limits.max).to(torch.int32)


def _name(position: int) -> str:
    return f"constant{position}"
