"""Between sequences, items and the types that expressions want: atomization, effective boolean value, and the
function conversion rules (XQuery 3.1, 3.1.5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from elementpath.datatypes import AnyURI, Float, UntypedAtomic

from clacks.xquery.budget import exceeded
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XArray
from clacks.xquery.nodes import Node
from clacks.xquery.sequence_types import (
    EXACT,
    AnyItem,
    AtomicType,
    FunctionTest,
    SequenceType,
    derives_from,
    type_name,
)
from clacks.xquery.values import string_of

LONGEST_CONVERTED_RANGE = 1_000_000
"""Integers of a range that is made into a list because a parameter wants another type."""

__all__ = ["argument_converter", "atomize", "atomize_one", "boolean_value", "convert", "string_of_item"]


def atomize(value: Sequence[Any]) -> Sequence[Any]:
    """Return the atomic values of a sequence (2.4.2)."""
    if len(value) == 1:
        item = value[0]
        if type(item) in EXACT:
            return value
        if isinstance(item, Node):
            return [item.typed_value]
    if type(value) is range:
        return value
    for item in value:
        if type(item) not in EXACT:
            break
    else:
        return value
    out: list[Any] = []
    for item in value:
        if isinstance(item, Node):
            out.append(item.typed_value)
        elif isinstance(item, FunctionItem):
            if not isinstance(item, XArray):
                raise failure("FOTY0013", f"a {item.label} has no typed value")
            out.extend(atomize(list(item.flatten())))
        else:
            out.append(item)
    return out


def atomize_one(value: Sequence[Any], what: str = "operand") -> Any:
    """Return the one atomic value of a sequence, None if it is empty; XPTY0004 if there are more."""
    if len(value) == 1 and type(value[0]) in EXACT:
        return value[0]
    values = atomize(value)
    if len(values) > 1:
        raise failure("XPTY0004", f"the {what} is a sequence of {len(values)} items, wanted is one")
    return values[0] if values else None


def boolean_value(value: Sequence[Any]) -> bool:
    """Return the effective boolean value (2.4.3)."""
    if not value:
        return False
    first = value[0]
    if first is True or first is False:
        if len(value) == 1:
            return bool(first)
    elif isinstance(first, Node):
        return True
    if len(value) > 1:
        raise failure(
            "FORG0006", f"no truth value: a sequence of {len(value)} items that begins with no node"
        )
    if isinstance(first, (str, int, UntypedAtomic, AnyURI)):
        return bool(str(first)) if not isinstance(first, int) else bool(first)
    if isinstance(first, (float, Decimal)):
        return not math.isnan(first) and bool(first)
    raise failure("FORG0006", f"no truth value: a value of type {describe(first)}")


def describe(item: Any) -> str:
    """Name the type of an item, for messages."""
    if isinstance(item, Node):
        return f"{item.kind}()"
    if isinstance(item, FunctionItem):
        return f"{item.label}(*)"
    return f"xs:{type_name(item)}"


def string_of_item(item: Any) -> str:
    """Return the string value of an item, as fn:string does."""
    if isinstance(item, Node):
        return item.string_value
    if isinstance(item, FunctionItem):
        raise failure("FOTY0014", f"a {item.label} has no string value")
    return string_of(item)


def convert(
    value: Sequence[Any], wanted: SequenceType, what: str = "value", code: str = "XPTY0004"
) -> Sequence[Any]:
    """Convert a value to a declared type by the function conversion rules.

    Args:
        value: The sequence.
        wanted: The declared type.
        what: Name of the place, for the message.
        code: Error code if it does not fit.
    """
    item_type = wanted.item
    if isinstance(item_type, AnyItem):
        if wanted.matches(value):
            return value
    elif isinstance(item_type, AtomicType):
        value = to_atomic_type(atomize(value), item_type)
        if (
            type(value) is not range
            and len(value) >= wanted.low
            and (wanted.high is None or len(value) <= wanted.high)
            and classes_of(item_type.local).issuperset(map(type, value))
        ):
            return value
    elif isinstance(item_type, FunctionTest) and item_type.parameters is not None:
        value = [coerce_function(item, item_type) for item in value]
        if (len(value) >= wanted.low) and (wanted.high is None or len(value) <= wanted.high):
            return value
    if not wanted.matches(value):
        raise mismatch(value, wanted, what, code)
    return value


def argument_converter(wanted: SequenceType) -> Callable[[Sequence[Any]], Any]:
    """Return a function that converts an argument of a library function.

    It does what ``convert`` does and gives the item, or None, where the type allows no more than one. The
    types that most parameters have get a short way.
    """
    item_type = wanted.item
    single = wanted.high == 1

    def convert_any(value: Sequence[Any]) -> Any:
        converted = convert(value, wanted, "argument")
        if single:
            return converted[0] if converted else None
        return converted

    if isinstance(item_type, AnyItem) and not single and wanted.low == 0:
        return lambda value: value
    if not single:
        return convert_any
    optional = wanted.low == 0
    if isinstance(item_type, AtomicType) and item_type.local not in ("float", "double"):
        local = item_type.local
        accepted = {cls for cls, name in EXACT.items() if derives_from(name, local)}

        def convert_atomic(value: Sequence[Any]) -> Any:
            if len(value) == 1 and type(value[0]) in accepted:
                return value[0]
            if not value and optional:
                return None
            return convert_any(value)

        return convert_atomic
    if isinstance(item_type, FunctionTest) and item_type.parameters is not None and not optional:
        test = item_type

        def convert_function(value: Sequence[Any]) -> Any:
            # A function of a fitting type needs no wrapper: the library only calls it.
            if len(value) == 1 and test.fits_signature(value[0]):
                return value[0]
            return convert_any(value)

        return convert_function
    if isinstance(item_type, AtomicType) or (
        isinstance(item_type, FunctionTest) and item_type.parameters is not None
    ):
        return convert_any
    assert item_type is not None
    matches = item_type.matches

    def convert_item(value: Sequence[Any]) -> Any:
        if len(value) == 1 and matches(value[0]):
            return value[0]
        if not value and optional:
            return None
        return convert_any(value)

    return convert_item


def mismatch(value: Sequence[Any], wanted: SequenceType, what: str, code: str = "XPTY0004") -> Exception:
    """Make the error for a value that is not of the wanted type."""
    found = (
        "the empty sequence" if not value else f"{len(value)} items" if len(value) > 1 else describe(value[0])
    )
    if len(value) > 1 and (wanted.high is None or len(value) <= wanted.high):
        found = ", ".join(sorted({describe(item) for item in value[:20]}))
    return failure(code, f"the {what} must be {wanted}, found {found}")


def to_atomic_type(value: Sequence[Any], wanted: AtomicType) -> Sequence[Any]:
    """Cast untyped values, promote numbers and URIs."""
    local = wanted.local
    if type(value) is range:
        if not value or derives_from("integer", local):
            return value
        if len(value) > LONGEST_CONVERTED_RANGE:
            raise exceeded(f"a range of {len(value)} integers as {wanted}")
    if classes_of(local).issuperset(map(type, value)):
        return value
    for item in value:
        name = EXACT.get(type(item)) or type_name(item)
        if (name != local and not derives_from(name, local)) or name == "untypedAtomic":
            break
    else:
        return value
    return [promote(item, local) for item in value]


@cache
def classes_of(local: str) -> frozenset[type]:
    """Return Python classes whose values are surely of a type; untyped ones are left out."""
    return frozenset(
        cls for cls, name in EXACT.items() if derives_from(name, local) and name != "untypedAtomic"
    )


def promote(item: Any, local: str) -> Any:
    """Convert one atomic value to a type, or give it back as it is where no rule applies."""
    if type(item) is UntypedAtomic:
        if local in ("anyAtomicType", "untypedAtomic"):
            return item
        if local in ("QName", "NOTATION"):
            raise failure("XPTY0117", "an untyped value does not become a name")
        from clacks.xquery.casts import cast_atomic

        return cast_atomic(item, "double" if local == "numeric" else local)
    if local == "double":
        if isinstance(item, (int, Decimal, Float)) and not isinstance(item, bool):
            return to_double(item)
    elif local == "float":
        if isinstance(item, (int, Decimal)) and not isinstance(item, bool):
            return Float(to_double(item))
    elif local == "string" and isinstance(item, AnyURI):
        return str(item)
    return item


def to_double(item: Any) -> float:
    """Return a number as xs:double; too large ones become INF."""
    if type(item) is float:
        return item
    try:
        return float(item)
    except OverflowError:
        return math.inf if item > 0 else -math.inf


def coerce_function(item: Any, wanted: FunctionTest) -> Any:
    """Apply function coercion (3.1.5.3): the result converts arguments and results to the wanted
    signature.
    """
    if not isinstance(item, FunctionItem):
        raise failure("XPTY0004", f"wanted is {wanted}, found {describe(item)}")
    assert wanted.parameters is not None
    assert wanted.result is not None
    if item.arity != len(wanted.parameters):
        raise failure("XPTY0004", f"wanted is {wanted}, found a function of {item.arity} arguments")
    return CoercedFunction(item, wanted)


class CoercedFunction(FunctionItem):
    """A function behind another signature."""

    def __init__(self, target: FunctionItem, test: FunctionTest) -> None:
        super().__init__()
        self.target = target
        self.test = test
        self.annotations = target.annotations

    @property
    def qname(self) -> Any:
        """Return the name of the function behind."""
        return self.target.qname

    @property
    def arity(self) -> int:
        """Return the number of arguments."""
        return self.target.arity

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return the signature it was coerced to."""
        assert self.test.parameters is not None
        assert self.test.result is not None
        return self.test.parameters, self.test.result

    def call(self, ctx: Any, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Convert the arguments, call, convert the result."""
        parameters, result = self.signature
        converted = [convert(a, t, f"argument {n}") for n, (a, t) in enumerate(zip(args, parameters), 1)]
        return convert(self.target.call(ctx, converted), result, "result")
