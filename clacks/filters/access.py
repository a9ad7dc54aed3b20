"""From a condition to the few facts by which an index finds it.

`access` gives, for a condition, a set of `Fact` of which at least one holds on every event for which the
condition is true (Le Subscribe calls them access predicates): the index stores the filter under each and
looks at it only when one of them holds. Facts speak of absolute paths, so they are tested for all filters at
once. ``decides`` says that the facts decide alone: then nothing of the filter needs to be kept.

The direction that must never fail: condition true => some fact holds. So facts are read only from what is
necessary: a conjunction gives the facts of its best part, a disjunction those of all parts, a negation none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from clacks.common.errors import QueryError
from clacks.filters.absence import needed_paths
from clacks.xquery.budget import Meter
from clacks.xquery.conditions import (
    ANY,
    And,
    Call,
    Compare,
    Condition,
    Filter,
    For,
    If,
    Literal,
    NameTest,
    Or,
    Path,
    Property,
    Quantified,
    Sequence,
    Step,
)
from clacks.xquery.regex import compile_pattern

__all__ = ["WHOLE", "AbsolutePath", "Access", "Fact", "access", "possible_children"]

AbsolutePath = tuple[tuple[str, NameTest | str], ...]
"""Axis and node test of each step from the document node, predicates left out."""


WHOLE: Final = 1 << 30
"""More levels than a document has."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds or does not hold of an event.

    Attributes:
        path: Where; for a property of the message its name as a str.
        kind: ``present``; ``=`` with a str (equal as text) or a float (equal as number); ``<`` ``<=`` ``>``
            ``>=`` with a float; ``between`` with two floats, ends included; ``starts-with``, ``ends-with``,
            ``contains`` with a str.
        value: What it is compared with; None for ``present``.
        single: Functions and value comparisons fail on two nodes, so it decides only if none have the same
            ancestor so many levels up (the context of the comparison); 0: it always does, `WHOLE`: only
            if the path finds one node at most.
    """

    path: AbsolutePath | str
    kind: str
    value: str | float | tuple[float, float] | None = None
    single: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """How an index finds a condition.

    Attributes:
        facts: One of them holds whenever the condition is true; None: nothing is known.
        decides: Whether the condition is true whenever one of them holds, unless ``single`` is hurt or a
            number was expected among several values and one is none.
        others: Facts that could stand in for ``facts`` (in a conjunction those of the other parts): the index
            takes what is rarest among the filters that it has.
    """

    facts: frozenset[Fact] | None
    decides: bool = False
    others: tuple[frozenset[Fact], ...] = ()


_UNKNOWN: Final = Access(None)
_NEVER: Final = Access(frozenset(), decides=True)
_TURNED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_VALUE_SIGNS: Final = {"eq": "=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TURNED_VALUE: Final = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_WORTH: Final = {
    "=": 0,
    "starts-with": 1,
    "ends-with": 1,
    "contains": 2,
    "between": 2,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "present": 4,
}
_MOST_OTHERS: Final = 8
_MOST_FACTS: Final = 256  # a filter with more alternatives is cheaper to look at than to find

Where = AbsolutePath | None
Places = Mapping[str, Where]


def access(condition: Condition) -> Access:
    """Return the facts by which an index finds ``condition``, taken as the whole query."""
    found = _truth(condition, None, {})
    if found.facts is not None and len(found.facts) > _MOST_FACTS:
        return _UNKNOWN
    return found


def _worth(found: Access) -> tuple[int, int, int]:
    """Order facts: the smaller, the more rarely they hold, as far as one can tell without statistics."""
    if found.facts is None:
        return (9, 0, 0)
    if not found.facts:
        return (-1, 0, 0)
    depth = max(len(fact.path) if isinstance(fact.path, tuple) else 1 for fact in found.facts)
    return (max(_WORTH[fact.kind] for fact in found.facts), len(found.facts), -depth)


def _best(choices: list[Access]) -> Access:
    """Return the facts of a conjunction; it is decided if all other parts follow from the best one."""
    band = _band(choices)
    if band is not None:
        bounds, rest = band
        decides = all(_follows(choice, bounds) for choice in rest)
        return _with_others(Access(bounds.facts, decides), [*rest, *choices])
    best = min(choices, key=_worth)
    decides = best.decides and all(choice is best or _follows(choice, best) for choice in choices)
    return _with_others(Access(best.facts, decides), choices)


def _with_others(best: Access, choices: Iterable[Access]) -> Access:
    """Add what is necessary as well, but for what holds too often to be worth a look."""
    if best.decides or best.facts is None:
        return Access(best.facts, best.decides)
    found: dict[frozenset[Fact], None] = {}
    for choice in choices:
        for facts in (choice.facts, *choice.others):
            if facts and facts != best.facts and len(facts) <= _MOST_FACTS:
                found[facts] = None
    return Access(best.facts, False, tuple(found)[:_MOST_OTHERS])


_LOWER: Final = {">": math.inf, ">=": None}
_UPPER: Final = {"<": -math.inf, "<=": None}


def _band(choices: list[Access]) -> tuple[Access, list[Access]] | None:
    """Return a lower and an upper bound of one path as one fact, and the other parts; None if there is none.

    It decides only where the path finds one node: the bounds may speak of two different ones.
    """
    lows: dict[AbsolutePath | str, tuple[float, Access]] = {}
    for choice in choices:
        fact, bound = _bound_of(choice, _LOWER)
        if fact is not None:
            lows.setdefault(fact.path, (bound, choice))
    for choice in choices if lows else ():
        fact, high = _bound_of(choice, _UPPER)
        if fact is not None and fact.path in lows:
            low, lower = lows[fact.path]
            rest = [other for other in choices if other is not choice and other is not lower]
            return Access(frozenset((Fact(fact.path, "between", (low, high), single=WHOLE),))), rest
    return None


def _bound_of(choice: Access, signs: Mapping[str, float | None]) -> tuple[Fact | None, float]:
    """Return the fact of a part that is one bound, and the outermost number inside."""
    if choice.facts is None or len(choice.facts) != 1 or not choice.decides:
        return None, 0.0
    (fact,) = choice.facts
    if fact.kind not in signs or not isinstance(fact.value, float) or not math.isfinite(fact.value):
        return None, 0.0
    towards = signs[fact.kind]
    return fact, fact.value if towards is None else math.nextafter(fact.value, towards)


def _follows(weak: Access, strong: Access) -> bool:
    """Tell whether ``weak`` only wants nodes that are there whenever a fact of ``strong`` holds."""
    if weak.facts is None or strong.facts is None or len(weak.facts) != 1 or not weak.decides:
        return False
    (present,) = weak.facts
    path = present.path
    return (
        present.kind == "present"
        and isinstance(path, tuple)
        and all(isinstance(fact.path, tuple) and _leads_to(path, fact.path) for fact in strong.facts)
    )


def _leads_to(weak: AbsolutePath, strong: AbsolutePath) -> bool:
    """Tell whether a node at ``strong`` has been reached through a node at ``weak``."""
    return len(weak) <= len(strong) and all(
        axis == other_axis and _includes(test, other)
        for (axis, test), (other_axis, other) in zip(weak, strong)
    )


def _includes(wide: NameTest | str, narrow: NameTest | str) -> bool:
    if isinstance(wide, NameTest) and isinstance(narrow, NameTest):
        return wide.namespace in (ANY, narrow.namespace) and wide.local in (ANY, narrow.local)
    return wide == narrow


def _any(choices: list[Access]) -> Access:
    facts: set[Fact] = set()
    for choice in choices:
        if choice.facts is None:
            return _UNKNOWN
        facts |= choice.facts
        if len(facts) > _MOST_FACTS:
            return _UNKNOWN
    # In "a or b", an error of a hides b: so only parts that cannot fail decide together.
    decides = all(choice.decides for choice in choices) and (
        len(choices) == 1 or all(_infallible(fact) for fact in facts)
    )
    return Access(frozenset(facts), decides)


def _infallible(fact: Fact) -> bool:
    return isinstance(fact.path, tuple) and not fact.single and not isinstance(fact.value, float)


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
        return _UNKNOWN
    return Access(_any([_path(path, here, places) for path in paths]).facts)


def _truth_by_form(condition: Condition, here: Where, places: Places) -> Access:
    if isinstance(condition, Literal):
        value = condition.value
        return _UNKNOWN if value and value == value else _NEVER
    if isinstance(condition, And):
        return _best([_truth(part, here, places) for part in condition.parts])
    if isinstance(condition, Or):
        return _any([_truth(part, here, places) for part in condition.parts])
    if isinstance(condition, Path):
        return _path(condition, here, places)
    if isinstance(condition, Compare):
        return _compare(condition, here, places)
    if isinstance(condition, Call):
        return _call(condition, here, places)
    if isinstance(condition, If):
        return _if(condition, here, places)
    if isinstance(condition, Quantified):
        return _UNKNOWN if condition.universal else _bound(condition, condition.condition, here, places)
    if isinstance(condition, For):
        return _bound(condition, condition.body, here, places)
    if isinstance(condition, Sequence):
        if not condition.parts:
            return _NEVER
        found = _any([_truth_or_exists(part, here, places) for part in condition.parts])
        return Access(found.facts, decides=found.decides and len(condition.parts) == 1)
    return _UNKNOWN


def _truth_or_exists(condition: Condition, here: Where, places: Places) -> Access:
    # In a sequence of several parts a false boolean is an item like any other: only nodes help.
    return _path(condition, here, places) if isinstance(condition, Path) else _UNKNOWN


def _if(condition: If, here: Where, places: Places) -> Access:
    test = _truth(condition.test, here, places)
    then = _truth(condition.then_part, here, places)
    other = _truth(condition.else_part, here, places)
    if other.facts == frozenset():
        if condition.then_part in _ALWAYS:
            return test
        return _best([test, then])
    return _any([Access(_best([test, then]).facts), Access(other.facts)])


_ALWAYS: Final = (Literal.of(True), Call("true", ()))


def _bound(condition: Quantified | For, body: Condition, here: Where, places: Places) -> Access:
    place = _place(condition.source, here, places)
    source = _found(condition.source, here, places)
    inner = _truth(body, here, {**places, condition.variable: place})
    best = _best([inner, source])
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
            return Access(_any([_found(part, here, places) for part in condition.arguments]).facts)
        if condition.name in _NONE_OF_NONE:
            return Access(_found(condition.arguments[0], here, places).facts)
    if isinstance(condition, For):
        return Access(_found(condition.source, here, places).facts)
    return _UNKNOWN


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


def _place(condition: Condition, here: Where, places: Places) -> Where:
    """Return the absolute path of a node expression, its predicates left out, or None."""
    if isinstance(condition, Filter):
        return _place(condition.source, here, places)
    inner = condition.arguments[0] if isinstance(condition, Call) and condition.name == "ordered" else None
    if isinstance(inner, For):
        return _place(inner.body, here, {**places, inner.variable: _place(inner.source, here, places)})
    if not isinstance(condition, Path):
        return None
    if condition.origin == "/":
        start: Where = ()
    elif condition.origin == ".":
        start = here
    else:
        start = places.get(condition.origin)
    if start is None:
        return None
    for step in condition.steps:
        start = _append(start, step)
        if start is None:
            return None
    return start


def _append(path: AbsolutePath, step: Step) -> Where:
    if step.axis == "self":
        if step.test == "node()":
            return path
        return _narrowed(path, step.test) if isinstance(step.test, NameTest) else None
    if step.axis not in _INWARD:
        return None
    if path and path[-1] == _ANYWHERE:
        # "//a[1]": the step that // stands for, and one to children or attributes.
        if step.axis == "child":
            return (*path[:-1], ("descendant", step.test))
        return (*path[:-1], ("descendant-or-self", _ANY_NAME), (step.axis, step.test))
    return (*path, (step.axis, step.test))


_INWARD: Final = frozenset(("child", "descendant", "descendant-or-self", "attribute"))
_ANYWHERE: Final = ("descendant-or-self", "node()")
_ANY_NAME: Final = NameTest(ANY, ANY)


def _narrowed(path: AbsolutePath, test: NameTest) -> Where:
    """Return the path whose last step also fulfils ``test``, or None if it cannot be written so."""
    if not path:
        return None
    axis, last = path[-1]
    if axis == "attribute" or not isinstance(last, NameTest):
        return None
    both = last.both(test)
    return None if both is None else (*path[:-1], (axis, both))


def _path(path: Path, here: Where, places: Places) -> Access:
    """Return the facts for "this path finds a node"."""
    whole = _place(path, here, places)
    if whole is None:
        return _beginning(path, here, places)
    choices = []
    lone: Access | None = None
    for number, step in enumerate(path.steps):
        for predicate in step.predicates:
            if isinstance(predicate, int):
                lone = _UNKNOWN
                continue
            at = _place(Path(path.origin, path.steps[: number + 1]), here, places)
            found = _truth(predicate, at, places)
            # [p] on the last step, alone: the path finds a node exactly if p holds somewhere.
            lone = found if lone is None and number == len(path.steps) - 1 else _UNKNOWN
            choices.append(found)
    if whole:
        present = Access(frozenset((Fact(whole, "present"),)), decides=not choices and lone is None)
    else:
        present = _UNKNOWN  # the document node is always there
    if not choices:
        return present
    best = min((*choices, present), key=_worth)
    decides = lone is not None and best is lone and lone.decides
    decides = decides and _follows(Access(present.facts, decides=True), best)
    return _with_others(Access(best.facts, decides), (*choices, present))


def _beginning(path: Path, here: Where, places: Places) -> Access:
    """Return the facts for the first steps of a path that goes on where none can follow: upwards, aside."""
    for number in range(len(path.steps) - 1, 0, -1):
        first = Path(path.origin, path.steps[:number])
        if _place(first, here, places):
            return Access(_path(first, here, places).facts)
    return _UNKNOWN


def _compare(condition: Compare, here: Where, places: Places) -> Access:
    sign, left, right = condition.operator, condition.left, condition.right
    if isinstance(left, Literal | Sequence):
        left, right = right, left
        sign = _TURNED.get(sign) or _TURNED_VALUE[sign]
    constants = _constants(right)
    if constants is None:
        return _mere_presence([left, right], here, places)
    single = sign in _TURNED_VALUE
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
        found = _any([_compare(Compare(sign, part, right), here, places) for part in left.arguments])
        return Access(found.facts)
    if not isinstance(left, Path):
        return _mere_presence([left], here, places)
    place = _place(left, here, places)
    if not place:
        return _UNKNOWN
    one = _context_of(left) if single else 0
    if not constants:
        return Access(frozenset())  # never true, but it may fail, so in an "or" it does not decide
    presence = _path(left, here, places)
    facts = []
    for constant in constants:
        fact = _comparison(place, sign, constant, single, one, cast, texts)
        if fact is None:
            # string(()) is "", number(()) is NaN: they compare even if the node is missing.
            return _UNKNOWN if texts or number else Access(presence.facts)
        facts.append(fact)
    bare = not any(step.predicates for step in left.steps)
    mixed = len({type(fact.value) for fact in facts}) > 1
    numbers = any(isinstance(fact.value, float) for fact in facts)
    decides = bare and not mixed and not (numbers and len(facts) > 1)
    found = Access(frozenset(facts), decides)
    if bare:
        return found
    best = min((found, presence), key=_worth)
    return _with_others(Access(best.facts), (found, presence))


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
    return _best(choices) if choices else _UNKNOWN


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
        return _UNKNOWN
    at_least_one = (
        (sign == ">" and number >= 0) or (sign == ">=" and number > 0) or (sign == "=" and number > 0)
    )
    if not at_least_one:
        return _UNKNOWN
    found = _path(inner, here, places)
    exactly = (sign == ">" and 0 <= number < 1) or (sign == ">=" and 0 < number <= 1)
    return Access(found.facts, decides=found.decides and exactly)


_STRING_TYPES: Final = tuple(Literal.of(f"xs:string{mark}") for mark in ("", "?", "*", "+"))


def _property(left: Property, sign: str, constants: list[str | float | None]) -> Access:
    if sign != "=" or not all(isinstance(constant, str) for constant in constants):
        return _UNKNOWN
    default = left.default
    if default is not None and (not isinstance(default, Literal) or default.value in constants):
        return _UNKNOWN
    return Access(frozenset(Fact(left.name, "=", constant) for constant in constants), decides=True)


def _call(call: Call, here: Where, places: Places) -> Access:
    name = call.name
    if name == "false":
        return _NEVER
    if name == "ordered":
        return _truth(call.arguments[0], here, places)
    if name == "union":
        return _any([_truth(argument, here, places) for argument in call.arguments])
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
            return _UNKNOWN
        wrapped = isinstance(text, Call) and text.name in ("string", "data")
        if wrapped and isinstance(text, Call):
            text = text.arguments[0]
        if not isinstance(text, Path):
            return _UNKNOWN
        place = _place(text, here, places)
        if not place:
            return _UNKNOWN
        bare = not any(step.predicates for step in text.steps)
        return Access(frozenset((Fact(place, name, part.value, _context_of(text)),)), decides=bare)
    if name == "matches":
        return _matches(call, here, places)
    if name == "count":
        return (
            Access(_path(call.arguments[0], here, places).facts)
            if isinstance(call.arguments[0], Path)
            else _UNKNOWN
        )
    if name in ("string", "xs:string", "string-length", "normalize-space", "upper-case", "lower-case"):
        inner = call.arguments[0]
        return Access(_path(inner, here, places).facts) if isinstance(inner, Path) else _UNKNOWN
    return _UNKNOWN


def _matches(call: Call, here: Where, places: Places) -> Access:
    """A missing node is "" to fn:matches: one must be there if the pattern does not match that."""
    text, *literals = call.arguments
    pattern, flags = (*(str(literal.value) for literal in literals if isinstance(literal, Literal)), "")[:2]
    if not isinstance(text, Path):
        return _UNKNOWN
    try:
        meter = Meter()
        if compile_pattern(pattern, flags, meter).search("", meter):
            return _UNKNOWN
    except QueryError:
        return _UNKNOWN
    there = _path(text, here, places)
    place = _place(text, here, places)
    kind, part = _literal(pattern) if not flags else ("", "")
    if not part or not place:
        return Access(there.facts)
    return _with_others(Access(frozenset((Fact(place, kind, part, _context_of(text)),))), [there])


_BEGINS: Final = re.compile(r"(\^?)([^\\.?*+{}()|\[\]$^]*)([?*{]?)")


def _literal(pattern: str) -> tuple[str, str]:
    """Return the text with which all that a pattern matches must begin or which it must contain."""
    if "|" in pattern:
        return "", ""
    found = _BEGINS.match(pattern)
    assert found is not None  # it matches the empty text
    anchor, part, quantifier = found.groups()
    return ("starts-with" if anchor else "contains"), part[:-1] if quantifier else part


def possible_children(found: Access, root: NameTest) -> frozenset[str] | None:
    """Return the local names of the root's child of which one must be there, or None if any may be.

    ``root`` is the element at the top of every event; names outside its namespace are left out. All facts
    that are necessary count, not only those by which the filter is found.
    """
    if found.facts is None:
        return None
    known = [names for facts in (found.facts, *found.others) if (names := _children(facts, root)) is not None]
    return frozenset.intersection(*known) if known else None


def _children(facts: frozenset[Fact], root: NameTest) -> frozenset[str] | None:
    names = set()
    for fact in facts:
        path = fact.path
        if isinstance(path, str) or len(path) < 2 or path[0][0] != "child":
            return None
        if not _includes(path[0][1], root):
            continue  # no event has such a root
        axis, test = path[1]
        if axis != "child" or not isinstance(test, NameTest) or test.local == ANY:
            return None
        if test.namespace in (root.namespace, ANY):
            names.add(test.local)
    return frozenset(names)
