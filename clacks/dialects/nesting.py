"""How deep JSON from outside is nested: what reads it later goes down into it, level by level."""

from __future__ import annotations

from typing import Any

__all__ = ["too_deep"]


def too_deep(value: Any, most: int) -> bool:
    """Tell whether arrays and objects lie in each other more than ``most`` levels deep; without recursion.

    >>> too_deep([[1]], 2), too_deep([[[1]]], 2), too_deep("text", 0)
    (False, True, False)
    """
    level = [value]
    for _ in range(most):
        level = [inner for outer in level for inner in _parts(outer)]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def _parts(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
