"""Texts that occur somewhere inside of values: the search behind ``contains``.

All texts that filters look for anywhere in an event are searched for at once (`PartSearch`), once for an
event: what is inside of any element is inside of the text of the whole document. Only for a text that is
there the values are looked at.

The automaton that does it (`LiteralSet`) cannot change. So new texts wait and are searched one by one, until
there are too many; then they become an automaton of their own, together with those that are not much larger:
a text is compiled a few times in its life, and few automata are there at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from clacks.xquery.literals import LiteralSet

__all__ = ["SEPARATOR", "PartSearch"]

SEPARATOR: Final = "\0"
"""Stands between values that are searched as one: no XML text and so no query holds it."""

_MOST_WAITING: Final = 32
"""One by one they cost about what one automaton does."""
_GROWTH: Final = 4
"""Automata up to so many times as large as what is new are compiled again with it."""
_MOST_TEXTS: Final = 16_384
_MOST_BYTES: Final = 192 * 1024
"""Of one automaton; it takes a tenth of a second to compile, and memory that is given for certain."""


class PartSearch:
    """Texts, and which of them occur in another text. They may come and go."""

    __slots__ = ("_compiled", "_counts", "_gone", "_waiting")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._waiting: dict[str, None] = {}
        self._compiled: list[LiteralSet] = []  # the largest first
        self._gone = 0  # removed since they were compiled

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, text: str) -> None:
        """Search for ``text`` from now on, until it is removed as often as it was added."""
        count = self._counts.get(text, 0)
        self._counts[text] = count + 1
        if not count:
            self._waiting[text] = None

    def remove(self, text: str) -> None:
        """Undo one `add`."""
        self._counts[text] -= 1
        if not self._counts[text]:
            del self._counts[text]
            if text in self._waiting:
                del self._waiting[text]
            else:
                self._gone += 1

    def find(self, value: str) -> set[str]:
        """Return the texts that occur in ``value``; one that was removed may be among them."""
        if len(self._waiting) > _MOST_WAITING or self._gone > len(self._counts) + _MOST_WAITING:
            self._compile()
        found = {text for text in self._waiting if text in value}
        for compiled in self._compiled:
            found.update(compiled.find(value))
        return found

    def _compile(self) -> None:
        texts = dict(self._waiting)
        compiled = self._compiled
        stale = self._gone > len(self._counts)
        while compiled and (stale or self._belongs(compiled[-1], len(texts))):
            texts.update(dict.fromkeys(filter(self._counts.__contains__, compiled.pop().texts)))
        if stale:
            self._gone = 0
        self._waiting.clear()
        for some in _portions(texts):
            try:
                compiled.append(LiteralSet(some))
            except ValueError:
                self._waiting.update(dict.fromkeys(some))  # one enormous text: it waits for ever
        compiled.sort(key=lambda each: -len(each.texts))

    @staticmethod
    def _belongs(compiled: LiteralSet, count: int) -> bool:
        """Tell whether an automaton is compiled again with so many new texts."""
        texts = compiled.texts
        return (
            len(texts) <= _GROWTH * count
            and len(texts) <= _MOST_TEXTS // 2
            and sum(map(_size, texts)) <= _MOST_BYTES // 2
        )


def _size(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


def _portions(texts: Iterable[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    size = 0
    for text in texts:
        if portion and (len(portion) == _MOST_TEXTS or size + _size(text) > _MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(text)
        size += _size(text)
    if portion:
        yield portion
