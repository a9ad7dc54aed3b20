"""Programs that sleep for so many seconds that nobody else does: so a test finds what it has left behind."""

from __future__ import annotations

import os

import psutil

__all__ = ["SLEEP", "sleepers"]

SLEEP = str(800_000 + os.getpid())
"""Seconds, as an argument of ``sleep``: this process's own."""


def sleepers() -> list[int]:
    """Return the processes that sleep so long."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if (one.info["cmdline"] or [])[1:] == [SLEEP]]
