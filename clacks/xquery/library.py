"""The function library: which function a name and an arity stand for.

A function is written in Python and registered with its XPath signature, from which arguments are converted
by the function conversion rules (XQuery 3.1, 3.1.5.2) before Python sees them::

    @function("fn:upper-case($arg as xs:string?) as xs:string")
    def upper_case(ctx: Context, arg: str | None) -> str:
        return (arg or "").upper()

- One decorator may name several arities of one function, one signature each; the Python function takes the
  extra arguments as optional ones.
- A parameter whose type has no occurrence mark arrives as an item, with ``?`` as an item or None, with ``*``
  or ``+`` as a sequence (a list, or a ``range`` of integers: never change it, never ask ``isinstance(x,
  list)``).
- Items are elementpath's datatypes (str, int, Decimal, float, bool, Float, UntypedAtomic, AnyURI, QName,
  dates, durations, binaries), nodes (subclasses of elementpath's XPathNode), and function items, maps and
  arrays (``FunctionItem``, ``XMap``, ``XArray`` of this package).
- The result is an item, None for the empty sequence, or a sequence.
- ``ctx`` is the dynamic context (``context.Context``): ``ctx.item`` (None if absent), ``ctx.position``,
  ``ctx.size``, ``ctx.static`` (the static context of the calling expression: namespaces, base URI, default
  collation, decimal formats), ``ctx.execution`` (what one run of a query shares: meter, clock, resolvers).
- Errors: ``raise failure("FOCH0002", "...")``.

What is not registered here is taken from elementpath's symbol table (``bridge.py``): its function classes run
behind the same conversion of arguments. A registration always wins over elementpath's class.

Prefixes in signatures: fn, xs, math, map, array, err, local.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["PREFIXES", "Builtin", "builtins", "function"]

PREFIXES = {
    "fn": "http://www.w3.org/2005/xpath-functions",
    "xs": "http://www.w3.org/2001/XMLSchema",
    "math": "http://www.w3.org/2005/xpath-functions/math",
    "map": "http://www.w3.org/2005/xpath-functions/map",
    "array": "http://www.w3.org/2005/xpath-functions/array",
    "err": "http://www.w3.org/2005/xqt-errors",
    "local": "http://www.w3.org/2005/xquery-local-functions",
}

F = TypeVar("F", bound=Callable[..., Any])

SIGNATURE = re.compile(r"(\w+):([\w-]+)\((.*)\)\s+as\s+(.*)", re.S)
PARAMETER = re.compile(r"\$([\w-]+)\s+as\s+")


@dataclass(frozen=True)
class Builtin:
    """A function of the library at one arity.

    Attributes:
        namespace: Namespace URI of its name.
        local: Local name.
        parameters: Names of its parameters.
        types: Sequence types of its parameters, as text.
        result: Sequence type of its result, as text.
        call: The Python function; takes the context, then the converted arguments.
    """

    namespace: str
    local: str
    parameters: tuple[str, ...]
    types: tuple[str, ...]
    result: str
    call: Callable[..., Any] = field(compare=False)

    @property
    def arity(self) -> int:
        """Return the number of parameters."""
        return len(self.parameters)


builtins: dict[tuple[str, str, int], Builtin] = {}
"""All registered functions by namespace, local name and arity. Filled on import, constant afterwards."""


def function(*signatures: str) -> Callable[[F], F]:
    """Register a Python function as the XPath function of the given signatures."""

    def register(call: F) -> F:
        for text in signatures:
            match = SIGNATURE.fullmatch(text.strip())
            if match is None:
                raise ValueError(f"not a function signature: {text!r}")
            prefix, local, inside, result = match.groups()
            # "$a as T, $b as U" split at the parameters' names: types may hold commas themselves.
            pieces = PARAMETER.split(inside)
            names = tuple(pieces[1::2])
            types = tuple(piece.strip().rstrip(",").strip() for piece in pieces[2::2])
            builtin = Builtin(PREFIXES[prefix], local, names, types, result.strip(), call)
            builtins[builtin.namespace, local, len(names)] = builtin
        return call

    return register
