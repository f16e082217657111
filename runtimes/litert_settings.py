"""What LiteRT understands of a session's settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.runtimes.protocol import SessionSettings

FAMILY = "delegate:"
_OPTION = "delegate."
_SWITCH = {"on": True, "off": False}
_TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class LiteRtSettings:
    """Settings in the engine's terms.

    Attributes:
        threads: of one inference, at least 1.
        xnnpack: let XNNPACK compute what it can on the CPU.
        delegate: path or library name of an external delegate; empty for the CPU.
        options: handed to the delegate as they are.
    """

    threads: int
    xnnpack: bool
    delegate: str
    options: Mapping[str, str]


def resolve(device: str, settings: SessionSettings) -> LiteRtSettings:
    """Translate settings; `spinning` and `arena` have no counterpart in this engine and change nothing.

    Args:
        device: ``cpu`` or ``delegate:PATH``.
        settings: of the session; its options are ``xnnpack`` (``on``, the default, or ``off``) and, on a delegate,
            ``delegate.KEY`` for each of the delegate's own options.

    Returns:
        The settings.

    Raises:
        InputError: an option is unknown, given twice, or has a value that it cannot have.
    """
    delegate = device.removeprefix(FAMILY) if device.startswith(FAMILY) else ""
    xnnpack, options = True, {}
    seen = set()
    for name, value in settings.options:
        if name in seen:
            raise InputError(f"LiteRT's option {name!r} is given twice; give it once")
        seen.add(name)
        if name == "xnnpack" and value in _SWITCH:
            xnnpack = _SWITCH[value]
        elif name == "xnnpack":
            raise InputError(f"LiteRT's option xnnpack is {value!r}; it may be on or off")
        elif delegate and name.startswith(_OPTION) and name != _OPTION:
            options[name.removeprefix(_OPTION)] = value
        elif name.startswith(_OPTION):
            raise InputError(f"LiteRT's option {name!r} needs a KEY and a device {FAMILY}PATH, not {device!r}")
        else:
            raise InputError(
                f"LiteRT has no option {name!r}, only xnnpack=on|off and, on a delegate, delegate.KEY=VALUE"
            )
    return LiteRtSettings(settings.threads or physical_cores(), xnnpack, delegate, options)


def physical_cores() -> int:
    """Return the number of physical cores that this process may use, at least 1."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    # Hyper-threads of one core share its arithmetic units: a second thread there waits for the first.
    return len({_siblings(cpu) for cpu in allowed}) or 1


def _siblings(cpu: int) -> str:
    try:
        return (_TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
    except OSError:
        return str(cpu)
