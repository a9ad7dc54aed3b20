"""Failures of a query, made in one place so that each carries a W3C code and a place in the text.

``failure`` is what functions and expressions raise while a query runs; ``syntax_failure`` while it is
compiled. Both return an exception of ``clacks.common.errors``; the nearest expression that knows its place
adds line and column (``locate``). An error's code is a local name of the err: namespace (``XPTY0004``), or
``Q{uri}local`` for the names that a query makes up itself with ``fn:error``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from clacks.common.errors import QueryError, QueryEvaluationError, QuerySyntaxError

__all__ = ["ERR_NAMESPACE", "failure", "locate", "syntax_failure"]

ERR_NAMESPACE = "http://www.w3.org/2005/xqt-errors"

E = TypeVar("E", bound=QueryError)


def failure(code: str, reason: str = "", value: Sequence[object] = ()) -> QueryEvaluationError:
    """Make the error that a running query raises.

    Args:
        code: Local name of the W3C code, or ``Q{uri}local``.
        reason: What was found and what was expected, for people.
        value: The error object, a sequence.
    """
    return QueryEvaluationError(code, reason or code, value=value)


def syntax_failure(code: str, reason: str, source: str, offset: int) -> QuerySyntaxError:
    """Make the error that compiling raises, at the character ``offset`` of ``source``."""
    return locate(QuerySyntaxError(code, reason), source, offset)


def locate(error: E, source: str, offset: int) -> E:
    """Give ``error`` its line and column (counted from 1), unless it has them already."""
    if error.line is None:
        error.line = source.count("\n", 0, offset) + 1
        error.column = offset - source.rfind("\n", 0, offset)
        error.source = source
    return error
