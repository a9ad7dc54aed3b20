"""Maps and arrays: immutable function items.

A map compares keys as ``op:same-key`` does: numbers by their exact value whatever their type, strings, URIs
and untyped values by code points, dates and times only among themselves and only if both or neither have a
timezone; NaN is the same key as NaN, and true() is not 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from math import isqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import AbstractDateTime, AnyURI, Duration, UntypedAtomic

from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem

if TYPE_CHECKING:
    from clacks.xquery.budget import Meter
    from clacks.xquery.context import Context
    from clacks.xquery.sequence_types import SequenceType

__all__ = ["EMPTY_MAP", "XArray", "XEntry", "XMap", "one_key", "same_key"]


def same_key(key: Any) -> object:
    """Return a hashable object that is equal for keys that ``op:same-key`` calls the same."""
    cls = type(key)
    if cls is str or cls is int:
        return key
    if cls is bool:
        return ("boolean", key)
    # Classes of Python first: those of elementpath have a metaclass whose isinstance is slow.
    if isinstance(key, float):
        return "\x00NaN" if math.isnan(key) else float(key)
    if isinstance(key, Decimal):
        return key
    if isinstance(key, int):
        return int(key)
    if isinstance(key, (str, UntypedAtomic, AnyURI)):
        return str(key)
    if isinstance(key, AbstractDateTime):
        return (cls.__name__.rstrip("10"), key.tzinfo is None, key.todelta())
    if isinstance(key, Duration):
        return ("duration", key.months, key.seconds)
    return (cls.__name__, key)


def one_key(argument: Sequence[Any]) -> Any:
    """Return the key that the argument of a map stands for; XPTY0004 if it is not one atomic value."""
    from clacks.xquery.conversion import atomize

    keys = atomize(argument)
    if len(keys) != 1:
        raise failure("XPTY0004", f"a map takes one key, found {len(keys)}")
    return keys[0]


Entries = dict[object, tuple[Any, "Sequence[Any]"]]
ENTRIES_A_STEP = 16
SMALL = 32
"""Entries up to which a map is simply copied."""


class XMap(FunctionItem):
    """A map item. Made from pairs; later pairs with the same key win unless the maker checks first.

    A large map that was made from another by ``put`` or ``remove`` shares its entries and holds only the
    changes; they are joined when there are many, or when somebody goes through the entries. So a map of n
    entries that is built by n times ``map:put`` costs n times the root of n, not n times n.
    """

    symbol = "map"
    label = "map"
    _changes: Mapping[object, tuple[Any, Sequence[Any]] | None] = MappingProxyType({})

    def __init__(self, pairs: Iterable[tuple[Any, Sequence[Any]]] = ()) -> None:
        self._base: Entries = {same_key(k): (k, v) for k, v in pairs}
        self._size = len(self._base)

    @classmethod
    def of_entries(cls, entries: dict[object, tuple[Any, Sequence[Any]]]) -> XMap:
        """Make a map that takes over ``entries`` (normalized key to pair)."""
        self = cls.__new__(cls)
        self._base = entries
        self._size = len(entries)
        return self

    @property
    def entries(self) -> Entries:
        """Return all entries, normalized key to pair; do not change."""
        # Changes are read before the entries and written after them: a thread in between sees the same map.
        changes = self._changes
        if changes:
            joined = dict(self._base)
            for plain, pair in changes.items():
                if pair is None:
                    joined.pop(plain, None)
                else:
                    joined[plain] = pair
            self._base = joined
            self._changes = MappingProxyType({})
        return self._base

    def first(self, into: Entries) -> None:
        """Put the entries into ``into`` whose keys it lacks."""
        for plain, pair in self.entries.items():
            into.setdefault(plain, pair)

    def find(self, plain: object) -> tuple[Any, Sequence[Any]] | None:
        """Return the pair of a normalized key, None if there is none."""
        changes = self._changes
        return changes[plain] if changes and plain in changes else self._base.get(plain)

    @property
    def copied(self) -> int:
        """Return about how many steps it takes to make a map with one more change: entries are copied."""
        if self._size < SMALL:
            return self._size // ENTRIES_A_STEP
        return isqrt(self._size) if self._changes else 0

    def changed(self, changes: Mapping[object, tuple[Any, Sequence[Any]] | None], size: int) -> XMap:
        """Return a map with some more changes (None removes), ``size`` entries in all."""
        twin = XMap.__new__(XMap)
        twin._changes = {**self._changes, **changes} if self._changes else changes
        twin._base = self._base
        twin._size = size
        many = len(twin._changes)
        if self._size < SMALL or (many > SMALL and many > SMALL + isqrt(self._size)):
            twin._base = twin.entries
        return twin

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return self.keys()

    def __repr__(self) -> str:
        return f"XMap({list(self.items())!r})"

    __str__ = __repr__

    @property
    def arity(self) -> int:
        """Return 1: a map is a function of its key."""
        return 1

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return function(xs:anyAtomicType) as item()*."""
        from clacks.xquery.sequence_types import ANY, ANY_ATOMIC_ONE

        return (ANY_ATOMIC_ONE,), ANY

    def keys(self) -> Iterator[Any]:
        """Iterate over the keys."""
        return (key for key, _ in self.entries.values())

    def values(self) -> Iterator[Sequence[Any]]:
        """Iterate over the values, each a sequence."""
        return (value for _, value in self.entries.values())

    def items(self) -> Iterator[tuple[Any, Sequence[Any]]]:
        """Iterate over pairs of key and value."""
        return iter(self.entries.values())

    def get(self, key: Any) -> Sequence[Any] | None:
        """Return the value of ``key`` (an atomic value), None if there is none."""
        pair = self.find(key if type(key) is str else same_key(key))
        return None if pair is None else pair[1]

    def put(self, key: Any, value: Sequence[Any], meter: Meter) -> XMap:
        """Return a map with one more or another entry; an entry that was there keeps its place."""
        plain = key if type(key) is str else same_key(key)
        if self._size >= SMALL and not self._changes:
            meter.left -= 1
            twin = XMap.__new__(XMap)
            twin._changes = {plain: (key, value)}
            twin._base = base = self._base
            twin._size = self._size + (plain not in base)
            return twin
        meter.step(1 + self.copied)
        return self.changed({plain: (key, value)}, self._size + (self.find(plain) is None))

    def remove(self, keys: Iterable[Any]) -> XMap:  # type: ignore[override]  # a map is no list of operands
        """Return a map without some keys."""
        gone: dict[object, tuple[Any, Sequence[Any]] | None] = {}
        for key in keys:
            plain = key if type(key) is str else same_key(key)
            if self.find(plain) is not None:
                gone[plain] = None
        return self.changed(gone, self._size - len(gone)) if gone else self

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Look up a key."""
        value = self.get(one_key(args[0]))
        return [] if value is None else value


EMPTY_MAP = XMap()


class XEntry(XMap):
    """A map of one entry. Large maps are made from as many of them as they have entries, so it is small.

    Attributes:
        own_key: The key, as it was given.
        own_value: Its value.
    """

    _size = 1

    def __init__(self, key: Any, value: Sequence[Any]) -> None:
        self.own_key = key
        self.own_value = value

    @property
    def _base(self) -> Entries:  # type: ignore[override]  # made when asked for
        return {same_key(self.own_key): (self.own_key, self.own_value)}


class XArray(FunctionItem):
    """An array item.

    Attributes:
        members: The members, each a sequence; never changed.
    """

    symbol = "array"
    label = "array"

    def __init__(self, members: Iterable[Sequence[Any]] = ()) -> None:
        self.members: list[Sequence[Any]] = list(members)

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.members)

    def __repr__(self) -> str:
        return f"XArray({self.members!r})"

    __str__ = __repr__

    @property
    def arity(self) -> int:
        """Return 1: an array is a function of the position."""
        return 1

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return function(xs:integer) as item()*."""
        from clacks.xquery.sequence_types import ANY, INTEGER_ONE

        return (INTEGER_ONE,), ANY

    def at(self, position: int) -> Sequence[Any]:
        """Return the member at a position counted from 1; FOAY0001 if there is none."""
        if not 1 <= position <= len(self.members):
            raise failure("FOAY0001", f"no member {position} in an array of {len(self.members)}")
        return self.members[position - 1]

    def flatten(self) -> Iterator[Any]:
        """Iterate over all items, arrays inside taken apart too; without recursion, as they may be deep."""
        stack = [chain.from_iterable(self.members)]
        while stack:
            for item in stack[-1]:
                if isinstance(item, XArray):
                    stack.append(chain.from_iterable(item.members))
                    break
                yield item
            else:
                stack.pop()

    iter_flatten = flatten

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Return the member at a position."""
        from clacks.xquery.conversion import convert
        from clacks.xquery.sequence_types import INTEGER_ONE

        return self.at(convert(args[0], INTEGER_ONE)[0])
