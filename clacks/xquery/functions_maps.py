"""Functions on maps and arrays (F&O 3.1, 17)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from clacks.xquery.collector import Growth
from clacks.xquery.compare import sort_sequences
from clacks.xquery.context import Context
from clacks.xquery.conversion import atomize, mismatch
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.functions_higher import call_boolean
from clacks.xquery.functions_strings import collation_of
from clacks.xquery.library import function
from clacks.xquery.maps import XArray, XEntry, XMap, same_key
from clacks.xquery.sequence_types import MapTest, SequenceType

__all__ = ["merge_pieces"]

MAPS = SequenceType(MapTest(), 0, None)
DUPLICATES = ("reject", "use-first", "use-last", "use-any", "combine")


def merge_pieces(ctx: Context, pieces: Iterable[Sequence[Any]]) -> XMap:
    """Join the maps of a sequence that comes in pieces; of equal keys the first one counts.

    A piece is gone when its entries are taken: a large map is mostly made from as many small ones as it has
    entries.
    """
    meter = ctx.execution.meter
    entries: dict[object, tuple[Any, Sequence[Any]]] = {}
    with Growth() as growth:
        for piece in pieces:
            for item in piece:
                if type(item) is XEntry:  # who made it took a step
                    key = item.own_key
                    plain = key if type(key) is str else same_key(key)
                    if plain not in entries:
                        entries[plain] = (key, item.own_value)
                    continue
                if not isinstance(item, XMap):
                    raise mismatch(piece, MAPS, "argument 1 of map:merge")
                meter.left -= 1 + len(item)
                if meter.left < meter.look_at:
                    meter.check()
                item.first(entries)
            growth.look(len(entries))
    return XMap.of_entries(entries)


@function(
    "map:merge($maps as map(*)*) as map(*)",
    "map:merge($maps as map(*)*, $options as map(*)) as map(*)",
)
def merge(ctx: Context, maps: Sequence[XMap], options: XMap | None = None) -> XMap:
    duplicates = "use-first"
    if options is not None:
        given = options.get("duplicates")
        if given is not None:
            value = given[0] if len(given) == 1 else None
            if value not in DUPLICATES:
                raise failure("FOJS0005", f"duplicates must be one of {', '.join(DUPLICATES)}")
            duplicates = str(value)
    meter = ctx.execution.meter
    entries: dict[object, tuple[Any, Sequence[Any]]] = {}
    if duplicates in ("use-first", "use-any"):
        return merge_pieces(ctx, [maps])
    for map_item in maps:
        meter.step(1 + len(map_item))
        for key, pair in map_item.entries.items():
            if key not in entries:
                entries[key] = pair
            elif duplicates == "reject":
                raise failure("FOJS0003", f"the key {pair[0]} is there twice")
            elif duplicates == "use-last":
                entries[key] = pair
            elif duplicates == "combine":
                first, value = entries[key]
                meter.step(len(value) + len(pair[1]))
                entries[key] = (first, [*value, *pair[1]])
    return XMap.of_entries(entries)


@function("map:size($map as map(*)) as xs:integer")
def map_size(ctx: Context, map_item: XMap) -> int:
    return len(map_item)


@function("map:keys($map as map(*)) as xs:anyAtomicType*")
def map_keys(ctx: Context, map_item: XMap) -> list[Any]:
    ctx.execution.meter.step(1 + len(map_item))
    return list(map_item.keys())


@function("map:contains($map as map(*), $key as xs:anyAtomicType) as xs:boolean")
def map_contains(ctx: Context, map_item: XMap, key: Any) -> bool:
    return map_item.get(key) is not None


@function("map:get($map as map(*), $key as xs:anyAtomicType) as item()*")
def map_get(ctx: Context, map_item: XMap, key: Any) -> Sequence[Any]:
    value = map_item.get(key)
    return [] if value is None else value


@function("map:find($input as item()*, $key as xs:anyAtomicType) as array(*)")
def map_find(ctx: Context, value: Sequence[Any], key: Any) -> XArray:
    wanted = same_key(key)
    step = ctx.execution.meter.step
    found: list[Sequence[Any]] = []
    # Pairs of whether it is the value of the key, and a sequence; a stack, as maps and arrays may be deep.
    stack: list[Iterator[tuple[bool, Sequence[Any]]]] = [iter([(False, value)])]
    while stack:
        for is_it, sequence in stack[-1]:
            step()
            if is_it:
                found.append(sequence)
            inner: list[tuple[bool, Sequence[Any]]] = []
            if type(sequence) is not range:
                for item in sequence:
                    if isinstance(item, XMap):
                        inner += [(own == wanted, pair[1]) for own, pair in item.entries.items()]
                    elif isinstance(item, XArray):
                        inner += [(False, member) for member in item.members]
                step(len(sequence) + len(inner))
            if inner:
                stack.append(iter(inner))
                break
        else:
            stack.pop()
    return XArray(found)


@function("map:put($map as map(*), $key as xs:anyAtomicType, $value as item()*) as map(*)")
def map_put(ctx: Context, map_item: XMap, key: Any, value: Sequence[Any]) -> XMap:
    return map_item.put(key, value, ctx.execution.meter)


@function("map:entry($key as xs:anyAtomicType, $value as item()*) as map(*)")
def map_entry(ctx: Context, key: Any, value: Sequence[Any]) -> XMap:
    return XEntry(key, value)


@function("map:remove($map as map(*), $keys as xs:anyAtomicType*) as map(*)")
def map_remove(ctx: Context, map_item: XMap, keys: Sequence[Any]) -> XMap:
    ctx.execution.meter.step(map_item.copied + len(keys))
    return map_item.remove(keys)


@function(
    "map:for-each($map as map(*), $action as function(xs:anyAtomicType, item()*) as item()*) as item()*"
)
def map_for_each(ctx: Context, map_item: XMap, action: FunctionItem) -> list[Any]:
    out: list[Any] = []
    for key, value in map_item.items():
        result = action.call(ctx, [[key], value])
        ctx.execution.meter.step(1 + len(result))
        out.extend(result)
    return out


# arrays


def copied(ctx: Context, array: XArray) -> list[Sequence[Any]]:
    """Return a copy of the members, charged for."""
    ctx.execution.meter.step(1 + len(array) // 4)
    return list(array.members)


def check_place(position: int, last: int) -> None:
    """Raise FOAY0001 unless a position lies between 1 and ``last``."""
    if not 1 <= position <= last:
        raise failure("FOAY0001", f"no position {position}, there are 1 to {last}")


@function("array:size($array as array(*)) as xs:integer")
def array_size(ctx: Context, array: XArray) -> int:
    return len(array)


@function("array:get($array as array(*), $position as xs:integer) as item()*")
def array_get(ctx: Context, array: XArray, position: int) -> Sequence[Any]:
    return array.at(position)


@function("array:put($array as array(*), $position as xs:integer, $member as item()*) as array(*)")
def array_put(ctx: Context, array: XArray, position: int, member: Sequence[Any]) -> XArray:
    check_place(position, len(array))
    members = copied(ctx, array)
    members[position - 1] = member
    return XArray(members)


@function("array:append($array as array(*), $appendage as item()*) as array(*)")
def array_append(ctx: Context, array: XArray, member: Sequence[Any]) -> XArray:
    members = copied(ctx, array)
    members.append(member)
    return XArray(members)


@function(
    "array:subarray($array as array(*), $start as xs:integer) as array(*)",
    "array:subarray($array as array(*), $start as xs:integer, $length as xs:integer) as array(*)",
)
def array_subarray(ctx: Context, array: XArray, start: int, length: int | None = None) -> XArray:
    check_place(start, len(array) + 1)
    if length is None:
        length = len(array) + 1 - start
    if length < 0:
        raise failure("FOAY0002", f"a length of {length}")
    check_place(start + length, len(array) + 1)
    return XArray(copied(ctx, array)[start - 1 : start - 1 + length])


@function("array:remove($array as array(*), $positions as xs:integer*) as array(*)")
def array_remove(ctx: Context, array: XArray, positions: Sequence[int]) -> XArray:
    ctx.execution.meter.step(1 + len(positions))
    for position in positions:
        check_place(position, len(array))
    gone = set(positions)
    return XArray(m for n, m in enumerate(copied(ctx, array), 1) if n not in gone)


@function("array:insert-before($array as array(*), $position as xs:integer, $member as item()*) as array(*)")
def array_insert_before(ctx: Context, array: XArray, position: int, member: Sequence[Any]) -> XArray:
    check_place(position, len(array) + 1)
    members = copied(ctx, array)
    members.insert(position - 1, member)
    return XArray(members)


@function("array:head($array as array(*)) as item()*")
def array_head(ctx: Context, array: XArray) -> Sequence[Any]:
    check_place(1, len(array))
    return array.members[0]


@function("array:tail($array as array(*)) as array(*)")
def array_tail(ctx: Context, array: XArray) -> XArray:
    check_place(1, len(array))
    return XArray(copied(ctx, array)[1:])


@function("array:reverse($array as array(*)) as array(*)")
def array_reverse(ctx: Context, array: XArray) -> XArray:
    return XArray(copied(ctx, array)[::-1])


@function("array:join($arrays as array(*)*) as array(*)")
def array_join(ctx: Context, arrays: Sequence[XArray]) -> XArray:
    members: list[Sequence[Any]] = []
    for array in arrays:
        ctx.execution.meter.step(1 + len(array))
        members.extend(array.members)
    return XArray(members)


@function("array:flatten($input as item()*) as item()*")
def array_flatten(ctx: Context, value: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    meter = ctx.execution.meter
    stack: list[Iterator[Any]] = [iter(value)]
    while stack:
        for item in stack[-1]:
            meter.step()
            if isinstance(item, XArray):
                # A member is a sequence; an array inside is taken apart in its place.
                stack.append(i for member in item.members for i in member)
                break
            out.append(item)
        else:
            stack.pop()
    return out


@function("array:for-each($array as array(*), $action as function(item()*) as item()*) as array(*)")
def array_for_each(ctx: Context, array: XArray, action: FunctionItem) -> XArray:
    ctx.execution.meter.step(1 + len(array))
    return XArray([action.call(ctx, [member]) for member in array.members])


@function("array:filter($array as array(*), $function as function(item()*) as xs:boolean) as array(*)")
def array_filter(ctx: Context, array: XArray, test: FunctionItem) -> XArray:
    ctx.execution.meter.step(1 + len(array))
    return XArray([member for member in array.members if call_boolean(ctx, test, [member])])


@function(
    "array:fold-left($array as array(*), $zero as item()*,"
    " $function as function(item()*, item()*) as item()*) as item()*"
)
def array_fold_left(ctx: Context, array: XArray, zero: Sequence[Any], action: FunctionItem) -> Sequence[Any]:
    for member in array.members:
        ctx.execution.meter.step()
        zero = action.call(ctx, [zero, member])
    return zero


@function(
    "array:fold-right($array as array(*), $zero as item()*,"
    " $function as function(item()*, item()*) as item()*) as item()*"
)
def array_fold_right(ctx: Context, array: XArray, zero: Sequence[Any], action: FunctionItem) -> Sequence[Any]:
    for member in reversed(array.members):
        ctx.execution.meter.step()
        zero = action.call(ctx, [member, zero])
    return zero


@function(
    "array:for-each-pair($array1 as array(*), $array2 as array(*),"
    " $function as function(item()*, item()*) as item()*) as array(*)"
)
def array_for_each_pair(ctx: Context, a: XArray, b: XArray, action: FunctionItem) -> XArray:
    ctx.execution.meter.step(1 + min(len(a), len(b)))
    return XArray([action.call(ctx, [x, y]) for x, y in zip(a.members, b.members)])


@function(
    "array:sort($array as array(*)) as array(*)",
    "array:sort($array as array(*), $collation as xs:string?) as array(*)",
    "array:sort($array as array(*), $collation as xs:string?,"
    " $key as function(item()*) as xs:anyAtomicType*) as array(*)",
)
def array_sort(
    ctx: Context, array: XArray, uri: str | None = None, key: FunctionItem | None = None
) -> XArray:
    collation = collation_of(ctx, uri)
    meter = ctx.execution.meter

    def key_of(member: Sequence[Any]) -> Sequence[Any]:
        meter.step(1 + len(member))
        return atomize(member) if key is None else atomize(key.call(ctx, [member]))

    return XArray(sort_sequences(array.members, key_of, collation, ctx.execution.timezone, meter.step))
