"""Find runtimes by entry point, so that third parties can add theirs."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from edgekit.errors import RuntimeUnavailableError

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import Runtime

GROUP = "edgekit.runtimes"


def names() -> tuple[str, ...]:
    """Return the names of all registered runtimes, installed engine or not."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def get(name: str) -> Runtime:
    """Return a runtime by name.

    Args:
        name: as registered in the entry-point group ``edgekit.runtimes``.

    Returns:
        The runtime; its engine may still be absent, see `Runtime.available`.

    Raises:
        RuntimeUnavailableError: no such runtime is registered, or the package that registers it is broken.
    """
    for entry in entry_points(group=GROUP, name=name):
        try:
            return cast("Runtime", entry.load()())
        # Whatever a third party's module raises must not take the other runtimes down.
        except Exception as error:
            raise RuntimeUnavailableError(
                f"the runtime {name!r} ({entry.value}) cannot be loaded: {error}; reinstall or remove its package"
            ) from error
    raise RuntimeUnavailableError(f"there is no runtime {name!r}; registered here: {', '.join(names()) or 'none'}")
