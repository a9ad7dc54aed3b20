"""What is evaluated often enough to be written as Python code (``codegen``).

A function of a query that is called, or the body of a loop that is run through, ``OFTEN`` times gets code.
Until then tokens evaluate themselves: most queries are small, run for microseconds, and would never make up
for the millisecond or two that writing and compiling takes. For the same reason code is only written where it
takes no more than a tenth of the time that the run has left; a query of a stranger that has 20 ms gets none
for a long expression.

The code is kept with the token or the declaration. It is written once more if two threads come at once, which
harms nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clacks.xquery.budget import QueryBudget

__all__ = ["OFTEN", "hot_function", "hot_run", "hot_truth", "others_wait"]

OFTEN = 250
"""Calls, or rounds of one loop, after which code is written. Each took a microsecond at least."""

SECONDS_A_TOKEN = 60e-6
"""What writing and compiling takes for each token."""

SHARE = 0.1
"""Share of the time left that writing may take."""

MOST_TOKENS = 3_000
"""Tokens up to which an expression gets code."""


LONGEST_WAIT = 0.1
"""Seconds of a budget up to which others wait while a query runs."""


def others_wait(budget: QueryBudget) -> bool:
    """Tell whether others wait for a query: it is one of many filters.

    All filters of a broker are evaluated equally often. If each got code at the same run, a thousand would
    get it at the same event, which would take seconds. Long loops inside one run get code all the same.
    """
    return budget.seconds <= LONGEST_WAIT


def worth(token: Any, meter: Any) -> bool:
    """Tell whether there is time to write code for an expression."""
    most = min(MOST_TOKENS, int(meter.seconds_left * SHARE / SECONDS_A_TOKEN))
    return sum(1 for _, _ in zip(token.walk(), range(most + 1))) <= most


def hot_run(token: Any, meter: Any) -> Callable[[Any], Sequence[Any]]:
    """Return the fastest function that evaluates a token to a sequence, given a context."""
    found: Callable[[Any], Sequence[Any]] | None = token.__dict__.get("hot_run")
    if found is None:
        found = written(token, meter, False) or token.run
    return found


def hot_truth(token: Any, meter: Any) -> Callable[[Any], bool]:
    """Return the fastest function that evaluates a token to its effective boolean value, given a context."""
    found: Callable[[Any], bool] | None = token.__dict__.get("hot_truth")
    if found is None:
        found = written(token, meter, True) or token.truth
    return found


def written(token: Any, meter: Any, truth: bool) -> Any:
    """Write code for an expression; None if that is not worth it, or cannot be done."""
    if not worth(token, meter):
        return None
    from clacks.xquery.codegen import expression_code

    try:
        code = expression_code(token, truth)
    except (RecursionError, SyntaxError, MemoryError):
        # Python's compiler and we ourselves recur; what is nested too deeply evaluates itself.
        code = token.truth if truth else token.run
    token.__dict__["hot_truth" if truth else "hot_run"] = code
    return code


def hot_function(declaration: Any, meter: Any) -> Callable[..., Any] | None:
    """Return the code of a declared function (``codegen.function_code``), None if it has none."""
    if not worth(declaration.body, meter):
        return None
    from clacks.xquery.codegen import function_code

    try:
        return function_code(declaration)
    except (RecursionError, SyntaxError, MemoryError):
        return None
