"""Carry out a decision: from a tower's float graph to a candidate on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.graph import checks, store
from edgekit.converters.quantize.methods import smoothing
from edgekit.converters.quantize.methods.editor import Editor, check_constants
from edgekit.converters.quantize.methods.groups import find_regions
from edgekit.converters.quantize.methods.table import METHODS
from edgekit.errors import ConversionError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

    from edgekit.converters.quantize.methods.records import Group, Range, TowerDecision
    from edgekit.converters.quantize.methods.table import Method


def quantize_tower(master: Path, out: Path, decision: TowerDecision, ranges: Mapping[str, Range]) -> None:
    """Write a tower as a decision says.

    Args:
        master: the float graph, its external data beside it.
        out: where the new graph goes, its weights in ``<name>.data`` beside it; must differ from `master`.
        decision: groups that it does not name stay float32.
        ranges: of the tensors that `calibration.needed_tensors` names; empty where no method needs any.

    Raises:
        InputError: a group or a method does not exist, a method is not for the kind of its group, a range is missing,
            or both paths are the same. The message names the group.
        ConversionError: weights hold infinity or NaN, a method fits no node of its group, the graph cannot be read,
            or the result is refused by onnx.checker or holds infinity or NaN.
    """
    if master.resolve() == out.resolve():
        raise InputError(f"{out}: would replace the float graph; give another name")
    model = quantize_model(store.load(master), decision, ranges)
    store.save(model, out)
    checks.check_file(out)


def quantize_model(model: onnx.ModelProto, decision: TowerDecision, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """Rewrite a model with its weights in memory, in place, and return it; see `quantize_tower`."""
    regions = {region.group.name: region for region in find_regions(model)}
    chosen = choices([region.group for region in regions.values()], decision)
    editor = Editor(model)
    if decision.smoothing:
        keys = [key for group, method in chosen if method.smooths for key in group.nodes]
        ranges = smoothing.smooth(editor, keys, ranges, decision.smoothing).ranges
    for group, method in chosen:
        try:
            done = method.apply(editor, regions[group.name], ranges)
        except (InputError, ConversionError) as error:
            raise type(error)(f"group '{group.name}': {error}") from error
        if not done:
            raise ConversionError(
                f"group '{group.name}': '{method.name}' fits none of its nodes ({', '.join(group.nodes)}); "
                "leave the group float32 or choose another method"
            )
    editor.close()
    check_constants(model)
    return model


def choices(groups: Sequence[Group], decision: TowerDecision) -> list[tuple[Group, Method]]:
    """Pair the groups that a decision names with their methods, in the order of `groups`.

    Args:
        groups: of the tower.
        decision: names some of them.

    Returns:
        Groups with their methods.

    Raises:
        InputError: a group or a method does not exist, or a method is not for the kind of its group.
    """
    known = {group.name: group for group in groups}
    for name, method in decision.methods.items():
        if name not in known:
            raise InputError(f"group '{name}' does not exist; this tower has {', '.join(known) or 'none'}")
        if method not in METHODS:
            raise InputError(f"group '{name}': method '{method}' does not exist; there are {', '.join(METHODS)}")
        kind = known[name].kind
        if kind not in METHODS[method].kinds:
            fitting = ", ".join(m.name for m in METHODS.values() if kind in m.kinds)
            raise InputError(f"group '{name}': '{method}' is not for the kind '{kind}'; choose one of {fitting}")
    return [(group, METHODS[decision.methods[group.name]]) for group in groups if group.name in decision.methods]
