"""Topics and patterns: levels joined by ``/``; ``+`` stands for one level, a last ``#`` for any number.

A literal level equals exactly, ``+`` takes exactly one level (an empty one too), ``#`` takes zero or more: so
``a/#`` matches ``a``, ``a/b`` and ``a/b/c``. Topics that begin with ``events/`` show typed events and are
reserved: a pattern whose first level is ``+`` or ``#`` does not cover them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["MAX_TOPIC", "PatternTree", "covers", "is_pattern", "is_topic", "matches"]

MAX_TOPIC = 2048
"""Characters of a topic or pattern: real ones are below 200, and each is kept once per subscription."""

_TOPIC = re.compile(r"(?!/)[A-Za-z0-9_/-]+(?<!/)", re.ASCII)
_LEVEL = re.compile(r"[A-Za-z0-9_-]*|\+", re.ASCII)
_RESERVED = "events"

Value = TypeVar("Value")


def is_topic(text: str) -> bool:
    """Tell whether a message can be published to this: no wildcards, no slash at either end."""
    return len(text) <= MAX_TOPIC and _TOPIC.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Tell whether this is a pattern: a topic's characters with at least one wildcard that fills its level.

    >>> [is_pattern(text) for text in ("a/+", "#", "a/#/b", "a+", "a")]
    [True, True, False, False, False]
    """
    if len(text) > MAX_TOPIC or not ("+" in text or "#" in text) or text.startswith("/"):
        return False
    *first, last = text.split("/")
    return all(_LEVEL.fullmatch(level) for level in first) and (
        last == "#" or _LEVEL.fullmatch(last) is not None
    )


def _shielded(pattern: list[str], other: str) -> bool:
    """Tell whether the wildcard at the begin must not reach the reserved topics."""
    return pattern[0] in ("+", "#") and other == _RESERVED


def matches(pattern: str, topic: str) -> bool:
    """Tell whether a pattern, or a topic, covers a topic.

    >>> matches("a/#", "a"), matches("a/+", "a"), matches("#", "events/PhoneStatus")
    (True, False, False)
    """
    if pattern == topic:
        return True
    wanted, found = pattern.split("/"), topic.split("/")
    if _shielded(wanted, found[0]):
        return False
    for number, level in enumerate(wanted):
        if level == "#":
            return True
        if number == len(found) or (level != "+" and level != found[number]):
            return False
    return len(wanted) == len(found)


def covers(wide: str, narrow: str) -> bool:
    """Tell whether every topic that ``narrow`` (a topic or pattern) matches is matched by ``wide``.

    This is what rights are tested with: a filter ``t/+`` must not let ``t/#`` through.

    >>> covers("t/#", "t/+"), covers("t/+", "t/#"), covers("+", "#"), covers("a/#", "a")
    (True, False, False, True)
    """
    if wide == narrow:
        return True
    outer, inner = wide.split("/"), narrow.split("/")
    if _shielded(outer, inner[0]):
        return False
    for number, level in enumerate(outer):
        if level == "#":
            return True
        if number == len(inner) or inner[number] == "#":
            return False
        if level != "+" and level != inner[number]:
            return False
    return len(outer) == len(inner)


class _Node(Generic[Value]):
    __slots__ = ("below", "here", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Node[Value]] = {}
        self.here: dict[Value, None] = {}
        self.rest: dict[Value, None] = {}

    @property
    def empty(self) -> bool:
        return not (self.below or self.here or self.rest)


class PatternTree(Generic[Value]):
    """Values filed under topics and patterns, found by topic.

    >>> tree = PatternTree()
    >>> tree.add("a/+", 1); tree.add("a/#", 2); tree.add("b", 3)
    >>> sorted(tree.find("a/x")), sorted(tree.find("a")), sorted(tree.find("b"))
    ([1, 2], [2], [3])
    """

    def __init__(self) -> None:
        self._root: _Node[Value] = _Node()

    def add(self, pattern: str, value: Value) -> None:
        """File a value; filing it again changes nothing."""
        node = self._root
        levels = pattern.split("/")
        many = levels[-1] == "#"
        for level in levels[:-1] if many else levels:
            found = node.below.get(level)
            if found is None:
                found = node.below[level] = _Node()
            node = found
        (node.rest if many else node.here)[value] = None

    def remove(self, pattern: str, value: Value) -> None:
        """Forget a value; one that is not there is passed over."""
        levels = pattern.split("/")
        many = levels[-1] == "#"
        way = [self._root]
        names = levels[:-1] if many else levels
        for level in names:
            found = way[-1].below.get(level)
            if found is None:
                return
            way.append(found)
        (way[-1].rest if many else way[-1].here).pop(value, None)
        for number in range(len(names), 0, -1):
            if not way[number].empty:
                return
            del way[number - 1].below[names[number - 1]]

    def find(self, topic: str) -> Iterator[Value]:
        """Yield the values whose topic or pattern matches this topic; the work is bounded by the patterns."""
        levels = topic.split("/")
        reserved = levels[0] == _RESERVED
        at: list[tuple[_Node[Value], int]] = [(self._root, 0)]
        while at:
            node, number = at.pop()
            shielded = reserved and number == 0
            if not shielded:
                yield from node.rest
            if number == len(levels):
                yield from node.here
                continue
            for level in (levels[number],) if shielded else (levels[number], "+"):
                found = node.below.get(level)
                if found is not None:
                    at.append((found, number + 1))
