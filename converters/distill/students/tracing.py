"""Whether a module is being turned into a graph."""

from __future__ import annotations

import torch


def is_tracing() -> bool:
    """Say whether torch records operators at the moment, so that lengths must stay what they are computed from."""
    return bool(torch._C._get_tracing_state())
