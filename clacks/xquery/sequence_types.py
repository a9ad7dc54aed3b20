"""Sequence types: what they are, whether a value matches, which is a subtype of which.

Types are small frozen objects made by the parser (``types_parser``), never text that is matched again. The
function conversion rules live in ``conversion``. Occurrence marks are kept as a pair of bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from elementpath.datatypes import AnyAtomicType, Float

from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XArray, XMap
from clacks.xquery.nodes import Node

__all__ = [
    "ANY",
    "ANY_ATOMIC",
    "ANY_FUNCTION",
    "ANY_ITEM",
    "EMPTY",
    "AnyItem",
    "ArrayTest",
    "AtomicType",
    "FunctionTest",
    "ItemType",
    "KindTest",
    "MapTest",
    "NameTest",
    "SequenceType",
    "atomic",
    "derives_from",
    "is_subtype",
    "parent_type",
    "type_name",
]

PARENTS = {
    "anyAtomicType": "anySimpleType",
    "anySimpleType": "anyType",
    "numeric": "anyAtomicType",
    "untypedAtomic": "anyAtomicType",
    "string": "anyAtomicType",
    "boolean": "anyAtomicType",
    "decimal": "numeric",
    "float": "numeric",
    "double": "numeric",
    "duration": "anyAtomicType",
    "yearMonthDuration": "duration",
    "dayTimeDuration": "duration",
    "dateTime": "anyAtomicType",
    "dateTimeStamp": "dateTime",
    "time": "anyAtomicType",
    "date": "anyAtomicType",
    "gYearMonth": "anyAtomicType",
    "gYear": "anyAtomicType",
    "gMonthDay": "anyAtomicType",
    "gDay": "anyAtomicType",
    "gMonth": "anyAtomicType",
    "hexBinary": "anyAtomicType",
    "base64Binary": "anyAtomicType",
    "anyURI": "anyAtomicType",
    "QName": "anyAtomicType",
    "NOTATION": "anyAtomicType",
    "normalizedString": "string",
    "token": "normalizedString",
    "language": "token",
    "NMTOKEN": "token",
    "Name": "token",
    "NCName": "Name",
    "ID": "NCName",
    "IDREF": "NCName",
    "ENTITY": "NCName",
    "integer": "decimal",
    "nonPositiveInteger": "integer",
    "negativeInteger": "nonPositiveInteger",
    "long": "integer",
    "int": "long",
    "short": "int",
    "byte": "short",
    "nonNegativeInteger": "integer",
    "unsignedLong": "nonNegativeInteger",
    "unsignedInt": "unsignedLong",
    "unsignedShort": "unsignedInt",
    "unsignedByte": "unsignedShort",
    "positiveInteger": "nonNegativeInteger",
    "error": "anyAtomicType",
}
"""Every atomic type and its base; xs:numeric is a union that stands between."""

LIST_TYPES = frozenset({"NMTOKENS", "IDREFS", "ENTITIES"})

EXACT: dict[type, str] = {str: "string", int: "integer", bool: "boolean", float: "double", Decimal: "decimal"}


def type_name(value: object) -> str:
    """Return the local name of the xs: type that ``value``, an atomic value, was made with."""
    cls = type(value)
    name = EXACT.get(cls)
    if name is None:
        declared = getattr(cls, "name", None)
        name = declared if isinstance(declared, str) else ""
        if name not in PARENTS:
            for base, base_name in ((bool, "boolean"), (Float, "float"), (int, "integer"), (str, "string")):
                if issubclass(cls, base):
                    name = base_name
                    break
            else:
                name = (
                    "double"
                    if issubclass(cls, float)
                    else "decimal"
                    if issubclass(cls, Decimal)
                    else "anyAtomicType"
                )
        EXACT[cls] = name
    return name


def parent_type(name: str) -> str | None:
    """Return the base of an atomic type, None for xs:anyType."""
    return PARENTS.get(name)


@lru_cache(maxsize=4096)
def derives_from(name: str, base: str) -> bool:
    """Tell whether the atomic type ``name`` is ``base`` or derived from it."""
    if name == "error":
        return True
    current: str | None = name
    while current is not None:
        if current == base:
            return True
        current = PARENTS.get(current)
    return False


class ItemType:
    """What one item may be."""

    __slots__ = ()

    def matches(self, item: Any) -> bool:
        """Tell whether ``item`` is of this type."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AnyItem(ItemType):
    """``item()``."""

    def matches(self, item: Any) -> bool:
        """Accept everything."""
        return True

    def __str__(self) -> str:
        return "item()"


@dataclass(frozen=True, slots=True)
class AtomicType(ItemType):
    """An atomic type of the xs: namespace, by its local name."""

    local: str

    def matches(self, item: Any) -> bool:
        """Accept values of the type and of types derived from it."""
        cls = type(item)
        name = EXACT.get(cls)
        if name is None:
            if not isinstance(item, (AnyAtomicType, str, int, float, Decimal)):
                return False
            name = type_name(item)
        return name == self.local or (derives_from(name, self.local) and self.local != "error")

    def __str__(self) -> str:
        return f"xs:{self.local}"


