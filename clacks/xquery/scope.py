"""Which variable a name means: local variables become slots of a frame, what is not local is global.

A function body has one frame, a list; every binding in it has a slot of its own, so bindings never overwrite
each other's values except in their own loop. A function item copies what it captures into its own frame when
it is called, so that closures keep the values of the moment they were made.
"""

from __future__ import annotations

__all__ = ["Scope"]


class Scope:
    """The variables of one function body (or of the query body, or of a variable's initializer).

    Attributes:
        outer: The scope of the function around an inline function, or None.
        size: Number of slots of a frame.
        captures: Pairs (slot in the outer frame, slot here).
        singles: Slots whose value is always one item: what loops bind.
    """

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.size = 0
        self.captures: list[tuple[int, int]] = []
        self.captured: dict[str, int] = {}
        self.names: list[tuple[str, int]] = []
        self.singles: set[int] = set()

    def declare(self, name: str, single: bool = False) -> int:
        """Bring a variable into scope and return its slot; ``single`` if it is always one item."""
        slot = self.slot()
        self.names.append((name, slot))
        if single:
            self.singles.add(slot)
        return slot

    def slot(self) -> int:
        """Return a fresh slot."""
        self.size += 1
        return self.size - 1

    def mark(self) -> int:
        """Return a mark for ``release``."""
        return len(self.names)

    def release(self, mark: int) -> None:
        """Take the variables declared since ``mark`` out of scope."""
        del self.names[mark:]

    def find(self, name: str) -> int | None:
        """Return the slot of a variable, capturing it from outer functions; None if it is not local."""
        for known, slot in reversed(self.names):
            if known == name:
                return slot
        if name in self.captured:
            return self.captured[name]
        if self.outer is None:
            return None
        there = self.outer.find(name)
        if there is None:
            return None
        here = self.slot()
        self.captures.append((there, here))
        self.captured[name] = here
        if there in self.outer.singles:
            self.singles.add(here)
        return here
