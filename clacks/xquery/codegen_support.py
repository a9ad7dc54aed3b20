"""What written code (``codegen``) calls: rare cases, and what is too long to be repeated in each function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from elementpath.datatypes import UntypedAtomic

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery.arithmetic import OPERATIONS, as_double, float_divide, float_modulo, operand
from clacks.xquery.axes import SORTING, in_document_order
from clacks.xquery.budget import Meter
from clacks.xquery.calls import one_function
from clacks.xquery.casts import cast_atomic, cast_sequence
from clacks.xquery.comparisons import one_node, value_comparison
from clacks.xquery.conversion import atomize, atomize_one, boolean_value, convert, describe
from clacks.xquery.errors import failure
from clacks.xquery.flwor import checked
from clacks.xquery.maps import XEntry, XMap, one_key
from clacks.xquery.nodes import Node
from clacks.xquery.operators import EMPTY, Range
from clacks.xquery.paths import path_result
from clacks.xquery.predicates import picked
from clacks.xquery.sequence_types import SequenceType
from clacks.xquery.tokens import Expression
from clacks.xquery.values import double_of

__all__ = [
    "EMPTY",
    "FEW",
    "SHORT",
    "Node",
    "QueryBudgetExceeded",
    "QueryError",
    "XEntry",
    "XMap",
    "add_integers",
    "arithmetic",
    "as_double",
    "atomize",
    "atomize_one",
    "boolean_value",
    "call_value",
    "cast_one",
    "cast_sequence",
    "checked",
    "compare_values",
    "convert",
    "double_of_node",
    "first_operand",
    "float_divide",
    "float_modulo",
    "in_document_order",
    "in_order",
    "metered",
    "named_converter",
    "node_of",
    "one_function",
    "one_key",
    "one_node",
    "only",
    "order_key",
    "path_result",
    "picked",
    "range_of",
    "sequence_of",
    "slots_of",
]

SHORT = 200
"""Items up to which the steps of a loop are taken at once."""

LONG = 30
"""Characters of a text that is not worth remembering as a number."""

FEW = 8
"""Items of one result that are passed on without a step: the loop around took one."""


def metered(items: Sequence[Any], meter: Meter) -> Iterator[Any]:
    """Iterate over a long sequence; each item is a step."""
    for start in range(0, len(items), SHORT):
        piece = items[start : start + SHORT]
        meter.step(len(piece))
        yield from piece


def slots_of(token: Expression) -> set[int]:
    """Return the slots of the variables that a token and those below ask for."""
    slots = set()
    for part in token.walk():
        slot = part.__dict__.get("slot")
        if part.symbol == "$" and slot is not None:
            slots.add(slot)
        elif part.symbol == "inline":
            slots.update(there for there, _ in part.declaration.scope.captures)  # type: ignore[attr-defined]
        elif part.symbol == "flwor":
            # Clauses that group by a variable name its slot without a token.
            slots.update(slot for clause in part.clauses for slot in clause.slots)  # type: ignore[attr-defined]
    return slots


def only(value: Sequence[Any]) -> Any:
    """Return the item of a sequence of at most one, None if it is empty."""
    return value[0] if value else None


def sequence_of(result: Any) -> Sequence[Any]:
    """Make a sequence of what a function of the library returned."""
    cls = type(result)
    if cls is list or cls is range:
        found: Sequence[Any] = result
        return found
    return [] if result is None else [result]


def named_converter(
    converter: Callable[[Sequence[Any]], Any], wanted: SequenceType, what: str
) -> Callable[[Sequence[Any]], Any]:
    """Return a converter of arguments whose errors name the argument."""

    def named(value: Sequence[Any]) -> Any:
        try:
            return converter(value)
        except QueryError as error:
            if error.code == "XPTY0004" and error.line is None:
                convert(value, wanted, what)
            raise

    return named


def arithmetic(symbol: str, a: Any, b: Any, execution: Any) -> Any:
    """Apply an arithmetic operator to two atomic values."""
    return OPERATIONS[symbol](operand(a), operand(b), execution.meter, execution.timezone)


def first_operand(a: Any) -> Any:
    """Check the first operand, when the second one is empty: a wrong one is an error all the same."""
    return operand(a)


def add_integers(total: int, meter: Meter) -> int:
    """Look whether a sum that is no small number is within the budget."""
    meter.integer(total.bit_length())
    return total


def compare_values(name: str, a: Any, b: Any, token: Any, execution: Any) -> bool:
    """Compare two atomic values of any types as ``eq`` and its kind do."""
    return value_comparison(name, a, b, token.collation, execution.timezone)


def node_of(item: Any) -> Any:
    """Return an item if it is a node; XPTY0019 if not."""
    if not isinstance(item, Node):
        raise failure("XPTY0019", f"a path goes from nodes, found {describe(item)}")
    return item


def in_order(found: list[Any], meter: Meter) -> list[Any]:
    """Return nodes in document order."""
    meter.step(SORTING * len(found))
    return in_document_order(found)


@lru_cache(maxsize=4096)
def known_double(text: str) -> float:
    """Read a short text as xs:double; the same texts come again and again."""
    return double_of(text)


def double_of_node(node: Any) -> float:
    """Cast the value of a node to xs:double."""
    text = node.string_value
    try:
        return double_of(text) if len(text) > LONG else known_double(text)
    except ValueError:
        found: float = cast_atomic(node.typed_value, "double")
        return found


def cast_one(value: Any, local: str, static: Any) -> Any:
    """Cast one atomic value, as a constructor function does."""
    return cast_sequence([value], local, True, static)[0]


def range_of(a: Any, b: Any) -> Sequence[Any]:
    """Return the range between two atomic values."""
    return Range.between(a, b)


def call_value(function: Any, argument: Sequence[Any], ctx: Any) -> Sequence[Any]:
    """Call a value with one argument."""
    one_function([function])
    if function.arity != 1:
        raise failure("XPTY0004", f"a function of {function.arity} arguments was given 1")
    found: Sequence[Any] = function.call(ctx, [argument])
    return found


def order_key(value: Any) -> Any:
    """Return an atomic value as a key to sort by: untyped ones are strings."""
    return value.value if type(value) is UntypedAtomic else value