@dataclass(frozen=True, slots=True)
class NameTest(ItemType):
    """Names that a node may have; None stands for any."""

    namespace: str | None
    local: str | None

    def accepts(self, name: str | None) -> bool:
        """Tell whether an expanded name (``{uri}local`` or ``local``) fits."""
        if name is None:
            return self.local is None and self.namespace is None
        if name[:1] == "{":
            uri, _, local = name[1:].partition("}")
        else:
            uri, local = "", name
        return (self.local is None or self.local == local) and (
            self.namespace is None or self.namespace == uri
        )

    def __str__(self) -> str:
        if self.namespace is None:
            return "*" if self.local is None else f"*:{self.local}"
        return f"Q{{{self.namespace}}}{self.local or '*'}"


@dataclass(frozen=True, slots=True)
class KindTest(ItemType):
    """A test for nodes: kind, name, type annotation, and what a document holds.

    Without a schema every element is xs:untyped and every attribute xs:untypedAtomic, so ``annotation`` is
    decided by the type hierarchy alone.
    """

    kind: str | None = None
    name: NameTest | None = None
    annotation: str | None = None
    content: KindTest | None = None
    nillable: bool = False

    def matches(self, item: Any) -> bool:
        """Accept nodes of the kind, with the name and the annotation."""
        if not isinstance(item, Node):
            return False
        if self.kind is not None and item.kind != self.kind:
            return False
        if self.name is not None and not self.name.accepts(item.name):
            return False
        if self.annotation is not None:
            if self.kind == "element" and self.annotation not in ("untyped", "anyType"):
                return False
            if self.kind == "attribute" and not derives_from("untypedAtomic", self.annotation):
                return False
        if self.content is not None:
            elements = [child for child in item.children or () if child.kind == "element"]
            if any(child.kind == "text" for child in item.children or ()):
                return False
            return len(elements) == 1 and self.content.matches(elements[0])
        return True

    def __str__(self) -> str:
        inside = str(self.content or self.name or "")
        if self.annotation is not None:
            inside = f"{inside or '*'}, xs:{self.annotation}{'?' if self.nillable else ''}"
        name = {"document": "document-node", "namespace": "namespace-node", None: "node"}.get(
            self.kind, self.kind
        )
        return f"{name}({inside})"


@dataclass(frozen=True, slots=True)
class FunctionTest(ItemType):
    """``function(*)`` if ``parameters`` is None, else a signature."""

    parameters: tuple[SequenceType, ...] | None = None
    result: SequenceType | None = None

    def matches(self, item: Any) -> bool:
        """Accept functions whose signature is a subtype (results covariant, parameters contravariant)."""
        if not isinstance(item, FunctionItem):
            return False
        if self.parameters is None:
            return True
        assert self.result is not None
        if item.arity != len(self.parameters):
            return False
        if isinstance(item, XMap):
            # A map is function(xs:anyAtomicType) as V?, where V covers its values (3.1, 2.5.6.2).
            return (
                is_subtype(self.parameters[0], ANY_ATOMIC_ONE)
                and self.result.low == 0
                and all(self.result.matches(value) for value in item.values())
            )
        if isinstance(item, XArray):
            return is_subtype(self.parameters[0], INTEGER_ONE) and all(
                self.result.matches(member) for member in item.members
            )
        parameters, result = item.signature
        return is_subtype(result, self.result) and all(
            is_subtype(want, have) for want, have in zip(self.parameters, parameters)
        )

    def fits_signature(self, item: Any) -> bool:
        """Tell whether ``item`` is a function, no map or array, whose signature alone makes it fit."""
        return isinstance(item, FunctionItem) and not isinstance(item, (XMap, XArray)) and self.matches(item)

    def __str__(self) -> str:
        if self.parameters is None:
            return "function(*)"
        return f"function({', '.join(map(str, self.parameters))}) as {self.result}"


@dataclass(frozen=True, slots=True)
class MapTest(ItemType):
    """``map(*)`` if ``key`` is None."""

    key: AtomicType | None = None
    value: SequenceType | None = None

    def matches(self, item: Any) -> bool:
        """Accept maps whose keys and values all match."""
        if not isinstance(item, XMap):
            return False
        if self.key is None or self.value is None:
            return True
        key, value = self.key, self.value
        return all(key.matches(k) and value.matches(v) for k, v in item.items())

    def __str__(self) -> str:
        return "map(*)" if self.key is None else f"map({self.key}, {self.value})"


@dataclass(frozen=True, slots=True)
class ArrayTest(ItemType):
    """``array(*)`` if ``member`` is None."""

    member: SequenceType | None = None

    def matches(self, item: Any) -> bool:
        """Accept arrays whose members all match."""
        if not isinstance(item, XArray):
            return False
        member = self.member
        return member is None or all(member.matches(m) for m in item.members)

    def __str__(self) -> str:
        return f"array({self.member or '*'})"


