"""What the adapters of engines share: the import of a package that may be absent or broken, and options by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


def imported(name: str, member: str, install: str) -> Any:
    """Import an engine's package.

    Args:
        name: of the module, such as ``openvino``.
        member: that the module has where it is completely installed.
        install: the command that installs it.

    Returns:
        The module.

    Raises:
        MissingDependencyError: it is absent or broken; the message has the command.
    """
    try:
        module = import_module(name)
    # A damaged or mismatched build fails with more than ImportError, and one broken engine must not stop the others.
    except Exception as error:
        raise MissingDependencyError(f"{name} cannot be imported ({error}); {install}") from error
    # A package that was removed by hand leaves a folder without code, which can still be imported.
    if not hasattr(module, member):
        raise MissingDependencyError(f"{name} is not completely installed; {install}")
    return module


def named_options(
    engine: str, known: Mapping[str, Collection[str]], pairs: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Check settings that only one engine has.

    Args:
        engine: its name, for messages.
        known: the values that each option takes, by its name.
        pairs: names and values, as `SessionSettings.options` holds them.

    Returns:
        Values by name.

    Raises:
        InputError: a name or a value is unknown, or a name stands twice; the message names the known ones.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise InputError(f"{engine} has no option {name!r} here; known: {', '.join(sorted(known))}")
        if value not in known[name]:
            raise InputError(f"{engine}'s option {name} takes {', '.join(known[name])}, not {value!r}")
        if name in found:
            raise InputError(f"the option {name} is given twice; give it once")
        found[name] = value
    return found
