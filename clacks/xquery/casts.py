"""Casting between atomic types (F&O 3.1, 19), and the expressions that name a type.

``cast``, ``castable``, ``treat`` and ``instance`` have one item, the operand; the type is an attribute.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import (
    AnyURI,
    Base64Binary,
    DateTime,
    DayTimeDuration,
    Duration,
    HexBinary,
    QName,
    UntypedAtomic,
    YearMonthDuration,
    builtin_atomic_types,
)
from elementpath.exceptions import ElementPathError
from elementpath.xpath31 import XPath31Parser

from clacks.common.errors import QueryError
from clacks.xquery.conversion import atomize, mismatch
from clacks.xquery.errors import failure
from clacks.xquery.lexer import NAME
from clacks.xquery.library import PREFIXES
from clacks.xquery.nodes import split_name
from clacks.xquery.sequence_types import LIST_TYPES, PARENTS, SequenceType, derives_from, type_name
from clacks.xquery.static import StaticContext
from clacks.xquery.tokens import Expression, named_operator
from clacks.xquery.types_parser import parse_sequence_type
from clacks.xquery.values import double_of, string_of, to_float

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["cast_atomic", "cast_sequence", "qname_of"]

TEXT = frozenset({"untypedAtomic", "string"})
NUMBERS = frozenset({"float", "double", "decimal", "integer", "boolean"})
DURATIONS = frozenset({"duration", "yearMonthDuration", "dayTimeDuration"})
CASTS: dict[str, frozenset[str]] = {
    "float": TEXT | NUMBERS,
    "double": TEXT | NUMBERS,
    "decimal": TEXT | NUMBERS,
    "integer": TEXT | NUMBERS,
    "boolean": TEXT | NUMBERS,
    "duration": TEXT | DURATIONS,
    "yearMonthDuration": TEXT | DURATIONS,
    "dayTimeDuration": TEXT | DURATIONS,
    "dateTime": TEXT | {"dateTime", "time", "date", "gYearMonth", "gYear", "gMonthDay", "gDay", "gMonth"},
    "time": TEXT | {"time"},
    "date": TEXT | {"dateTime", "date", "gYearMonth", "gYear", "gMonthDay", "gDay", "gMonth"},
    "gYearMonth": TEXT | {"gYearMonth"},
    "gYear": TEXT | {"gYear"},
    "gMonthDay": TEXT | {"gMonthDay"},
    "gDay": TEXT | {"gDay"},
    "gMonth": TEXT | {"gMonth"},
    "hexBinary": TEXT | {"hexBinary", "base64Binary"},
    "base64Binary": TEXT | {"hexBinary", "base64Binary"},
    "anyURI": TEXT | {"anyURI"},
    "QName": TEXT | {"QName"},
    "NOTATION": TEXT | {"QName", "NOTATION"},
}
"""Which primitive type (and xs:integer) can be cast to which; strings and untyped values to all but
NOTATION.
"""

INTEGER = re.compile(r"[+-]?[0-9]+")
DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
LIST_ITEMS = {"NMTOKENS": "NMTOKEN", "IDREFS": "IDREF", "ENTITIES": "ENTITY"}

BOUNDS: dict[str, tuple[int | None, int | None]] = {
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "long": (-(2**63), 2**63 - 1),
    "int": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-128, 127),
    "nonNegativeInteger": (0, None),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 255),
    "positiveInteger": (1, None),
}

STATIC = StaticContext()


@lru_cache(maxsize=256)
def base_of(local: str) -> str:
    """Return the type of the casting table that ``local`` is derived from."""
    if local == "error":
        return local
    for base in ("integer", "yearMonthDuration", "dayTimeDuration"):
        if derives_from(local, base):
            return base
    current = local
    while True:
        parent = PARENTS.get(current)
        if parent is None or parent in ("anyAtomicType", "numeric"):
            return current
        current = parent


def derived_class(local: str) -> Any:
    """Return elementpath's class of a derived type."""
    return builtin_atomic_types[f"xs:{local}"]


def invalid(value: Any, local: str, code: str = "FORG0001") -> Exception:
    """Make the error for a value that has no counterpart in the type."""
    return failure(code, f"{string_of(value)[:60]!r} is no xs:{local}")


def to_decimal(value: Any, local: str) -> Decimal:
    """Cast to xs:decimal."""
    if isinstance(value, str):
        text = value.strip(" \t\r\n")
        if DECIMAL.fullmatch(text) is None:
            raise invalid(value, local)
        return Decimal(text)
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            raise invalid(value, local, "FOCA0002")
        return Decimal(float(value))
    return Decimal(int(value)) if isinstance(value, int) else value


