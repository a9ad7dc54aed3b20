"""Python code for expressions that are evaluated very often.

A token evaluates itself by a call for each token below it. What a query does a thousand times and more is
worth a Python function of its own: variables become local variables, operators on numbers of a known type
become Python's, loops become loops, calls of declared functions calls. ``hot`` decides what is worth it.

A ``Unit`` (``codegen_unit``) is one function that is being written. Each kind of token has a writer
(``codegen_values``, ``codegen_paths``, ``codegen_calls``, ``codegen_loops``) that appends lines to it and
returns a ``Value``: the Python expression that holds the result, its form, and what is known of its items. A
token without a writer evaluates itself, called from the written code: it sees the same context, and the
variables that it names are kept in the frame as well. So everything can be written, only not everything gets
faster.

What the code does is what ``run`` of the tokens does, errors included. Each line knows the token that it was
written for (``PLACES`` in the function's globals), so that errors have the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clacks.xquery.codegen_types import converted, form_of, kind_of
from clacks.xquery.codegen_unit import LOOPS, MANY, ONE, Line, Unit, Value
from clacks.xquery.modules import FunctionDeclaration
from clacks.xquery.tokens import Expression

__all__ = ["expression_code", "function_code", "loop_code"]

HEAD = (
    "    execution = ctx.execution",
    "    meter = execution.meter",
)


def expression_code(token: Expression, truth: bool = False) -> Callable[[Any], Any]:
    """Write an expression as a function of the context; it returns a sequence, or the truth value.

    Variables from outside of the expression lie in the frame of the context.
    """
    from clacks.xquery import codegen_writers  # noqa: F401  # they register themselves

    unit = Unit(None)
    return of_context(unit, token, unit.truth(token) if truth else unit.many(unit.write(token)), "ctx")


def loop_code(token: Expression) -> Callable[[Any, Sequence[Any], int], Sequence[Any]]:
    """Write rounds of the innermost loop of an expression (of a class in ``LOOPS``).

    The function takes the context, some items of the loop in their order, and how many there were before
    them. It returns what these rounds yield. Variables from outside of the loop lie in the frame.
    """
    from clacks.xquery import codegen_writers  # noqa: F401  # they register themselves

    unit = Unit(None)
    unit.token = token
    result = LOOPS[type(token)](unit, token, Value("items", MANY), "before")
    return of_context(unit, token, unit.many(result), "ctx, items, before")


def of_context(unit: Unit, token: Expression, result: str, given: str) -> Callable[..., Any]:
    """Finish a function whose first argument is the context."""
    unit.token = token
    unit.add(f"return {result}")
    start = [f"def e({given}):", *HEAD, "    c = ctx"]
    if unit.outer or unit.wants_frame:
        start.append("    frame = ctx.frame")
    for slot, value in unit.outer.items():
        start.append(f"    {value.code} = frame[{slot}]{'[0]' if value.form == ONE else ''}")
    return unit.function("e", start, "expression")


def function_code(declaration: FunctionDeclaration) -> Callable[..., Any]:
    """Write a declared function as a Python function of a context and the arguments.

    The arguments are converted already, each in the form of its type (``form_of``); the last one holds the
    captured values, if the function captures any. The result has the form of the declared result.
    """
    from clacks.xquery import codegen_writers  # noqa: F401  # they register themselves

    unit = Unit(declaration.scope.size)
    arguments = []
    unit.depth = 2
    for parameter in declaration.parameters:
        name = f"a{parameter.slot}"
        arguments.append(name)
        unit.bind(parameter.slot, Value(name, form_of(parameter.type), kind_of(parameter.type)))
    captures = declaration.scope.captures
    for number, (_, slot) in enumerate(captures):
        unit.bind(slot, Value(f"captured[{number}]", MANY))
    body: Expression = declaration.body
    result = converted(unit, unit.write(body), declaration.result, "result")
    unit.token = body
    unit.add(f"return {result.code}")
    given = ", ".join(["ctx", *arguments, *(["captured"] if captures else [])])
    start = [
        f"def f({given}):",
        *HEAD,
        "    meter.left -= 1",
        "    if meter.left < meter.look_at: meter.check()",
        "    depth = meter.depth",
        "    if depth >= meter.deepest:",
        f"        return execution.deeper(lambda: f({given}))",
        "    meter.depth = depth + 1",
    ]
    if unit.wants_frame or unit.wants_context:
        start += [
            f"    frame = [None] * {declaration.scope.size}" if unit.wants_frame else "    frame = EMPTY",
            "    c = ctx.call(frame)",
        ]
    start.append("    try:")
    unit.lines.append(Line("finally:", 1, body))
    unit.lines.append(Line("meter.depth = depth", 2, body))
    return unit.function("f", start, f"function {declaration.name or ''}")
