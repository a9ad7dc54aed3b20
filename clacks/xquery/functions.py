"""Function items: values that can be called. True closures: a function item holds its own captured bindings.

Nothing here ever writes to a token, so one compiled query may be run by many threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import QName
from elementpath.xpath_tokens import XPathFunction

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.sequence_types import SequenceType

__all__ = ["FunctionItem", "PartialFunction"]


class FunctionItem(XPathFunction):
    """A function as a value.

    A subclass of elementpath's function token only so that elementpath's own functions know it for one.

    Attributes:
        qname: The name, or None for an anonymous function.
        parameter_names: Names of the parameters, for people.
        annotations: Annotations as pairs of expanded name and values.
    """

    symbol = "function"
    label = "function"
    parameter_names: tuple[str, ...] = ()
    annotations: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    _items: Any = ()
    nargs = None

    def __init__(self) -> None:
        """Take nothing: what elementpath's tokens have is the same for all."""

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<function {self.qname.qname if self.qname else '(anonymous)'}#{self.arity}>"

    __str__ = __repr__

    @property
    def qname(self) -> QName | None:
        """Return the name of the function, None for an anonymous one."""
        return None

    @property
    def arity(self) -> int:
        """Return the number of arguments it takes."""
        raise NotImplementedError

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return the types of parameters and result."""
        raise NotImplementedError

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Call the function: arguments are converted to its signature, the result too.

        Args:
            ctx: The caller's context; only what the whole run shares is taken from it.
            args: One sequence for each parameter.
        """
        raise NotImplementedError

    def __call__(self, *args: Any, context: Any = None) -> Any:
        """Call with loose arguments (an item, None or a list each), as elementpath's functions do."""
        sequences = [a if isinstance(a, (list, range)) else [] if a is None else [a] for a in args]
        result = self.call(context, sequences)
        return result[0] if len(result) == 1 else list(result)


class PartialFunction(FunctionItem):
    """A function with some arguments fixed: ``f(1, ?)``."""

    def __init__(self, target: FunctionItem, fixed: Sequence[Sequence[Any] | None]) -> None:
        super().__init__()
        self.target = target
        self.fixed = tuple(fixed)
        self.open = [index for index, value in enumerate(self.fixed) if value is None]

    @property
    def arity(self) -> int:
        """Return the number of open arguments."""
        return len(self.open)

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return the types of the open parameters and of the result."""
        parameters, result = self.target.signature
        return tuple(parameters[index] for index in self.open), result

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Fill the open places and call the target."""
        given = iter(args)
        return self.target.call(ctx, [next(given) if value is None else value for value in self.fixed])
