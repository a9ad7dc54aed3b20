"""Functions that take functions (F&O 3.1, 16), and functions on functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clacks.xquery.compare import sort_sequences
from clacks.xquery.context import Context
from clacks.xquery.conversion import atomize, describe
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.functions_strings import collation_of
from clacks.xquery.library import function
from clacks.xquery.maps import XArray

__all__ = ["call_boolean"]


def call_boolean(ctx: Context, action: FunctionItem, args: Sequence[Sequence[Any]]) -> bool:
    """Call a function that is declared to return one xs:boolean."""
    result = atomize(action.call(ctx, args))
    if len(result) != 1 or not isinstance(result[0], bool):
        from elementpath.datatypes import UntypedAtomic

        from clacks.xquery.casts import cast_atomic

        if len(result) == 1 and isinstance(result[0], UntypedAtomic):
            return bool(cast_atomic(result[0], "boolean"))
        found = describe(result[0]) if len(result) == 1 else f"{len(result)} items"
        raise failure("XPTY0004", f"the function must return xs:boolean, returned {found}")
    return result[0]


@function("fn:function-name($func as function(*)) as xs:QName?")
def function_name(ctx: Context, func: FunctionItem) -> Any:
    return func.qname


@function("fn:function-arity($func as function(*)) as xs:integer")
def function_arity(ctx: Context, func: FunctionItem) -> int:
    return func.arity


@function("fn:for-each($seq as item()*, $action as function(item()) as item()*) as item()*")
def for_each(ctx: Context, items: Sequence[Any], action: FunctionItem) -> list[Any]:
    out: list[Any] = []
    meter = ctx.execution.meter
    for item in items:
        meter.step()
        out.extend(extended(ctx, action.call(ctx, [[item]])))
    return out


def extended(ctx: Context, value: Sequence[Any]) -> Sequence[Any]:
    """Charge for a sequence that is about to be added to another."""
    ctx.execution.meter.step(len(value))
    return value


@function("fn:filter($seq as item()*, $f as function(item()) as xs:boolean) as item()*")
def filtered(ctx: Context, items: Sequence[Any], test: FunctionItem) -> list[Any]:
    meter = ctx.execution.meter
    out = []
    for item in items:
        meter.step()
        if call_boolean(ctx, test, [[item]]):
            out.append(item)
    return out


@function(
    "fn:fold-left($seq as item()*, $zero as item()*, $f as function(item()*, item()) as item()*) as item()*"
)
def fold_left(ctx: Context, items: Sequence[Any], zero: Sequence[Any], action: FunctionItem) -> Sequence[Any]:
    meter = ctx.execution.meter
    for item in items:
        meter.step()
        zero = action.call(ctx, [zero, [item]])
    return zero


@function(
    "fn:fold-right($seq as item()*, $zero as item()*, $f as function(item(), item()*) as item()*) as item()*"
)
def fold_right(
    ctx: Context, items: Sequence[Any], zero: Sequence[Any], action: FunctionItem
) -> Sequence[Any]:
    meter = ctx.execution.meter
    for item in reversed(items):
        meter.step()
        zero = action.call(ctx, [[item], zero])
    return zero


@function(
    "fn:for-each-pair($seq1 as item()*, $seq2 as item()*, $action as function(item(), item()) as item()*)"
    " as item()*"
)
def for_each_pair(ctx: Context, a: Sequence[Any], b: Sequence[Any], action: FunctionItem) -> list[Any]:
    out: list[Any] = []
    for x, y in zip(a, b):
        ctx.execution.meter.step()
        out.extend(extended(ctx, action.call(ctx, [[x], [y]])))
    return out


@function(
    "fn:sort($input as item()*) as item()*",
    "fn:sort($input as item()*, $collation as xs:string?) as item()*",
    "fn:sort($input as item()*, $collation as xs:string?, $key as function(item()) as xs:anyAtomicType*)"
    " as item()*",
)
def sort(
    ctx: Context, items: Sequence[Any], uri: str | None = None, key: FunctionItem | None = None
) -> Sequence[Any]:
    collation = collation_of(ctx, uri)
    if type(items) is range and key is None:
        return items
    meter = ctx.execution.meter

    def key_of(item: Any) -> Sequence[Any]:
        meter.step()
        return atomize([item]) if key is None else atomize(key.call(ctx, [[item]]))

    return sort_sequences(items, key_of, collation, ctx.execution.timezone, meter.step)


@function("fn:apply($function as function(*), $array as array(*)) as item()*")
def apply(ctx: Context, func: FunctionItem, arguments: XArray) -> Sequence[Any]:
    if func.arity != len(arguments):
        raise failure("FOAP0001", f"a function of {func.arity} arguments and an array of {len(arguments)}")
    return func.call(ctx, arguments.members)
