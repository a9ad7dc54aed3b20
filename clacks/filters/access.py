"""From a condition to the few facts by which an index finds it.

`access` gives, for a condition, a set of `Fact` of which at least one holds on every event for which the
condition is true (Le Subscribe calls them access predicates): the index stores the filter under each and
looks at it only when one of them holds. Facts speak of absolute paths, so they are tested for all filters at
once. ``decides`` says that the facts decide alone: then nothing of the filter needs to be kept.

The direction that must never fail: condition true => some fact holds. So facts are read only from what is
necessary (`facts` says how they combine); a negation gives none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from clacks.common.errors import QueryError
from clacks.filters.absence import needed_paths
from clacks.filters.facts import (
    MOST_FACTS,
    NEVER,
    UNKNOWN,
    WHOLE,
    AbsolutePath,
    Access,
    Fact,
    all_of,
    any_of,
    follows,
    with_others,
    worth,
)
from clacks.filters.places import Places, Where, place_of
from clacks.xquery.budget import Meter
from clacks.xquery.conditions import (
    And,
    Call,
    Compare,
    Condition,
    Filter,
    For,
    If,
    Literal,
    Or,
    Path,
    Property,
    Quantified,
    Sequence,
)
from clacks.xquery.regex import compile_pattern

__all__ = ["access"]

_TURNED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_VALUE_SIGNS: Final = {"eq": "=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TURNED_VALUE: Final = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def access(condition: Condition) -> Access:
    """Return the facts by which an index finds ``condition``, taken as the whole query."""
    found = _truth(condition, None, {})
    if found.facts is not None and len(found.facts) > MOST_FACTS:
        return UNKNOWN
    return found


def _truth(condition: Condition, here: Where, places: Places) -> Access:
    """Return the facts for the effective boolean value of a condition."""
    found = _truth_by_form(condition, here, places)
    if found.facts is None and isinstance(condition, Compare | Call | For | Quantified | If):
        return _by_absence(condition, here, places)
    return found


def _by_absence(condition: Condition, here: Where, places: Places) -> Access:
    """Return facts of a condition that is false wherever none of its paths finds anything."""
    paths = needed_paths(condition)
    if paths is None:
        return UNKNOWN
    return Access(any_of([_path(path, here, places) for path in paths]).facts)


def _truth_by_form(condition: Condition, here: Where, places: Places) -> Access:
    if isinstance(condition, Literal):
        value = condition.value
        return UNKNOWN if value and value == value else NEVER
    if isinstance(condition, And):
        return all_of([_truth(part, here, places) for part in condition.parts])
    if isinstance(condition, Or):
        return any_of([_truth(part, here, places) for part in condition.parts])
    if isinstance(condition, Path):
        return _path(condition, here, places)
    if isinstance(condition, Compare):
        return _compare(condition, here, places)
    if isinstance(condition, Call):
        return _call(condition, here, places)
    if isinstance(condition, If):
        return _if(condition, here, places)
    if isinstance(condition, Quantified):
        return UNKNOWN if condition.universal else _bound(condition, condition.condition, here, places)
    if isinstance(condition, For):
        return _bound(condition, condition.body, here, places)
    if isinstance(condition, Sequence):
        if not condition.parts:
            return NEVER
        found = any_of([_truth_or_exists(part, here, places) for part in condition.parts])
        return Access(found.facts, decides=found.decides and len(condition.parts) == 1)
    return UNKNOWN


def _truth_or_exists(condition: Condition, here: Where, places: Places) -> Access:
    # In a sequence of several parts a false boolean is an item like any other: only nodes help.
    return _path(condition, here, places) if isinstance(condition, Path) else UNKNOWN


def _if(condition: If, here: Where, places: Places) -> Access:
    test = _truth(condition.test, here, places)
    then = _truth(condition.then_part, here, places)
    other = _truth(condition.else_part, here, places)
    if other.facts == frozenset():
        if condition.then_part in _ALWAYS:
            return test
        return all_of([test, then])
    return any_of([Access(all_of([test, then]).facts), Access(other.facts)])


_ALWAYS: Final = (Literal.of(True), Call("true", ()))


def _bound(condition: Quantified | For, body: Condition, here: Where, places: Places) -> Access:
    place = place_of(condition.source, here, places)
    source = _found(condition.source, here, places)
    inner = _truth(body, here, {**places, condition.variable: place})
    best = all_of([inner, source])
    # One variable of several nodes is like a step: it is enough that one of them fulfils the body. Of several
    # results that are no nodes the effective boolean value is an error, which no fact sees.
    nodes = isinstance(condition, Quantified) or _finds_nodes(body)
    return Access(best.facts, decides=best.decides and nodes)


def _found(condition: Condition, here: Where, places: Places) -> Access:
    """Return the facts for "this gives at least one item"; it decides only for paths."""
    if isinstance(condition, Path):
        return _path(condition, here, places)
    if isinstance(condition, Filter):
        return Access(_found(condition.source, here, places).facts)
    if isinstance(condition, Call):
        if condition.name == "union":
            return Access(any_of([_found(part, here, places) for part in condition.arguments]).facts)
        if condition.name in _NONE_OF_NONE:
            return Access(_found(condition.arguments[0], here, places).facts)
    if isinstance(condition, For):
        return Access(_found(condition.source, here, places).facts)
    return UNKNOWN


_NONE_OF_NONE: Final = frozenset(
    [
        *("ordered", "head", "tail", "reverse", "subsequence", "exactly-one", "one-or-more", "zero-or-one"),
        *("except", "intersect", "treat", "data", "sort", "distinct-values", "parse-json", "?", "?*"),
        *("avg", "max", "min"),
    ]
)


def _finds_nodes(body: Condition) -> bool:
    if isinstance(body, If):
        return _finds_nodes(body.then_part) and body.else_part == Sequence(())
    return isinstance(body, Path)


def _path(path: Path, here: Where, places: Places) -> Access:
    """Return the facts for "this path finds a node"."""
    whole = place_of(path, here, places)
    if whole is None:
        return _beginning(path, here, places)
    choices = []
    lone: Access | None = None
    for number, step in enumerate(path.steps):
        for predicate in step.predicates:
            if isinstance(predicate, int):
                lone = UNKNOWN
                continue
            at = place_of(Path(path.origin, path.steps[: number + 1]), here, places)
            found = _truth(predicate, at, places)
            # [p] on the last step, alone: the path finds a node exactly if p holds somewhere.
            lone = found if lone is None and number == len(path.steps) - 1 else UNKNOWN
            choices.append(found)
    if whole:
        present = Access(frozenset((Fact(whole, "present"),)), decides=not choices and lone is None)
    else:
        present = UNKNOWN  # the document node is always there
    if not choices:
        return present
    best = min((*choices, present), key=worth)
    decides = lone is not None and best is lone and lone.decides
    decides = decides and follows(Access(present.facts, decides=True), best)
    return with_others(Access(best.facts, decides), (*choices, present))


def _beginning(path: Path, here: Where, places: Places) -> Access:
    """Return the facts for the first steps of a path that goes on where none can follow: upwards, aside."""
    for number in range(len(path.steps) - 1, 0, -1):
        first = Path(path.origin, path.steps[:number])
        if place_of(first, here, places):
            return Access(_path(first, here, places).facts)
    return UNKNOWN


def _compare(condition: Compare, here: Where, places: Places) -> Access:
    sign, left, right = condition.operator, condition.left, condition.right
    if isinstance(left, Literal | Sequence):
        left, right = right, left
        sign = _TURNED.get(sign) or _TURNED_VALUE[sign]
    constants = _constants(right)
    if constants is None:
        return _mere_presence([left, right], here, places)
    single = sign in _TURNED_VALUE
    if single and len(constants) > 1:
        return _mere_presence([left], here, places)  # an error, or nothing where the left side is empty
    sign = _VALUE_SIGNS.get(sign, sign)
    if isinstance(left, Call) and left.name == "treat" and left.arguments[1] in _STRING_TYPES:
        left = left.arguments[0]
    if isinstance(left, Property):
        return _property(left, sign, constants)
    count = _count_compare(left, sign, constants, here, places)
    if count is not None:
        return count
    cast = number = False
    if isinstance(left, Call) and left.name in ("number", "xs:double", "string", "data", "xs:string"):
        cast = left.name in ("number", "xs:double")
        number = left.name == "number"
        texts = left.name in ("string", "xs:string")
        single = single or left.name != "data"
        left = left.arguments[0]
    else:
        texts = False
    if isinstance(left, Call) and left.name == "union" and not single:
        found = any_of([_compare(Compare(sign, part, right), here, places) for part in left.arguments])
        return Access(found.facts)
    if not isinstance(left, Path):
        return _mere_presence([left], here, places)
    place = place_of(left, here, places)
    if not place:
        return UNKNOWN
    one = _context_of(left) if single else 0
    if not constants:
        return Access(frozenset())  # never true, but it may fail, so in an "or" it does not decide
    presence = _path(left, here, places)
    facts = []
    for constant in constants:
        fact = _comparison(place, sign, constant, single, one, cast, texts)
        if fact is None:
            # string(()) is "", number(()) is NaN: they compare even if the node is missing.
            return UNKNOWN if texts or number else Access(presence.facts)
        facts.append(fact)
    bare = not any(step.predicates for step in left.steps)
    mixed = len({type(fact.value) for fact in facts}) > 1
    numbers = any(isinstance(fact.value, float) for fact in facts)
    decides = bare and not mixed and not (numbers and len(facts) > 1)
    found = Access(frozenset(facts), decides)
    if bare:
        return found
    best = min((found, presence), key=worth)
    return with_others(Access(best.facts), (found, presence))


def _context_of(path: Path) -> int:
    """Return how many levels above the nodes of a path, taken as one value, its beginning is."""
    onward = all(step.axis in ("child", "attribute") for step in path.steps)
    return len(path.steps) if onward and path.origin != "/" else WHOLE


def _comparison(
    place: AbsolutePath,
    sign: str,
    constant: str | float | None,
    single: bool,
    one: int,
    cast: bool,
    texts: bool,
) -> Fact | None:
    if isinstance(constant, str):
        if cast or sign != "=" or (texts and constant == ""):
            return None
        return Fact(place, "=", constant, one)
    if constant is None or texts or (single and not cast):
        return None  # untyped eq 5 is a type error, which the evaluation finds
    if sign not in ("=", "<", "<=", ">", ">=") or constant != constant:
        return None
    return Fact(place, sign, constant, one)


def _constants(condition: Condition) -> list[str | float | None] | None:
    """Return the constants of a literal or sequence of literals; None in the list for a boolean."""
    if isinstance(condition, Literal):
        value = condition.value
        if isinstance(value, str):
            return [value]
        if isinstance(value, bool):
            return [None]
        if isinstance(value, int | Decimal):
            try:
                number = float(value)
            except OverflowError:
                return [None]
            return [number]
        return [value]
    if isinstance(condition, Sequence):
        constants = []
        for part in condition.parts:
            inner = _constants(part)
            if inner is None:
                return None
            constants.extend(inner)
        return constants
    return None


def _mere_presence(sides: list[Condition], here: Where, places: Places) -> Access:
    """A comparison is false if a side is empty: so a path that is a side must find something."""
    choices = []
    for side in sides:
        inner: Condition = side
        while isinstance(inner, Call) and inner.name in _EMPTY_OF_EMPTY:
            inner = inner.arguments[0]
        if isinstance(inner, Path):
            choices.append(Access(_path(inner, here, places).facts))
    return all_of(choices) if choices else UNKNOWN


_EMPTY_OF_EMPTY: Final = frozenset(
    ("data", "xs:double", "xs:decimal", "xs:integer", "xs:boolean", "xs:string")
)


def _count_compare(
    left: Condition, sign: str, constants: list[str | float | None], here: Where, places: Places
) -> Access | None:
    if not (isinstance(left, Call) and left.name == "count" and len(constants) == 1):
        return None
    number = constants[0]
    inner = left.arguments[0]
    if not isinstance(number, float) or not isinstance(inner, Path):
        return UNKNOWN
    at_least_one = (
        (sign == ">" and number >= 0) or (sign == ">=" and number > 0) or (sign == "=" and number > 0)
    )
    if not at_least_one:
        return UNKNOWN
    found = _path(inner, here, places)
    exactly = (sign == ">" and 0 <= number < 1) or (sign == ">=" and 0 < number <= 1)
    return Access(found.facts, decides=found.decides and exactly)


_STRING_TYPES: Final = tuple(Literal.of(f"xs:string{mark}") for mark in ("", "?", "*", "+"))


def _property(left: Property, sign: str, constants: list[str | float | None]) -> Access:
    if sign != "=" or not all(isinstance(constant, str) for constant in constants):
        return UNKNOWN
    default = left.default
    if default is not None and (not isinstance(default, Literal) or default.value in constants):
        return UNKNOWN
    # Without constants it is never true, but an error if the property is not given: see `_compare`.
    facts = frozenset(Fact(left.name, "=", constant) for constant in constants)
    return Access(facts, decides=bool(constants))


def _call(call: Call, here: Where, places: Places) -> Access:
    name = call.name
    if name == "false":
        return NEVER
    if name == "ordered":
        return _truth(call.arguments[0], here, places)
    if name == "union":
        return any_of([_truth(argument, here, places) for argument in call.arguments])
    if name in ("boolean", "exists", "data"):
        inner = call.arguments[0]
        if name != "data" and (
            isinstance(inner, Path) or (isinstance(inner, Call) and inner.name == "union")
        ):
            return _truth(inner, here, places)
        if name == "boolean":
            return _truth(inner, here, places)
        return Access(_mere_presence([inner], here, places).facts)
    if name in ("contains", "starts-with", "ends-with"):
        text, part = call.arguments
        if not (isinstance(part, Literal) and isinstance(part.value, str) and part.value):
            return UNKNOWN
        wrapped = isinstance(text, Call) and text.name in ("string", "data")
        if wrapped and isinstance(text, Call):
            text = text.arguments[0]
        if not isinstance(text, Path):
            return UNKNOWN
        place = place_of(text, here, places)
        if not place:
            return UNKNOWN
        bare = not any(step.predicates for step in text.steps)
        return Access(frozenset((Fact(place, name, part.value, _context_of(text)),)), decides=bare)
    if name == "matches":
        return _matches(call, here, places)
    if name == "count":
        return (
            Access(_path(call.arguments[0], here, places).facts)
            if isinstance(call.arguments[0], Path)
            else UNKNOWN
        )
    if name in ("string", "xs:string", "string-length", "normalize-space", "upper-case", "lower-case"):
        inner = call.arguments[0]
        return Access(_path(inner, here, places).facts) if isinstance(inner, Path) else UNKNOWN
    return UNKNOWN


def _matches(call: Call, here: Where, places: Places) -> Access:
    """A missing node is "" to fn:matches: one must be there if the pattern does not match that."""
    text, *literals = call.arguments
    pattern, flags = (*(str(literal.value) for literal in literals if isinstance(literal, Literal)), "")[:2]
    if not isinstance(text, Path):
        return UNKNOWN
    try:
        meter = Meter()
        if compile_pattern(pattern, flags, meter).search("", meter):
            return UNKNOWN
    except QueryError:
        return UNKNOWN
    there = _path(text, here, places)
    place = place_of(text, here, places)
    kind, part = _literal(pattern) if not flags else ("", "")
    if not part or not place:
        return Access(there.facts)
    return with_others(Access(frozenset((Fact(place, kind, part, _context_of(text)),))), [there])


_BEGINS: Final = re.compile(r"(\^?)([^\\.?*+{}()|\[\]$^]*)([?*{]?)")


def _literal(pattern: str) -> tuple[str, str]:
    """Return the text with which all that a pattern matches must begin or which it must contain."""
    if "|" in pattern:
        return "", ""
    found = _BEGINS.match(pattern)
    assert found is not None  # it matches the empty text
    anchor, part, quantifier = found.groups()
    return ("starts-with" if anchor else "contains"), part[:-1] if quantifier else part
