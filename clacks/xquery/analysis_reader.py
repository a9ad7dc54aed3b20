"""The reader of queries as conditions: what all forms of expressions share when they are read.

The tokens of this package are read by a table from their symbol to a function (`Form`); the tables are in
`analysis_values`, `analysis_paths`, `analysis_operators`, `analysis_calls` and `analysis_flwor`. A new kind
of expression that has no entry is opaque, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from clacks.common.limits import DEFAULT_LIMITS
from clacks.xquery.atoms import is_simple_type
from clacks.xquery.condition_types import gives_nodes, mentions_focus, mentions_position, rebased
from clacks.xquery.conditions import Call, Condition, Literal, Opaque, Path, Sequence, parts
from clacks.xquery.library import PREFIXES
from clacks.xquery.nodes import split_name
from clacks.xquery.sequence_types import ANY as ANY_TYPE
from clacks.xquery.sequence_types import KindTest, SequenceType

__all__ = [
    "ABSENT",
    "CONTEXT",
    "DOCUMENT",
    "EMPTY",
    "MOST_PARTS",
    "Bound",
    "Form",
    "Here",
    "NotUnderstood",
    "Reader",
    "TooLarge",
    "of_type",
    "usual_name",
]

EMPTY: Final = Sequence(())
DOCUMENT: Final = "/"
CONTEXT: Final = "."
ABSENT: Final = ""
"""Where expressions stand that have no context item: the bodies of functions."""
MOST_PARTS: Final = DEFAULT_LIMITS.condition_parts
_PREFIX: Final = {PREFIXES["fn"]: "", **{PREFIXES[name]: f"{name}:" for name in ("xs", "map", "array")}}
_KINDS: Final = {None: "node", "element": "element", "attribute": "attribute", "text": "text"}

Here = str
Bound = dict[int, Condition]


class NotUnderstood(Exception):
    """Carries the reason to the nearest place that can be opaque."""


class TooLarge(Exception):
    """The query has more parts than are read."""


class Reader:
    """Reads one query.

    Args:
        forms: How tokens are read, by their symbol.

    Attributes:
        nodes: What is a node whenever it is read: the context item of a predicate, variables over nodes.
        reading: The declarations inside of which it reads.
    """

    def __init__(self, forms: Mapping[str, Form]) -> None:
        self.nodes: set[str] = {DOCUMENT, CONTEXT}
        self.reading: set[int] = set()
        self._forms = forms
        self._variables = 0
        self._left = MOST_PARTS

    def read(self, token: Any, here: Here, bound: Bound) -> Condition:
        """Return the condition of a token, `Opaque` if it is not understood."""
        self.charge(1)
        read = self._forms.get(token.symbol)
        if read is None:
            return Opaque(f"{token.label} {token.symbol}" if token.symbol.isalpha() else token.symbol)
        try:
            return read(self, token, here, bound)
        except NotUnderstood as reason:
            return Opaque(str(reason))

    def charge(self, size: int) -> None:
        """Count parts that are read.

        Raises:
            TooLarge: If they are too many.
        """
        self._left -= size
        if self._left < 0:
            raise TooLarge

    def used(self, value: Condition) -> Condition:
        """Return a value that is put in the place of a variable once more."""
        self.charge(1)
        for part in parts(value):
            self.used(part)
        return value

    def parts(self, token: Any, here: Here, bound: Bound) -> list[Condition]:
        """Return the conditions of all operands."""
        return [self.read(item, here, bound) for item in token]

    def operands(self, token: Any, symbol: str, here: Here, bound: Bound) -> tuple[Condition, ...]:
        """Return the operands of a chain of the same operator, from left to right."""
        found: list[Condition] = []
        waiting = [token]
        while waiting:
            item = waiting.pop()
            while item.symbol == "(" and len(item) == 1 and item[0].symbol == symbol:
                item = item[0]
            if item.symbol == symbol:
                waiting.extend(reversed(list(item)))
            else:
                found.append(self.read(item, here, bound))
        return tuple(found)

    def fresh(self, stem: str) -> str:
        """Return a variable that nobody has."""
        self._variables += 1
        return f"{stem}#{self._variables}"

    def over(self, stem: str, source: Condition) -> Path:
        """Return the variable that stands for each item of ``source``."""
        name = self.fresh(stem)
        if gives_nodes(source, self.nodes):
            self.nodes.add(name)
        return Path(name, ())

    def unfocused(self, value: Condition, focus: str | None) -> tuple[Condition, str | None]:
        """Return the value with a variable for the context item, so that it means the same in any place."""
        if mentions_position(value):
            raise NotUnderstood("a variable that depends on a position")
        if not mentions_focus(value):
            return value, focus
        if focus is None:
            focus = self.fresh("let")
            if CONTEXT in self.nodes:
                self.nodes.add(focus)
        return rebased(value, focus), focus


Form = Callable[[Reader, Any, Here, Bound], Condition]
"""How a token is read: the reader, the token, where it stands, the variables around it."""


def of_type(name: str, value: Condition, wanted: SequenceType) -> Condition:
    """Return a `Call` that checks, tests or converts a value to a sequence type."""
    if wanted == ANY_TYPE:
        return value if name != "instance" else Call(name, (value, Literal.of("item()*")))
    item = wanted.item
    plain = isinstance(item, KindTest) and item.kind in _KINDS and item == KindTest(item.kind)
    if not plain and not is_simple_type(wanted):
        raise NotUnderstood(f"the type {wanted}")
    return Call(name, (value, Literal.of(str(wanted))))


def usual_name(token: Any) -> str:
    """Return the usual name of a called function: ``contains``, ``xs:double``; others with their URI."""
    uri, local = split_name(token.name)
    prefix = _PREFIX.get(uri)
    return str(token.name) if prefix is None else f"{prefix}{local}"
