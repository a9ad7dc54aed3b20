"""From a query to a JMS selector: what it says of the message's properties, in words that others know.

A broker without XQuery applies the selector before it sends; what arrives is judged by the whole query. So
the selector says only what is necessary: whatever it refuses, the query refuses too. What it lets through
too much costs only the way.

Both languages have a third answer beside true and false. A property that is missing, or no text, is an error
in the query and "unknown" in the selector; neither is a match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from clacks.xquery import Query
from clacks.xquery.analysis import read_condition
from clacks.xquery.conditions import (
    And,
    Call,
    Compare,
    Condition,
    For,
    If,
    Literal,
    Or,
    Path,
    Property,
    Quantified,
    Sequence,
    parts,
)

__all__ = ["MOST_CHARACTERS", "necessary_selector"]

MOST_CHARACTERS: Final = 4000
"""Selectors longer than this are not sent: a query may hold thousands of constants, and brokers have limits
of their own for what an attach may hold."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words of the language, those that ActiveMQ adds, and prefixes that do not mean application properties.
_RESERVED: Final = re.compile(
    r"(null|true|false|not|and|or|between|like|in|is|escape|xpath|xquery|convert_string_expressions)|(jms|amq).*",
    re.IGNORECASE,
)
# Brokers read the attach in different encodings; control characters have no notation in a selector.
_SAFE: Final = re.compile(r"[\x20-\x7e]*")
_LIKE: Final = {"starts-with": "{}%", "ends-with": "%{}", "contains": "%{}%"}


def necessary_selector(query: Query) -> str | None:
    """Return a selector that is true of every message whose event the query can match, or None.

    It speaks of application properties that are texts.

    >>> from clacks.xquery import compile_query
    >>> necessary_selector(compile_query("declare variable $room external; $room = ('a', 'b') and //x"))
    "(room = 'a' OR room = 'b')"
    """
    found = _necessary(read_condition(query))
    return found if found is not None and len(found) <= MOST_CHARACTERS else None


def _necessary(condition: Condition) -> str | None:
    """Return what must hold if the effective boolean value is true, None if nothing is known."""
    match condition:
        case And(each):
            return _all([_necessary(part) for part in each])
        case Or(each):
            return _any([_necessary(part) for part in each])
        case Compare() | Call(name="contains" | "starts-with" | "ends-with"):
            return _exact(condition)
        case Call(name="not", arguments=(inner,)):
            exact = _exact(inner)
            if exact is None:
                return None
            # A property that is there and null is an empty sequence to the query: equal to nothing, so that
            # "not" makes true of it what stays unknown here.
            return _any([f"NOT ({exact})", *(f"{name} IS NULL" for name in _names(inner))])
        case Call(name="boolean" | "ordered", arguments=(inner,)):
            return _necessary(inner)
        case Call(name="exists", arguments=(Path() as inner,)):
            return _necessary(inner)
        case If(test, then_part, Sequence(()) | Literal(False)):
            return _all([_necessary(test), _necessary(then_part)])
        case Quantified(False, _, source, body) | For(_, source, body):
            return _all([_necessary(source) if isinstance(source, Path) else None, _necessary(body)])
        case Path(_, steps):
            # Each predicate holds for some node, and what it says of the message holds for all or none.
            predicates = [part for step in steps for part in step.predicates]
            return _all([_necessary(part) for part in predicates if not isinstance(part, int)])
    return None


def _exact(condition: Condition) -> str | None:
    """Return a selector with the value of a condition where both have one; None if there is no such one."""
    match condition:
        case And(each) | Or(each):
            found = [_exact(part) for part in each]
            if None in found:
                return None
            return _all(found) if isinstance(condition, And) else _any(found)
        case Compare(sign, Property() as left, right):
            return _comparison(sign, left, right)
        case Compare(sign, left, Property() as right):
            return _comparison(sign, right, left)
        case Call(name="contains" | "starts-with" | "ends-with", arguments=(Property() as left, right)):
            name, texts = _name(left), _texts(right)
            if name is None or texts is None or len(texts) != 1 or not texts[0]:
                return None
            pattern = re.sub(r"([%_!])", r"!\1", texts[0])
            return f"{name} LIKE {_quoted(_LIKE[condition.name].format(pattern))} ESCAPE '!'"
    return None


def _comparison(sign: str, left: Property, right: Condition) -> str | None:
    name, texts = _name(left), _texts(right)
    if name is None or not texts or sign not in ("=", "eq", "!=", "ne") or (len(texts) > 1 and len(sign) > 1):
        return None  # "!=" with several texts is true of nearly everything
    if sign in ("=", "eq"):
        return _any([f"{name} = {_quoted(text)}" for text in texts])
    return f"{name} <> {_quoted(texts[0])}"


def _name(property_: Property) -> str | None:
    name = property_.name
    if property_.default is not None or not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        return None
    return name


def _names(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Property):
        yield condition.name
    for part in parts(condition):
        yield from _names(part)


def _texts(condition: Condition) -> list[str] | None:
    if isinstance(condition, Sequence):
        found = []
        for part in condition.parts:
            inner = _texts(part)
            if inner is None:
                return None
            found.extend(inner)
        return found
    if (
        isinstance(condition, Literal)
        and isinstance(condition.value, str)
        and _SAFE.fullmatch(condition.value)
    ):
        return [condition.value]
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _all(each: list[str | None]) -> str | None:
    known = list(dict.fromkeys(part for part in each if part is not None))
    return _joined(" AND ", known) if known else None


def _any(each: list[str | None]) -> str | None:
    known = [part for part in each if part is not None]
    return _joined(" OR ", list(dict.fromkeys(known))) if known and len(known) == len(each) else None


def _joined(word: str, each: list[str]) -> str:
    return each[0] if len(each) == 1 else f"({word.join(each)})"
