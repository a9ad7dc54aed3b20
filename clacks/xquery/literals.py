"""Many texts searched for at once: which of them occur in another one.

RE2 makes one automaton of all of them (package google-re2, `Set`). Each byte of what is searched costs one
step of a table, however many texts there are; new states of the table cost more and are remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

__all__ = ["LiteralSet"]

_MEMORY = 64 * 1024 * 1024
"""Bytes that one automaton may use; ten thousand texts of ten characters take five million at most."""


class LiteralSet:
    """Searches for fixed texts. They cannot change: making it costs some 0.5 us a character.

    Args:
        texts: None of them empty.

    Raises:
        ValueError: If there are too many for one automaton; 192 KiB never are.
    """

    __slots__ = ("_automaton", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        options = re2.Options()
        options.literal = True
        options.max_mem = _MEMORY
        options.log_errors = False
        self._automaton = re2.Set.SearchSet(options)
        try:
            for text in self.texts:
                self._automaton.Add(_encoded(text))
            self._automaton.Compile()
        except re2.error as error:
            raise ValueError(str(error)) from None
        # An automaton whose memory suffices for itself but not for a search finds nothing, silently. That
        # depends on the automaton alone, not on what is searched: so one search tells.
        if self.texts and self.texts[0] not in self.find(self.texts[0]):
            raise ValueError("too little memory to search")

    def find(self, text: str) -> list[str]:
        """Return those that occur in ``text``, in any order."""
        numbers = self._automaton.Match(_encoded(text))
        texts = self.texts
        return [texts[number] for number in numbers] if numbers else []


def _encoded(text: str) -> bytes:
    # A surrogate is in no XML, but may be in a property of a message or in a query.
    return text.encode("utf-8", "surrogatepass")
