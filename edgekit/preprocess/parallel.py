"""Photos decoded at once: decoding releases the interpreter lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_parallel(work: Callable[[int], None], count: int, threads: int | None = None) -> None:
    """Do a piece of work for each number; one piece, or one thread, is done by the calling thread.

    Args:
        work: called once with each of 0..count-1, from several threads.
        count: pieces, 0 or more.
        threads: pieces done at once, at least 1; None takes one for each core this process may use.

    Raises:
        BaseException: what the first piece, in the order of numbers, that failed has raised; pieces that had not begun
            by then are left out.
    """
    workers = min(threads or _cores(), count)
    if workers <= 1:
        for index in range(count):
            work(index)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="edgekit-preprocess") as pool:
        futures = [pool.submit(work, index) for index in range(count)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cores() -> int:
    """Count the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
