"""What a terminal shows while a student is made: the stage, how far it is, how fast, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.cli.progress import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLEAR = "\x1b[K"


class Display(Stages):
    """Stages with a line that changes; silent where the stream is no terminal."""

    def progress(self, facts: Mapping[str, Any]) -> None:
        """Show facts of the running stage in its line."""
        self._write(f"\r{self._current}  {line(facts)}{_CLEAR}")

    def _finish(self) -> None:
        if self._current:
            self._write(f"\r{_CLEAR}")
        super()._finish()


def line(facts: Mapping[str, Any]) -> str:
    """Return facts as a short text; those that are absent are left out.

    Args:
        facts: any of ``done`` and ``total``, ``loss``, ``per_second``, ``left`` (seconds) and ``score`` (in 0..1).

    Returns:
        Such as ``120/2000  loss 0.4321  score 45.2 %  512/s  1:20 left``.
    """
    parts = []
    if facts.get("total"):
        parts.append(f"{facts.get('done', 0)}/{facts['total']}")
    elif facts.get("done"):
        parts.append(f"{facts['done']}")
    for name, template in (("loss", "loss {:.4f}"), ("score", "score {:.1%}"), ("per_second", "{:.0f}/s")):
        if facts.get(name) is not None:
            parts.append(template.format(facts[name]))
    if facts.get("left") is not None:
        parts.append(f"{clock(facts['left'])} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return a time as ``1:02:03`` or ``2:03``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
