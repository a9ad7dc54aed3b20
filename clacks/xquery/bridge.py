"""elementpath's functions behind our calling convention.

What ``library`` does not hold is looked up in elementpath's symbol table. One of its function classes is
made anew for each call, with the converted arguments as its operands and the static context in place of its
parser, so that nothing is written to anything shared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from elementpath.datatypes import QName
from elementpath.exceptions import ElementPathError
from elementpath.xpath31 import XPath31Parser
from elementpath.xpath_tokens import ProxyToken, ValueToken, XPathFunction

from clacks.xquery.conversion import argument_converter, string_of_item
from clacks.xquery.errors import failure
from clacks.xquery.library import PREFIXES, Builtin, builtins
from clacks.xquery.sequence_types import FunctionTest, SequenceType
from clacks.xquery.types_parser import sequence_type

__all__ = ["LibraryFunction", "find_builtin"]

FORBIDDEN = frozenset(
    {"environment-variable", "available-environment-variables", "unparsed-text", "json-doc"}
)


class LibraryFunction:
    """A function of the library, ready to be called.

    Attributes:
        qname: Its name.
        parameters: Types of the parameters.
        result: Type of the result.
        call: Python function of the context and the converted arguments, each an item, None or a sequence.
        converters: For each parameter a function that converts an argument.
    """

    __slots__ = ("call", "converters", "parameters", "qname", "result")

    def __init__(
        self,
        qname: QName,
        parameters: tuple[SequenceType, ...],
        result: SequenceType,
        call: Callable[..., Any],
    ) -> None:
        self.qname = qname
        self.parameters = parameters
        self.result = result
        self.call = call
        self.converters = tuple(argument_converter(p) for p in parameters)


@lru_cache(maxsize=4096)
def find_builtin(namespace: str, local: str, arity: int) -> LibraryFunction | None:
    """Return the library function of a name and an arity, None if there is none."""
    prefix = next((p for p, u in PREFIXES.items() if u == namespace), "")
    own = builtins.get((namespace, local, arity))
    if own is None:
        # fn:concat, the only function without an upper bound, takes two arguments at least.
        own = builtins.get((namespace, local, -1)) if arity >= 2 else None
        if own is not None:
            own = Builtin(namespace, local, own.parameters * arity, own.types * arity, own.result, own.call)
    if own is not None:
        return LibraryFunction(
            QName(namespace, f"{prefix}:{local}"),
            tuple(sequence_type(text) for text in own.types),
            sequence_type(own.result),
            own.call,
        )
    return from_elementpath(namespace, local, arity, prefix)


def from_elementpath(namespace: str, local: str, arity: int, prefix: str) -> LibraryFunction | None:
    """Wrap one of elementpath's function classes."""
    if local in FORBIDDEN or namespace == PREFIXES["xs"]:
        return None
    table = XPath31Parser.symbol_table
    cls: Any = table.get(f"{{{namespace}}}{local}") or table.get(local)
    if (
        cls is None
        or not issubclass(cls, XPathFunction)
        or issubclass(cls, ProxyToken)
        or (cls.namespace or PREFIXES["fn"]) != namespace
        or "function" not in str(cls.label)
    ):
        return None
    nargs = cls.nargs
    if isinstance(nargs, int) and nargs != arity:
        return None
    if isinstance(nargs, tuple) and (arity < nargs[0] or (nargs[1] is not None and arity > nargs[1])):
        return None
    qname = QName(namespace, f"{prefix}:{local}")
    signature = XPath31Parser.function_signatures.get((qname, arity))
    if signature is None:
        return None
    test = sequence_type(signature).item
    assert isinstance(test, FunctionTest)
    assert test.parameters is not None
    assert test.result is not None
    bridged = type(cls.__name__, (Bridged, cls), {"__module__": __name__})
    return LibraryFunction(qname, test.parameters, test.result, caller(bridged))


class Bridged:
    """What elementpath's function classes get from us instead of their own helpers."""

    def string_value(self, item: Any) -> str:
        """Return the string value of an item."""
        return "" if item is None else string_of_item(item)


def caller(cls: Any) -> Callable[..., Any]:
    """Return a Python function that makes and evaluates one token for each call."""

    def call(ctx: Any, *args: Any) -> Any:
        static = ctx.static
        function = cls(static)
        function.label = "function" if "function" in function.label else function.label
        function._items = [ValueToken(static, [] if arg is None else arg) for arg in args]
        try:
            return list(function.select(ctx))
        except ElementPathError as error:
            code = str(error.code or "FOER0000").rpartition(":")[2]
            message = getattr(error, "message", None) or str(error)
            raise failure(code, str(message)) from None
        except (OverflowError, ValueError, TypeError, ArithmeticError) as error:
            raise failure("FORG0001", str(error)) from None

    return call
