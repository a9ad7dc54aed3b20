"""Code for FLWOR expressions and quantified expressions: loops of Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clacks.xquery.codegen_unit import (
    LOOPS,
    MANY,
    MAYBE,
    NOTHING,
    ONE,
    TRUTHS,
    NotWritten,
    Unit,
    Value,
    writer,
)
from clacks.xquery.conditionals import Quantified
from clacks.xquery.flwor import Flwor, For, Let, OrderBy, Where

__all__: list[str] = []


@writer(Flwor)
def flwor(unit: Unit, token: Any) -> Value:
    plan: Sequence[Any] = token.plan
    for place, clause in enumerate(plan):
        written = isinstance(clause, (Let, Where)) or (isinstance(clause, For) and clause.is_simple)
        if not written and not (isinstance(clause, OrderBy) and place == len(plan) - 1):
            raise NotWritten
    result = token._items[-1]
    if all(isinstance(clause, Let) for clause in plan):
        for clause in plan:
            let(unit, clause)
        return unit.write(result)
    if all(isinstance(clause, (Let, Where)) for clause in plan):
        return one_tuple(unit, plan, result)
    if isinstance(plan[-1], OrderBy):
        return collected(unit, result, lambda finish: ordered(unit, plan, finish))
    return collected(unit, result, lambda finish: clauses(unit, plan, 0, finish))


def rounds_of_flwor(unit: Unit, token: Any, items: Value, before: str) -> Value:
    """Write rounds of the last ``for``, with the clauses after it."""

    def rounds(finish: Callable[[], None]) -> None:
        through(unit, token.loop, items, lambda: clauses(unit, token.tail, 0, finish), before)

    return collected(unit, token._items[-1], rounds)


LOOPS[Flwor] = rounds_of_flwor


def collected(unit: Unit, result: Any, stream: Callable[[Callable[[], None]], None]) -> Value:
    """Write clauses with the collecting of results inside."""
    out = unit.named("[]", MANY)
    kinds: list[str | None] = []

    def finish() -> None:
        value = unit.write(result)
        kinds.append(value.kind)
        unit.collect(out.code, value)

    stream(finish)
    return Value(out.code, MANY, kinds[0])


def let(unit: Unit, clause: Let) -> None:
    """Write a ``let``."""
    value = unit.write(clause.expressions[0])
    if clause.type is not None:
        test = f"{unit.constant(clause.type, 'T')}, {f'value of ${clause.name}'!r}"
        value = Value(
            unit.named(f"{unit.help('checked')}({unit.many(value)}, {test})", MANY).code, MANY, value.kind
        )
    unit.bind(clause.slot, value)


def one_tuple(unit: Unit, plan: Sequence[Any], result: Any) -> Value:
    """Write clauses that make no more than one tuple."""

    def rest(place: int) -> Value:
        if place == len(plan):
            return unit.write(result)
        clause = plan[place]
        if isinstance(clause, Let):
            let(unit, clause)
            return rest(place + 1)
        truth = unit.truth(clause.expressions[0])
        return unit.choose([truth], [unit.aside(lambda: rest(place + 1)), (NOTHING, [])])

    return rest(0)


def clauses(unit: Unit, plan: Sequence[Any], place: int, finish: Callable[[], None]) -> None:
    """Write the clauses from a place on, and ``finish`` inside."""
    if place == len(plan):
        finish()
        return
    clause = plan[place]
    if isinstance(clause, Let):
        let(unit, clause)
        clauses(unit, plan, place + 1, finish)
    elif isinstance(clause, Where):
        unit.add(f"if {unit.truth(clause.expressions[0])}:")
        with unit.block():
            clauses(unit, plan, place + 1, finish)
    else:
        loop(unit, clause, lambda: clauses(unit, plan, place + 1, finish))


def loop(unit: Unit, clause: For, body: Callable[[], None]) -> None:
    """Write a ``for``."""
    value = unit.write(clause.expressions[0])
    if value.form != MANY:
        value = unit.named(unit.many(value), MANY, value.kind)
    through(unit, clause, value, body)


def through(unit: Unit, clause: For, value: Value, body: Callable[[], None], before: str = "0") -> None:
    """Write the rounds of a ``for``, of which there were some ``before``."""
    items = unit.over(value)
    item = Value(unit.fresh("x"), ONE, value.kind)
    number = Value(unit.fresh("p"), ONE, "int")
    if clause.place is not None:
        unit.add(f"{number.code} = {before}")
    unit.add(f"for {item.code} in {items}:")
    with unit.loop():
        if clause.place is not None:
            unit.add(f"{number.code} += 1")
            unit.bind(clause.place, number)
        else:
            unit.add("pass")
        unit.bind(clause.slot, item)
        body()


def ordered(unit: Unit, plan: Sequence[Any], finish: Callable[[], None]) -> None:
    """Write clauses that end with ``order by``: collect, sort, go through what is sorted."""
    order: Any = plan[-1]
    rows = unit.named("[]", MANY).code
    slots = [slot for clause in plan[:-1] for slot in clause.slots]
    values: list[Value] = []

    def collect() -> None:
        keys = []
        for spec in order.specs:
            atom = unit.atom(spec.expression)
            keys.append(atom.code if atom.kind is not None else f"{unit.help('order_key')}({atom.code})")
        values.extend(unit.bound[slot] for slot in slots)
        unit.add(f"{rows}.append(([{', '.join(keys)}], [{', '.join(value.code for value in values)}]))")
        unit.add("meter.left -= 1")

    clauses(unit, plan[:-1], 0, collect)
    names = [unit.fresh("x") for _ in values]
    row = unit.fresh("r")
    sort = unit.constant(order, "O")
    unit.add(f"for _, {row} in {sort}.sorted({rows}, execution):")
    with unit.loop():
        unit.add("pass")
        for place, (slot, name, value) in enumerate(zip(slots, names, values)):
            unit.add(f"{name} = {row}[{place}]")
            unit.bind(slot, Value(name, value.form, value.kind))
        finish()


@writer(Quantified)
def quantified(unit: Unit, token: Any) -> Value:
    if any(wanted is not None for _, wanted in token.bindings):
        raise NotWritten
    name = unit.fresh()
    unit.add(f"{name} = {not token.is_some}")
    ranges(unit, token, 0, name)
    return Value(name, ONE, "boolean")


def ranges(unit: Unit, token: Any, place: int, name: str) -> None:
    """Write the loop over one range of a quantified expression, and those inside."""
    value = unit.write(token._items[place])
    if value.form != MANY:
        value = unit.named(unit.many(value), MANY, value.kind)
    tried(unit, token, place, value, name)


def tried(unit: Unit, token: Any, place: int, value: Value, name: str) -> None:
    """Write the rounds of one range."""
    items = unit.over(value)
    item = Value(unit.fresh("x"), ONE, value.kind)
    unit.add(f"for {item.code} in {items}:")
    with unit.loop():
        unit.add("pass")
        unit.bind(token.bindings[place][0], item)
        if place + 1 < len(token.bindings):
            ranges(unit, token, place + 1, name)
        else:
            unit.add(f"{name} = {unit.truth(token._items[-1])}")
        unit.add(f"if {name} is {token.is_some}: break")


def rounds_of_quantified(unit: Unit, token: Any, items: Value, before: str) -> Value:
    """Write rounds of the last range; the result is empty if none of them decides."""
    name = unit.fresh()
    unit.add(f"{name} = {not token.is_some}")
    tried(unit, token, len(token.bindings) - 1, items, name)
    return unit.named(f"None if {name} is {not token.is_some} else {name}", MAYBE, "boolean")


LOOPS[Quantified] = rounds_of_quantified


def quantified_truth(unit: Unit, token: Any) -> str:
    return quantified(unit, token).code


TRUTHS[Quantified] = quantified_truth
