"""What an app pays before it can load anything: importing edgekit and the engine, timed apart from the benchmark."""

from __future__ import annotations

import time


def import_engine(runtime: str) -> float:
    """Import what `edgekit.load` and the first photo and text need.

    Call it before anything else of edgekit was imported, for what is there already costs nothing more.

    Args:
        runtime: name.

    Returns:
        Milliseconds.
    """
    start = time.perf_counter()
    from edgekit import loading as _loading  # noqa: F401
    from edgekit import preprocess as _preprocess  # noqa: F401
    from edgekit import text as _text  # noqa: F401
    from edgekit.runtimes import registry

    registry.get(runtime).available()
    return 1000 * (time.perf_counter() - start)
