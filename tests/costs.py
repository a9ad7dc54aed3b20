"""What an action costs, measured so that a busy machine does not decide a test."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

__all__ = ["cpu_seconds"]


def cpu_seconds(action: Callable[[], object], tries: int = 3) -> float:
    """Return the least CPU time of this thread, in seconds, over several runs of ``action``.

    The garbage collector is off meanwhile: after thousands of tests one collection walks millions of
    objects, which costs more than what is measured here and has nothing to do with it.
    """
    collecting = gc.isenabled()
    gc.disable()
    best = float("inf")
    try:
        for _ in range(tries):
            began = time.thread_time()
            action()
            best = min(best, time.thread_time() - began)
    finally:
        if collecting:
            gc.enable()
    return best