def to_integer(value: Any, local: str) -> int:
    """Cast to xs:integer or a type derived from it."""
    if isinstance(value, str):
        text = value.strip(" \t\r\n")
        if INTEGER.fullmatch(text) is None:
            raise invalid(value, local)
        if len(text) > 4000:
            raise failure("FOCA0003", "an integer of more than 4,000 digits")
        number = int(text)
    elif isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            raise invalid(value, local, "FOCA0002")
        number = int(value)
    else:
        number = int(value)
    if local == "integer":
        return number
    low, high = BOUNDS[local]
    if (low is not None and number < low) or (high is not None and number > high):
        raise invalid(value, local)
    made: int = int.__new__(derived_class(local), number)
    return made


def to_double(value: Any, local: str) -> float:
    """Cast to xs:double."""
    if isinstance(value, str):
        try:
            return double_of(value)
        except ValueError:
            raise invalid(value, local) from None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def to_boolean(value: Any, local: str) -> bool:
    """Cast to xs:boolean."""
    if isinstance(value, str):
        text = value.strip(" \t\r\n")
        if text not in ("true", "false", "1", "0"):
            raise invalid(value, local)
        return text in ("true", "1")
    return bool(value) and not (isinstance(value, float) and math.isnan(value))


def has_form(text: str, local: str) -> bool:
    """Tell whether a string has the form of a type derived from xs:token."""
    if local == "token":
        return True
    if local == "language":
        return LANGUAGE.fullmatch(text) is not None
    if local == "NMTOKEN":
        return bool(text) and NAME.fullmatch("_" + text.replace(":", "_")) is not None
    if local == "Name":
        return NAME.fullmatch(text.replace(":", "_")) is not None
    return NAME.fullmatch(text) is not None


def to_string(value: Any, local: str) -> str:
    """Cast to xs:string or a type derived from it."""
    text = string_of(value)
    if local == "string":
        return str(text)
    if local == "normalizedString":
        text = re.sub("[\t\n\r]", " ", text)
    else:
        text = " ".join(re.split("[ \t\r\n]+", text.strip(" \t\r\n"))) if text else text
        if not has_form(text, local):
            raise invalid(value, local)
    made: str = str.__new__(derived_class(local), text)
    return made


def to_duration(value: Any, local: str) -> Any:
    """Cast to a duration."""
    if not isinstance(value, Duration):
        return through_elementpath(value, local)
    if local == "yearMonthDuration":
        return YearMonthDuration(value.months)
    if local == "dayTimeDuration":
        return DayTimeDuration(value.seconds)
    return Duration(value.months, value.seconds)


def to_uri(value: Any, local: str) -> AnyURI:
    """Cast to xs:anyURI."""
    if isinstance(value, AnyURI):
        return value
    try:
        return AnyURI(value)
    except (ValueError, TypeError):
        raise invalid(value, local) from None


def to_binary(value: Any, local: str) -> Any:
    """Cast to a binary type."""
    if isinstance(value, (HexBinary, Base64Binary)):
        cls: Any = HexBinary if local == "hexBinary" else Base64Binary
        if isinstance(value, cls):
            return value
        return cls(cls.encoder(value.decode()))
    return through_elementpath(value, local)


def through_elementpath(value: Any, local: str) -> Any:
    """Cast by elementpath's constructor."""
    constructor: Any = (
        XPath31Parser.symbol_table.get(f"{{{PREFIXES['xs']}}}{local}") or XPath31Parser.symbol_table[local]
    )
    if isinstance(value, str):
        value = value.strip(" \t\r\n")
    try:
        return constructor(STATIC).cast(value)
    except ElementPathError as error:
        code = str(error.code or "FORG0001").rpartition(":")[2]
        raise failure(code, str(error.args[0] if error.args else error)) from None
    except (OverflowError, InvalidOperation) as error:
        raise failure("FODT0001", str(error)) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise failure("FORG0001", str(error)) from None


CONVERTERS: dict[str, Callable[[Any, str], Any]] = {
    "string": to_string,
    "decimal": to_decimal,
    "integer": to_integer,
    "double": to_double,
    "float": lambda value, local: to_float(to_double(value, local)),
    "boolean": to_boolean,
    "duration": to_duration,
    "yearMonthDuration": to_duration,
    "dayTimeDuration": to_duration,
    "anyURI": to_uri,
    "hexBinary": to_binary,
    "base64Binary": to_binary,
}


def qname_of(text: str, static: Any, *, default: bool = True) -> QName:
    """Make a QName from its lexical form.

    Args:
        text: ``p:local`` or ``local``.
        static: Static context with the namespaces.
        default: Whether a name without prefix is in the default element namespace.
    """
    text = text.strip(" \t\r\n")
    prefix, colon, local = text.rpartition(":")
    if NAME.fullmatch(local) is None or (colon and NAME.fullmatch(prefix) is None):
        raise failure("FORG0001", f"{text[:60]!r} is no xs:QName")
    try:
        if not colon:
            return QName(static.element_namespace if default else "", local)
        return QName(static.namespaces[prefix], text)
    except ValueError:
        # elementpath takes fewer characters in a name than XML has: those that Unicode calls letters.
        raise failure("FORG0001", f"{text[:60]!r} is a name with characters that are not taken") from None
    except KeyError:
        raise failure("FONS0004", f"prefix {prefix!r} is not declared") from None


