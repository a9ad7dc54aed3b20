"""The values of all elements of some names, wherever they are: what none of them is, no path finds.

The nodes of a path are some of the elements of its last name. So one pass over a large event tells of many
paths that nothing they ask for is there; only the others are asked for their own nodes.
"""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property
from typing import Final, Protocol

from clacks.filters.parts import SEPARATOR, PartSearch
from clacks.filters.values import to_doubles

__all__ = ["EDGE", "HEAD", "Glance"]

HEAD: Final = 4
"""Characters by which long texts are told apart first; few values share them with a text."""
EDGE: Final = 6
"""Characters of a beginning or an end that are searched for with the parts of texts: so many that they tell
more than the hash tables of `HEAD`, so few that a thousand texts that begin alike are one."""


class Asked(Protocol):
    """What any filter asks for: `clacks.filters.postings.Asked`."""

    @property
    def equal(self) -> dict[str, int]: ...
    @property
    def parts(self) -> PartSearch: ...


class Glance:
    """Values, and what they have in common with what any filter asks for.

    Args:
        texts: The values.
        asked: What filters ask for.
    """

    def __init__(self, texts: set[str], asked: Asked) -> None:
        self.texts = texts
        self._asked = asked

    @cached_property
    def equal(self) -> Set[str]:
        """Values that are asked for as they are."""
        return self._asked.equal.keys() & self.texts

    @cached_property
    def parts(self) -> set[str]:
        """Parts of values that are asked for; those at an end have a separator before or behind them."""
        return self._asked.parts.find(f"{SEPARATOR}{SEPARATOR.join(self.texts)}{SEPARATOR}")

    @cached_property
    def heads(self) -> Set[str]:
        """The first characters of texts that are asked for and with which values may begin."""
        return {part[1 : HEAD + 1] for part in self.parts if part[0] == SEPARATOR}

    @cached_property
    def tails(self) -> Set[str]:
        """The last characters of texts that are asked for and with which values may end."""
        return {part[-HEAD - 1 : -1] for part in self.parts if part[-1] == SEPARATOR}

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The values that are numbers, from the least to the greatest."""
        return tuple(sorted(to_doubles(self.texts)[0]))
