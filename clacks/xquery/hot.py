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

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from clacks.xquery.budget import QueryBudget

__all__ = ["OFTEN", "hot_function", "hot_loop", "hot_run", "hot_truth", "others_wait", "slices"]

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


def worth(tokens: Iterable[Any], meter: Any) -> bool:
    """Tell whether there is time to write code for some expressions."""
    most = min(MOST_TOKENS, int(meter.seconds_left * SHARE / SECONDS_A_TOKEN))
    parts = chain.from_iterable(token.walk() for token in tokens)
    return sum(1 for _ in islice(parts, most + 1)) <= most


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
    if not worth([token], meter):
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
    if not worth([declaration.body], meter):
        return None
    from clacks.xquery.codegen import function_code

    try:
        return function_code(declaration)
    except (RecursionError, SyntaxError, MemoryError):
        return None


ROUNDS = 200
"""Rounds of a loop that code carries out at once: few enough that what they yield is soon taken."""

Rounds = Callable[[Any, Sequence[Any], int], Sequence[Any]]


def hot_loop(token: Any, body: Iterable[Any], meter: Any) -> Rounds | None:
    """Return code for rounds of the innermost loop of a token (``codegen.loop_code``), None if it has none.

    ``body`` are the expressions that each round evaluates.
    """
    known: dict[str, Any] = token.__dict__
    if "hot_loop" not in known:
        if not worth(body, meter):
            return None
        from clacks.xquery.codegen import loop_code
        from clacks.xquery.codegen_unit import NotWritten

        try:
            known["hot_loop"] = loop_code(token)
        except (NotWritten, RecursionError, SyntaxError, MemoryError):
            known["hot_loop"] = None
    code: Rounds | None = known["hot_loop"]
    return code


def slices(items: Sequence[Any], start: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Iterate over pieces of the items from a place on, for ``ROUNDS`` each; with the place of each."""
    for place in range(start, len(items), ROUNDS):
        yield place, items[place : place + ROUNDS]
