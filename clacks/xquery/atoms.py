"""Single operations of XQuery on values, without a query around them.

Whoever evaluates conditions by himself (`clacks.filters`) asks here for what the engine would do with values:
call a function of the library, cast, compare, calculate. So a function is written once. Values are those of
`library`; nodes never come here.

`PURE` names the functions that may be called so: their result depends on nothing but their arguments and the
moment (no focus, no base URI, no prefixes, no documents), and they take no nodes as nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from elementpath.datatypes import AnyURI, UntypedAtomic

from clacks.common.errors import QueryError
from clacks.xquery.arithmetic import OPERATIONS, negate, operand
from clacks.xquery.bridge import find_builtin
from clacks.xquery.budget import Meter, QueryBudget
from clacks.xquery.calls import call_library
from clacks.xquery.casts import cast_sequence
from clacks.xquery.collation import CODEPOINT, find_collation
from clacks.xquery.compare import Incomparable, equal
from clacks.xquery.comparisons import VALUE_NAMES, compared, untyped_as
from clacks.xquery.context import Context, Execution
from clacks.xquery.conversion import atomize, boolean_value, convert
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.library import PREFIXES
from clacks.xquery.maps import EMPTY_MAP, XArray, XMap
from clacks.xquery.sequence_types import INTEGER_ONE, AnyItem, AtomicType, SequenceType
from clacks.xquery.static import StaticContext
from clacks.xquery.types_parser import sequence_type
from clacks.xquery.values import string_of

__all__ = ["PURE", "Calculator", "castable_types", "is_pure", "is_simple_type", "to_untyped", "untyped_text"]

_STATIC: Final = StaticContext()

_DATE_PARTS: Final = {
    f"{part}-from-{kind}": (1,)
    for kind, parts in {
        "dateTime": ("year", "month", "day", "hours", "minutes", "seconds", "timezone"),
        "date": ("year", "month", "day", "timezone"),
        "time": ("hours", "minutes", "seconds", "timezone"),
        "duration": ("years", "months", "days", "hours", "minutes", "seconds"),
    }.items()
    for part in parts
}

PURE: Final[dict[str, tuple[int, ...]]] = {
    **_DATE_PARTS,
    "abs": (1,),
    "avg": (1,),
    "ceiling": (1,),
    "codepoint-equal": (2,),
    "codepoints-to-string": (1,),
    "compare": (2,),
    "contains-token": (2,),
    "current-date": (0,),
    "current-dateTime": (0,),
    "current-time": (0,),
    "dateTime": (2,),
    "deep-equal": (2,),
    "distinct-values": (1,),
    "encode-for-uri": (1,),
    "floor": (1,),
    "implicit-timezone": (0,),
    "index-of": (2,),
    "max": (1,),
    "min": (1,),
    "normalize-unicode": (1, 2),
    "parse-json": (1,),
    "replace": (3, 4),
    "round": (1, 2),
    "round-half-to-even": (1, 2),
    "sort": (1,),
    "string-join": (1, 2),
    "string-to-codepoints": (1,),
    "substring": (2, 3),
    "sum": (1,),
    "tokenize": (1, 2, 3),
    "translate": (3,),
    "map:contains": (2,),
    "map:get": (2,),
    "map:keys": (1,),
    "map:size": (1,),
    "array:flatten": (1,),
    "array:get": (2,),
    "array:size": (1,),
}
"""Names (functions of the usual namespace without a prefix) and how many arguments they may have."""

_NO_CASTS: Final = frozenset(("QName", "NOTATION", "NMTOKENS", "IDREFS", "ENTITIES", "error", "numeric"))


def is_pure(name: str, arity: int) -> bool:
    """Tell whether `Calculator.call` takes this function."""
    return arity in PURE.get(name, ())


def castable_types(local: str) -> bool:
    """Tell whether `Calculator.cast` takes a type: all but names (which need prefixes) and lists."""
    return local not in _NO_CASTS


def is_simple_type(wanted: SequenceType) -> bool:
    """Tell whether a type speaks of atomic values or of anything, not of nodes or functions."""
    return wanted.item is None or isinstance(wanted.item, AtomicType | AnyItem)


def to_untyped(text: str) -> Any:
    """Return a text as xs:untypedAtomic."""
    return UntypedAtomic(text)


def untyped_text(value: Any) -> str | None:
    """Return the text of an xs:untypedAtomic, None for all else."""
    return value.value if isinstance(value, UntypedAtomic) else None


@lru_cache(maxsize=512)
def _function(name: str, arity: int) -> Any:
    prefix, _, local = name.rpartition(":")
    return find_builtin(PREFIXES[prefix or "fn"], local, arity)


@lru_cache(maxsize=512)
def _type(text: str) -> SequenceType:
    return sequence_type(text)


class Calculator:
    """Operations on values within one budget and at one moment.

    All methods raise `QueryError` with the code that the engine would give.
    """

    __slots__ = ("_execution",)

    def __init__(self, budget: QueryBudget) -> None:
        self._execution = Execution(Meter(budget))

    @property
    def meter(self) -> Meter:
        """What counts against the budget."""
        meter: Meter = self._execution.meter
        return meter

    def renew(self, budget: QueryBudget) -> None:
        """Give a full budget again; the moment stays."""
        self._execution.meter = Meter(budget)

    def call(self, name: str, arguments: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Call one of the `PURE` functions."""
        function = _function(name, len(arguments))
        return call_library(function, Context(self._execution), arguments, _STATIC)

    def cast(self, value: Sequence[Any], local: str, *, optional: bool) -> Sequence[Any]:
        """Cast as ``xs:local``, with a question mark if ``optional``."""
        return cast_sequence(value, local, optional, _STATIC)

    def castable(self, value: Sequence[Any], local: str, *, optional: bool) -> bool:
        """Tell whether `cast` would succeed."""
        values = atomize(value)
        try:
            cast_sequence(values, local, optional, _STATIC)
        except QueryError as error:
            if error.code.startswith("CLBG"):
                raise
            return False
        return True

    def matches_type(self, value: Sequence[Any], wanted: str) -> bool:
        """Tell whether a sequence is of a type, as ``instance of`` does."""
        return _type(wanted).matches(value)

    def convert(self, value: Sequence[Any], wanted: str) -> Sequence[Any]:
        """Convert by the function conversion rules."""
        return convert(value, _type(wanted))

    def calculate(self, symbol: str, left: Any, right: Any) -> Any:
        """Apply ``+ - * div idiv mod`` to two atomic values."""
        self.meter.step(1)
        operation = OPERATIONS[symbol]
        return operation(operand(left), operand(right), self.meter, self._execution.timezone)

    def negative(self, value: Any) -> Any:
        """Return ``-value``."""
        return negate(operand(value))

    def compare_general(self, sign: str, left: Any, right: Any) -> bool:
        """Compare one pair of a general comparison: ``=`` and its kind."""
        one, other = left, right
        if isinstance(left, UntypedAtomic):
            one = untyped_as(left, right)
        if isinstance(right, UntypedAtomic):
            other = untyped_as(right, left)
        return self._compared(VALUE_NAMES[sign], one, other)

    def compare_values(self, sign: str, left: Any, right: Any) -> bool:
        """Compare two values: ``eq`` and its kind."""
        one = left.value if isinstance(left, UntypedAtomic) else left
        other = right.value if isinstance(right, UntypedAtomic) else right
        return self._compared(sign, one, other)

    def _compared(self, name: str, left: Any, right: Any) -> bool:
        return compared(name, left, right, find_collation(CODEPOINT), self._execution.timezone)

    def same(self, left: Any, right: Any) -> bool:
        """Tell whether two operands of ``switch`` are the same; None is the empty sequence."""
        if left is None or right is None:
            return left is right
        one = left.value if isinstance(left, UntypedAtomic) else left
        other = right.value if isinstance(right, UntypedAtomic) else right
        try:
            return equal(one, other, find_collation(CODEPOINT), self._execution.timezone) or (
                one != one and other != other
            )
        except Incomparable:
            return False

    def atomized(self, item: Any) -> Sequence[Any]:
        """Return the atomic values of an item that is no node."""
        return atomize([item])

    def truth(self, item: Any) -> bool:
        """Return the effective boolean value of one item that is no node."""
        return boolean_value([item])

    def text(self, item: Any) -> str:
        """Return what fn:string gives for an item that is no node."""
        if isinstance(item, FunctionItem):
            raise failure("FOTY0014", f"a {item.label} has no string value")
        return string_of(item)

    def look_up(self, container: Any, key: Any) -> Sequence[Any]:
        """Return ``container?key``."""
        if isinstance(container, XMap):
            return container.get(key) or ()
        if isinstance(container, XArray):
            return container.at(convert([key], INTEGER_ONE, "position in an array")[0])
        raise failure("XPTY0004", "a lookup wants maps and arrays")

    def all_of(self, container: Any) -> Sequence[Any]:
        """Return ``container?*``."""
        if isinstance(container, XMap | XArray):
            members = container.values() if isinstance(container, XMap) else container.members
            return [item for member in members for item in member]
        raise failure("XPTY0004", "a lookup wants maps and arrays")

    def applied(self, function: Any, argument: Sequence[Any]) -> Sequence[Any]:
        """Return ``function(argument)``."""
        if not isinstance(function, FunctionItem) or function.arity != 1:
            raise failure("XPTY0004", "a call wants one function of one argument")
        return function.call(Context(self._execution), [argument])

    @staticmethod
    def empty_map() -> Any:
        """Return ``map {}``."""
        return EMPTY_MAP

    @staticmethod
    def is_uri(value: Any) -> bool:
        """Tell whether a value is an xs:anyURI, which functions take for a string."""
        return isinstance(value, AnyURI)
