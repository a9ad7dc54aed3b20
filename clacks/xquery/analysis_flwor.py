"""Read as conditions: FLWOR expressions of for, let and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clacks.xquery.analysis_reader import CONTEXT, EMPTY, Bound, Form, Here, NotUnderstood, Reader, of_type
from clacks.xquery.condition_types import cannot_fail
from clacks.xquery.conditions import Call, Condition, For, If, Path

__all__ = ["FLWOR"]


def _flwor(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    return _clauses(reader, token, 0, here, dict(bound))


def _clauses(reader: Reader, token: Any, number: int, here: Here, bound: Bound) -> Condition:
    """Return what the clauses from ``number`` on and the return expression say together."""
    if number == len(token.clauses):
        return reader.read(token[-1], here, bound)
    clause = token.clauses[number]
    if clause.kind == "where":
        test = reader.read(clause.expressions[0], here, bound)
        return If(test, _clauses(reader, token, number + 1, here, bound), EMPTY)
    if clause.kind not in ("for", "let"):
        raise NotUnderstood(f"FLWOR with {clause.kind}")
    value = reader.read(clause.expressions[0], here, bound)
    if clause.kind == "for":
        if clause.allows_empty or clause.place is not None:
            raise NotUnderstood("for with 'at' or 'allowing empty'")
        variable = reader.over("for", value)
        bound[clause.slot] = variable
        if clause.type is not None:
            bound[clause.slot] = of_type("treat", variable, clause.type)
        body = _clauses(reader, token, number + 1, here, bound)
        if clause.type is not None:
            body = If(Call("evaluate", (bound[clause.slot],)), body, EMPTY)
        return For(variable.origin, value, body)
    if clause.type is not None:
        value = of_type("treat", value, clause.type)
    value, focus = reader.unfocused(value, None)
    bound[clause.slot] = value
    body = _clauses(reader, token, number + 1, here, bound)
    if not cannot_fail(value):
        # The engine evaluates a let when it comes to it: an error there is one even if nobody uses the
        # value.
        body = If(Call("evaluate", (reader.used(value),)), body, EMPTY)
    return body if focus is None else For(focus, Path(CONTEXT, ()), body)


FLWOR: Final[Mapping[str, Form]] = {"flwor": _flwor}