@dataclass(frozen=True, slots=True)
class SequenceType:
    """An item type and how many items there may be; ``item`` None is ``empty-sequence()``."""

    item: ItemType | None
    low: int = 1
    high: int | None = 1

    def matches(self, value: Sequence[Any]) -> bool:
        """Tell whether a sequence is of this type."""
        count = len(value)
        if self.item is None:
            return count == 0
        if count == 1:
            return self.item.matches(value[0])
        if count < self.low or (self.high is not None and count > self.high):
            return False
        if isinstance(self.item, AnyItem):
            return True
        if type(value) is range:
            return count == 0 or self.item.matches(value[0])
        matches = self.item.matches
        return all(matches(item) for item in value)

    def __str__(self) -> str:
        if self.item is None:
            return "empty-sequence()"
        mark = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}[self.low, self.high]
        text = str(self.item)
        return f"({text}){mark}" if mark and " as " in text else text + mark


ANY_ITEM = AnyItem()
ANY = SequenceType(ANY_ITEM, 0, None)
EMPTY = SequenceType(None, 0, 0)
ANY_ATOMIC = AtomicType("anyAtomicType")
ANY_ATOMIC_ONE = SequenceType(ANY_ATOMIC)
INTEGER_ONE = SequenceType(AtomicType("integer"))
ANY_FUNCTION = FunctionTest()


@lru_cache(maxsize=256)
def atomic(local: str) -> AtomicType:
    """Return the atomic type of a local name."""
    return AtomicType(local)


def is_subtype(a: SequenceType, b: SequenceType) -> bool:
    """Tell whether every value of type ``a`` is of type ``b`` (3.1, 2.5.6.1)."""
    if a.item is None:
        return b.item is None or b.low == 0
    if isinstance(a.item, AtomicType) and a.item.local == "error":
        return a.low > 0 or b.item is None or b.low == 0
    if b.item is None:
        return False
    if a.low < b.low or (b.high is not None and (a.high is None or a.high > b.high)):
        return False
    return is_item_subtype(a.item, b.item)


def is_item_subtype(a: ItemType, b: ItemType) -> bool:
    """Tell whether every item of type ``a`` is of type ``b`` (3.1, 2.5.6.2)."""
    if isinstance(b, AnyItem):
        return True
    if isinstance(a, AtomicType) and isinstance(b, AtomicType):
        return derives_from(a.local, b.local)
    if isinstance(a, KindTest) and isinstance(b, KindTest):
        return is_kind_subtype(a, b)
    if isinstance(b, FunctionTest):
        return is_function_subtype(a, b)
    if isinstance(a, MapTest) and isinstance(b, MapTest):
        if b.key is None or b.value is None:
            return True
        return (
            a.key is not None
            and a.value is not None
            and derives_from(a.key.local, b.key.local)
            and is_subtype(a.value, b.value)
        )
    if isinstance(a, ArrayTest) and isinstance(b, ArrayTest):
        return (
            b.member is None or b.member == ANY or (a.member is not None and is_subtype(a.member, b.member))
        )
    return False


def is_kind_subtype(a: KindTest, b: KindTest) -> bool:
    """Compare two tests for nodes."""
    if b.kind is None:
        return True
    if a.kind != b.kind:
        return False
    if b.content is not None:
        return a.content is not None and is_kind_subtype(a.content, b.content)
    if b.name is not None:
        if b.name.local is not None and (a.name is None or a.name.local != b.name.local):
            return False
        if b.name.namespace is not None and (a.name is None or a.name.namespace != b.name.namespace):
            return False
    if b.annotation is None or (b.annotation == "anyType" and (b.nillable or not a.nillable)):
        return True
    if a.annotation is None or (a.nillable and not b.nillable):
        return False
    if "untyped" in (a.annotation, b.annotation):
        return a.annotation == b.annotation
    return derives_from(a.annotation, b.annotation)


def is_function_subtype(a: ItemType, b: FunctionTest) -> bool:
    """Compare a type with a function test."""
    if isinstance(a, MapTest):
        value = ANY if a.value is None else SequenceType(a.value.item, 0, a.value.high)
        return b.parameters is None or is_function_subtype(FunctionTest((ANY_ATOMIC_ONE,), value), b)
    if isinstance(a, ArrayTest):
        return b.parameters is None or is_function_subtype(FunctionTest((INTEGER_ONE,), a.member or ANY), b)
    if not isinstance(a, FunctionTest):
        return False
    if b.parameters is None:
        return True
    if a.parameters is None or len(a.parameters) != len(b.parameters):
        return False
    assert a.result is not None
    assert b.result is not None
    return is_subtype(a.result, b.result) and all(
        is_subtype(y, x) for x, y in zip(a.parameters, b.parameters)
    )
