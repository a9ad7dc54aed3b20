"""What the index keeps of one query."""

from __future__ import annotations

from collections.abc import Hashable

from clacks.filters.facts import Access
from clacks.xquery import Query
from clacks.xquery.conditions import Condition

__all__ = ["Entry"]


class Entry:
    """One distinct query in the index and the keys that asked for it.

    Attributes:
        identity: What equal queries have in common.
        serial: A number that grows from entry to entry; sorted tables find an entry among equals by it.
        keys: The keys: a tuple if it is one, a dictionary if there are more, so that the hundred-thousandth
            key of one query costs what the first did.
        text: The text of the query.
        access: How it is found and whether that decides.
        decides: Whether the facts decide, on regular events.
        single: What decides needs nodes that have different ancestors so many levels up (`Fact.single`).
        condition: What is evaluated when the facts do not decide; None if they do.
        query: The compiled query, if the engine is needed every time; else None.
        errors: Events on which it failed.
    """

    __slots__ = (
        "access",
        "condition",
        "decides",
        "errors",
        "identity",
        "keys",
        "query",
        "serial",
        "single",
        "text",
    )

    def __init__(
        self,
        identity: Hashable,
        serial: int,
        text: str,
        access: Access,
        condition: Condition | None,
        query: Query | None,
    ) -> None:
        self.identity = identity
        self.serial = serial
        self.keys: tuple[Hashable, ...] | dict[Hashable, None] = ()
        self.text = text
        self.access = access
        self.decides = access.decides
        self.condition = condition
        self.query = query
        self.errors = 0
        self.single = max((fact.single for fact in access.facts or ()), default=0)

    def join(self, key: Hashable) -> None:
        """Let one more key stand for this query."""
        if isinstance(self.keys, dict):
            self.keys[key] = None
        elif self.keys:
            self.keys = dict.fromkeys((*self.keys, key))
        else:
            self.keys = (key,)

    def leave(self, key: Hashable) -> bool:
        """Let a key go; tell whether it was the last."""
        if isinstance(self.keys, dict):
            del self.keys[key]
            if len(self.keys) == 1:
                self.keys = tuple(self.keys)
            return False
        self.keys = ()
        return True
