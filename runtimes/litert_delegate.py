"""External delegates of LiteRT: load one, apply it, and refuse it where it did not take the work."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from edgekit.errors import PlacementError
from edgekit.runtimes import litert_placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.runtimes.litert_engine import Engine
    from edgekit.runtimes.litert_placement import Node

_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


def load(engine: Engine, library: str, options: Mapping[str, str], name: str) -> Any:
    """Load an external delegate.

    Args:
        engine: whose interpreter gets it.
        library: path of a shared object, or a name that the system's loader finds.
        options: handed to the delegate as they are.
        name: of the artifact, for messages.

    Returns:
        The engine's own delegate object, for one interpreter.

    Raises:
        PlacementError: the library is missing, is no delegate, or refused to start.
    """
    where = f"{name}: the delegate {library}"
    # Tried before the engine does, whose own object of a failed load raises once more when it is collected.
    try:
        exported = ctypes.PyDLL(library)
    except (OSError, ValueError) as error:
        raise PlacementError(f"{where} cannot be loaded: {error}; give its full path") from error
    missing = [symbol for symbol in _SYMBOLS if not hasattr(exported, symbol)]
    if missing:
        raise PlacementError(f"{where} is not an external delegate: it does not export {' and '.join(missing)}")
    try:
        return engine.module.load_delegate(library, dict(options))
    except Exception as error:
        reason = str(error).rpartition("\n")[2] or "it gave no reason"
        given = ", ".join(f"{key}={value}" for key, value in options.items()) or "none"
        raise PlacementError(f"{where} refused to start: {reason} (options: {given})") from error


def claims(interpreter: Any, model: tuple[Node, ...]) -> frozenset[int]:
    """Return which of a model's nodes stand behind the interpreter's delegate nodes.

    Meaningful only where no other delegate was applied: XNNPACK's nodes look the same.

    Args:
        interpreter: with the delegate applied.
        model: the nodes before that.

    Returns:
        Positions in `model`.
    """
    return litert_placement.taken(model, litert_placement.nodes(interpreter)[len(model) :])


def demand(taken: frozenset[int], model: tuple[Node, ...], library: str, name: str, *, allow_cpu: bool) -> None:
    """Refuse a delegate that did not take the work.

    Args:
        taken: positions in `model` of the nodes that the delegate took.
        model: the model's nodes.
        library: the delegate, for messages.
        name: of the artifact, for messages.
        allow_cpu: let the CPU have the nodes that the delegate left, but not all of them.

    Raises:
        PlacementError: the delegate took nothing, or left nodes and `allow_cpu` is False.
    """
    where = f"{name}: the delegate {library}"
    if not taken:
        raise PlacementError(
            f"{where} took none of the model's {len(model)} nodes; use the device cpu, or a model made for it"
        )
    left = [node.op for i, node in enumerate(model) if i not in taken]
    if left and not allow_cpu:
        ops = ", ".join(f"{op} ({left.count(op)})" for op in sorted(set(left))[:5])
        raise PlacementError(
            f"{where} took {len(taken)} of the model's {len(model)} nodes and left {ops}; allow the CPU explicitly"
        )
