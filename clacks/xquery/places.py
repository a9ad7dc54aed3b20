"""Where in the text of a query an error came from.

Nothing is recorded while a query runs. When an error leaves it, the innermost token among the frames of its
traceback is the place.
"""

from __future__ import annotations

from types import TracebackType

from clacks.common.errors import QueryError
from clacks.xquery.errors import locate
from clacks.xquery.tokens import Expression

__all__ = ["PLACES", "innermost", "place"]

PLACES = "__places__"
"""Name among the globals of written code (``codegen``) under which the tokens of its lines are."""


def innermost(trace: TracebackType | None, here: Expression | None = None) -> Expression | None:
    """Return the innermost token that was being evaluated below the frame that caught the error.

    That frame itself is left out; ``here`` is its token, if it is one's. It still runs and holds the error:
    looking at its locals makes Python keep them with the frame (PEP 667 tells of it), which closes a circle
    error, traceback, frame, locals, error. All that the query had made so far would then stay until the next
    collection of garbage, and 10^5 tuples are a long one.
    """
    found = here
    if trace is not None:
        trace = trace.tb_next
    while trace is not None:
        frame = trace.tb_frame
        places = frame.f_globals.get(PLACES)
        owner = frame.f_locals.get("self") if places is None else places[trace.tb_lineno]
        if isinstance(owner, Expression):
            found = owner
        trace = trace.tb_next
    return found


def place(error: QueryError, here: Expression | None = None) -> QueryError:
    """Give an ``error`` that was just caught the place of the innermost token, unless it has one."""
    if error.line is None:
        token = innermost(error.__traceback__, here)
        if token is not None:
            locate(error, token.parser.source, token.span[0])
    return error