def cast_atomic(value: Any, local: str, static: Any = None) -> Any:
    """Cast an atomic value to the atomic type of a local name; XPTY0004 where no cast exists."""
    source = type_name(value)
    if source == local:
        return value
    if local == "error":
        raise failure("FORG0001", "nothing is an xs:error")
    target = base_of(local)
    origin = base_of(source)
    if origin not in TEXT and target not in CASTS[origin]:
        raise failure("XPTY0004", f"no cast from xs:{source} to xs:{local}")
    if target == "NOTATION":
        raise failure("XPTY0004", "nothing is cast to xs:NOTATION")
    if target == "untypedAtomic":
        return UntypedAtomic(string_of(value))
    if isinstance(value, UntypedAtomic):
        value = value.value
    if target == "QName":
        return value if isinstance(value, QName) else qname_of(str(value), static or STATIC)
    if derives_from(source, local) and target != "string":
        # Up to a base type: the same value with the base's own class.
        if target == "integer" and local == "integer":
            return int(value)
        if target == "integer" and local not in BOUNDS:
            return Decimal(int(value)) if local == "decimal" else value
    if local == "dateTimeStamp" and isinstance(value, DateTime) and value.tzinfo is None:
        raise invalid(value, local)
    converter = CONVERTERS.get(target)
    try:
        return converter(value, local) if converter is not None else through_elementpath(value, local)
    except OverflowError as error:
        raise failure("FODT0002" if target in DURATIONS else "FOCA0003", str(error)) from None


def cast_sequence(value: Sequence[Any], local: str, optional: bool, static: Any) -> Sequence[Any]:
    """Carry out ``cast as``."""
    values = atomize(value)
    if len(values) > 1:
        raise failure("XPTY0004", f"cast wants one value, found {len(values)}")
    if not values:
        if optional:
            return []
        raise failure("XPTY0004", "cast wants one value, found none")
    if local in LIST_ITEMS:
        parts = string_of(values[0]).split()
        if not parts or base_of(type_name(values[0])) not in TEXT:
            raise failure("FORG0001" if not parts else "XPTY0004", f"no xs:{local}")
        return [cast_atomic(part, LIST_ITEMS[local]) for part in parts]
    if local == "numeric":
        found = values[0]
        if isinstance(found, (int, float, Decimal)) and type(found) is not bool:
            return [found]
        return [cast_atomic(found, "double")]
    return [cast_atomic(values[0], local, static)]


class TypeExpression(Expression):
    """An operator followed by a type."""

    label = "operator"
    preposition = "as"
    static: Any = None

    def led(self, left: Any) -> Any:
        """Parse the type."""
        parser = self.parser
        parser.take_name(self.preposition)
        self.static = parser.static
        self._items = [left]
        self.parse_type()
        following = parser.next_token
        if following.lbp >= self.lbp:
            raise following.unexpected_here()
        return self

    def parse_type(self) -> None:
        """Parse a sequence type."""
        self.type: SequenceType = parse_sequence_type(self.parser)


@named_operator("instance", lbp=60)
class InstanceOf(TypeExpression):
    """``instance of``; ``type`` is a sequence type."""

    preposition = "of"

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean."""
        return [self.type.matches(self._items[0].run(ctx))]


@named_operator("treat", lbp=61)
class Treat(TypeExpression):
    """``treat as``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the operand if it is of the type, else XPDY0050."""
        value: Sequence[Any] = self._items[0].run(ctx)
        if not self.type.matches(value):
            raise mismatch(value, self.type, "operand of treat", "XPDY0050")
        return value


class SingleType(TypeExpression):
    """``cast as`` and ``castable as``; ``local`` is the type's name, ``optional`` its question mark."""

    local = ""
    optional = False

    def parse_type(self) -> None:
        """Parse a name and a question mark."""
        parser = self.parser
        name = parser.qname()
        uri, local = split_name(name.expand(parser.static.element_namespace))
        if uri == PREFIXES["xs"] and local in ("anyAtomicType", "anySimpleType", "NOTATION"):
            raise name.wrong("XPST0080", f"nothing is cast to {name.value}")
        if uri != PREFIXES["xs"] or (local not in PARENTS and local not in LIST_TYPES):
            raise name.wrong("XQST0052", f"there is no simple type {name.value}")
        self.local = local
        if parser.next_token.symbol == "?":
            parser.advance()
            self.optional = True


@named_operator("castable", lbp=62)
class Castable(SingleType):
    """``castable as``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean."""
        value = atomize(self._items[0].run(ctx))
        try:
            cast_sequence(value, self.local, self.optional, self.static)
        except QueryError as error:
            if error.code.startswith("CLBG"):
                raise
            return [False]
        return [True]


@named_operator("cast", lbp=63)
class Cast(SingleType):
    """``cast as``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the value in the type."""
        return cast_sequence(self._items[0].run(ctx), self.local, self.optional, self.static)
