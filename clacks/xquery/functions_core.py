"""Functions on the focus, on sequences and on booleans (F&O 3.1, 7.3, 14, 15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import QName

from clacks.xquery.conversion import atomize, boolean_value, string_of_item
from clacks.xquery.errors import ERR_NAMESPACE, failure
from clacks.xquery.library import function

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__: list[str] = []


def focus(ctx: Context) -> Any:
    """Return the context item; XPDY0002 if it is absent."""
    if ctx.item is None:
        raise failure("XPDY0002", "there is no context item")
    return ctx.item


@function("fn:position() as xs:integer")
def position(ctx: Context) -> int:
    """Return the context position."""
    focus(ctx)
    return ctx.position


@function("fn:last() as xs:integer")
def last(ctx: Context) -> int:
    """Return the context size."""
    focus(ctx)
    size: int = ctx.size  # type: ignore[assignment]
    return size


@function("fn:true() as xs:boolean")
def true(ctx: Context) -> bool:
    """Return true."""
    return True


@function("fn:false() as xs:boolean")
def false(ctx: Context) -> bool:
    """Return false."""
    return False


@function("fn:boolean($arg as item()*) as xs:boolean")
def boolean(ctx: Context, arg: Sequence[Any]) -> bool:
    """Return the effective boolean value."""
    return boolean_value(arg)


@function("fn:not($arg as item()*) as xs:boolean")
def not_(ctx: Context, arg: Sequence[Any]) -> bool:
    """Return the negated effective boolean value."""
    return not boolean_value(arg)


@function("fn:empty($arg as item()*) as xs:boolean")
def empty(ctx: Context, arg: Sequence[Any]) -> bool:
    """Tell whether a sequence is empty."""
    return not arg


@function("fn:exists($arg as item()*) as xs:boolean")
def exists(ctx: Context, arg: Sequence[Any]) -> bool:
    """Tell whether a sequence has items."""
    return bool(arg)


@function("fn:count($arg as item()*) as xs:integer")
def count(ctx: Context, arg: Sequence[Any]) -> int:
    """Return the number of items."""
    return len(arg)


@function("fn:head($arg as item()*) as item()?")
def head(ctx: Context, arg: Sequence[Any]) -> Any:
    """Return the first item."""
    return arg[0] if arg else None


@function("fn:tail($arg as item()*) as item()*")
def tail(ctx: Context, arg: Sequence[Any]) -> Sequence[Any]:
    """Return all items but the first."""
    ctx.execution.meter.step(1 if type(arg) is range else len(arg))
    return arg[1:]


@function("fn:zero-or-one($arg as item()*) as item()?")
def zero_or_one(ctx: Context, arg: Sequence[Any]) -> Any:
    """Return the argument if it has at most one item."""
    if len(arg) > 1:
        raise failure("FORG0003", f"zero-or-one was given {len(arg)} items")
    return arg


@function("fn:one-or-more($arg as item()*) as item()+")
def one_or_more(ctx: Context, arg: Sequence[Any]) -> Sequence[Any]:
    """Return the argument if it has items."""
    if not arg:
        raise failure("FORG0004", "one-or-more was given the empty sequence")
    return arg


@function("fn:exactly-one($arg as item()*) as item()")
def exactly_one(ctx: Context, arg: Sequence[Any]) -> Any:
    """Return the argument if it has one item."""
    if len(arg) != 1:
        raise failure("FORG0005", f"exactly-one was given {len(arg)} items")
    return arg


@function("fn:string() as xs:string", "fn:string($arg as item()?) as xs:string")
def string(ctx: Context, *args: Any) -> str:
    """Return the string value."""
    item = args[0] if args else focus(ctx)
    return "" if item is None else string_of_item(item)


@function("fn:data() as xs:anyAtomicType*", "fn:data($arg as item()*) as xs:anyAtomicType*")
def data(ctx: Context, *args: Any) -> Sequence[Any]:
    """Atomize."""
    return atomize(args[0] if args else [focus(ctx)])


@function("fn:reverse($arg as item()*) as item()*")
def reverse(ctx: Context, arg: Sequence[Any]) -> Sequence[Any]:
    """Return the items in reverse order."""
    ctx.execution.meter.step(1 if type(arg) is range else len(arg))
    return arg[::-1] if type(arg) is not range else list_of(ctx, arg)[::-1]


def list_of(ctx: Context, value: Sequence[Any]) -> list[Any]:
    """Return a list of the items, counting them first."""
    ctx.execution.meter.step(len(value))
    return list(value)


@function(
    "fn:error() as item()*",
    "fn:error($code as xs:QName?) as item()*",
    "fn:error($code as xs:QName?, $description as xs:string) as item()*",
    "fn:error($code as xs:QName?, $description as xs:string, $error-object as item()*) as item()*",
)
def error(ctx: Context, code: Any = None, description: str = "", value: Sequence[Any] = ()) -> Any:
    """Raise an error."""
    if code is None:
        raise failure("FOER0000", description or "fn:error was called", value)
    assert isinstance(code, QName)
    name = code.local_name if code.uri == ERR_NAMESPACE else f"Q{{{code.uri or ''}}}{code.local_name}"
    raised = failure(name, description or name, value)
    raised.prefix = code.prefix  # type: ignore[attr-defined]
    raise raised


@function(
    "fn:trace($value as item()*) as item()*", "fn:trace($value as item()*, $label as xs:string) as item()*"
)
def trace(ctx: Context, value: Sequence[Any], label: str = "") -> Sequence[Any]:
    """Return the value; nobody listens."""
    return value
