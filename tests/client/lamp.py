"""A module with a command, as settings name them."""

from __future__ import annotations

from clacks.common.command import Command


@Command
def dim(percent: int) -> str:
    """Dim the lamp."""
    return f"{percent} %"
