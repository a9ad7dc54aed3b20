"""Where in the text of a query an error came from.

Nothing is recorded while a query runs. When an error leaves it, the innermost token among the frames of its
traceback is the place.
"""

from __future__ import annotations

from types import TracebackType

from clacks.common.errors import QueryError
from clacks.xquery.errors import locate
from clacks.xquery.tokens import Expression

__all__ = ["innermost", "place"]


def innermost(trace: TracebackType | None) -> Expression | None:
    """Return the innermost token that was being evaluated."""
    found = None
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if isinstance(owner, Expression):
            found = owner
        trace = trace.tb_next
    return found


def place(error: QueryError) -> QueryError:
    """Give ``error`` the place of the innermost token, unless it has one."""
    if error.line is None:
        token = innermost(error.__traceback__)
        if token is not None:
            locate(error, token.parser.source, token.span[0])
    return error
