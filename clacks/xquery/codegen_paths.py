"""Code for paths, steps, predicates and the simple map operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clacks.xquery.axes import KEEP_PEERS
from clacks.xquery.codegen_unit import (
    ATOMIC,
    LOOPS,
    MANY,
    MAYBE,
    NOTHING,
    ONE,
    NotWritten,
    Unit,
    Value,
    writer,
)
from clacks.xquery.paths import ContextItem, Filter, Path, SimpleMap, Step, pick_along
from clacks.xquery.predicates import is_condition, is_positional

__all__ = ["kept"]


@writer(ContextItem)
def context_item(unit: Unit, token: Any) -> Value:
    if unit.focus is not None:
        return unit.focus.item
    if unit.frame is not None:
        raise NotWritten  # the body of a function has no focus
    item = unit.named("ctx.item", ONE)
    unit.add(f"if {item.code} is None: {unit.constant(token, 't')}.run(ctx)")
    return item


@writer(Step)
def step(unit: Unit, token: Any) -> Value:
    if unit.focus is not None and unit.focus.item.kind == "node":
        return from_node(unit, token, unit.focus.item.code)
    if unit.focus is not None or unit.frame is not None:
        raise NotWritten
    item = unit.named("ctx.item", ONE)
    unit.add(f"if not isinstance({item.code}, {unit.help('Node')}): {unit.constant(token, 't')}.run(ctx)")
    return from_node(unit, token, item.code)


def is_asked_of_each(predicate: Any) -> bool:
    """Tell whether a predicate is a condition that each item is asked for: no positions can be computed."""
    return is_condition(predicate) and not is_positional(predicate)


def from_node(unit: Unit, token: Any, node: str) -> Value:
    """Write a step from one node."""
    if token.backward or not all(is_asked_of_each(predicate) for predicate in token._items):
        text = f"{unit.constant(token, 't')}.from_node({node}, {unit.context()})"
        unit.keep_variables(token)
        return unit.named(text, MANY, "node")
    if token.axis == "attribute" and token.pick is pick_along and token.simple_name is not None:
        name = unit.constant(token.simple_name)
        found = unit.named(f"[n for n in {node}.attributes if n.name == {name}]", MANY, "node")
    elif token.axis == "self" and token.pick is pick_along:
        match = unit.constant(token.test.matches, "M")
        found = unit.named(f"[{node}] if {match}({node}) else EMPTY", MANY, "node")
    else:
        pick = unit.constant(token.pick, "P")
        found = unit.named(f"{pick}({unit.constant(token, 't')}, {node}, {unit.any_context()})", MANY, "node")
    for predicate in token._items:
        found = kept(unit, found, predicate)
    return found


def kept(unit: Unit, value: Value, predicate: Any) -> Value:
    """Write the items of a sequence for which a condition, that is no number, holds."""
    out = unit.named("[]", MANY, value.kind)
    each(unit, value, lambda item: keep(unit, out, item, predicate))
    return out


def keep(unit: Unit, out: Value, item: Value, predicate: Any) -> None:
    """Write the body of the loop over what a predicate looks at."""
    truth = unit.truth(predicate)
    unit.add(f"if {truth}: {out.code}.append({item.code})")


def each(unit: Unit, value: Value, body: Callable[[Value], None], given: str | None = None) -> None:
    """Write a loop over a sequence in which each item is the context item (of the context ``given``)."""
    before = [unit.hole()]
    items = unit.over(value)
    item = Value(unit.fresh("i"), ONE, value.kind)
    unit.add(f"for {item.code} in {items}:")
    with unit.loop(), unit.focused(item, f"len({value.code})", before, given):
        unit.add("pass")
        body(item)


@writer(Path)
def path(unit: Unit, token: Any) -> Value:
    left, right = token._items
    value = unit.write(left)
    if value.kind == "nothing":
        return NOTHING
    if isinstance(right, Step):
        return stepped(unit, token, value, right)
    if value.form != MANY or value.kind != "node":
        value = unit.named(unit.many(value), MANY, value.kind)
    found = mapped(unit, value, right, "node")
    if found.kind in ATOMIC:
        return found
    if found.kind == "node":
        return unit.named(f"{unit.help('in_document_order')}({found.code})", MANY, "node")
    return unit.named(f"{unit.help('path_result')}({found.code})", MANY)


def mapped(unit: Unit, value: Value, right: Any, wanted: str | None, given: str | None = None) -> Value:
    """Write an expression for each item of a sequence, which has to be of the kind ``wanted``."""
    out = unit.named("[]", MANY)
    kinds: list[str | None] = []

    def body(item: Value) -> None:
        if wanted == "node" and value.kind != "node":
            unit.add(f"{unit.help('node_of')}({item.code})")
        assert unit.focus is not None
        unit.focus.item = Value(item.code, ONE, wanted)
        result = unit.write(right)
        kinds.append(result.kind)
        unit.collect(out.code, result)

    each(unit, value, body, given)
    return Value(out.code, MANY, kinds[0])


def stepped(unit: Unit, token: Any, value: Value, right: Any) -> Value:
    """Write a step from each node of a value."""
    code = value.code
    if value.form == ONE:
        if value.kind != "node":
            unit.add(f"{unit.help('node_of')}({code})")
        return from_node(unit, right, code)
    if value.form == MAYBE:
        out = unit.named("EMPTY", MANY, "node")
        unit.add(f"if {code} is not None:")
        with unit.block():
            if value.kind != "node":
                unit.add(f"{unit.help('node_of')}({code})")
            found = from_node(unit, right, code)
            unit.add(f"{out.code} = {found.code}")
        return out
    out = unit.named("[]", MANY, "node")
    items = unit.over(value)
    item = unit.fresh("i")
    unit.add(f"for {item} in {items}:")
    with unit.loop():
        if value.kind != "node":
            unit.add(f"{unit.help('node_of')}({item})")
        unit.collect(out.code, from_node(unit, right, item))
    if right.axis in KEEP_PEERS and getattr(token._items[0], "peers", False):
        return out
    return unit.named(
        f"{out.code} if len({code}) < 2 else {unit.help('in_order')}({out.code}, meter)", MANY, "node"
    )


@writer(SimpleMap)
def simple_map(unit: Unit, token: Any) -> Value:
    left, right = token._items
    value = unit.write(left)
    if value.kind == "nothing":
        return NOTHING
    if value.form != MANY:
        value = unit.named(unit.many(value), MANY, value.kind)
    return mapped(unit, value, right, value.kind)


def rounds_of_map(unit: Unit, token: Any, items: Value, before: str) -> Value:
    """Write rounds of ``!``; the context is already one of its own, and knows the position."""
    return mapped(unit, items, token._items[1], None, "c")


LOOPS[SimpleMap] = rounds_of_map


@writer(Filter)
def filtered(unit: Unit, token: Any) -> Value:
    left, predicate = token._items
    if token.comes_first:
        return held(unit, left, predicate)
    if is_asked_of_each(predicate):
        value = unit.write(left)
        if value.kind == "nothing":
            return value
        if value.form == MANY:
            return kept(unit, value, predicate)
        return kept(unit, unit.named(unit.many(value), MANY, value.kind), predicate)
    if not token.steady:
        raise NotWritten
    value = unit.write(left)
    if value.kind == "nothing":
        return value
    wanted = unit.write(predicate)
    if wanted.form == ONE and wanted.kind in ("int", "integer"):
        if value.form != MANY:
            return unit.named(f"{value.code} if {wanted.code} == 1 else None", MAYBE, value.kind)
        code, place = value.code, wanted.code
        if place.isdigit() and place != "0":
            return unit.named(
                f"{code}[{int(place) - 1}] if len({code}) >= {place} else None", MAYBE, value.kind
            )
        return unit.named(f"{code}[{place} - 1] if 1 <= {place} <= len({code}) else None", MAYBE, value.kind)
    many = unit.many(value)
    return unit.named(
        f"{unit.help('picked')}({many}, {unit.many(wanted)}) if {many} else EMPTY", MANY, value.kind
    )


def held(unit: Unit, left: Any, predicate: Any) -> Value:
    """Write a sequence that is there as a whole or not at all: the condition is the same for all items.

    The condition goes first, as in ``Filter.run``: where it does not hold, nobody needs the sequence. If it
    fails, that is an error only if there is an item to ask it for.
    """
    truth, failed = unit.fresh(), unit.fresh("e")
    unit.add(f"{failed} = None")
    unit.add("try:")
    with unit.loop():
        unit.add(f"{truth} = {unit.truth(predicate)}")
    unit.add(f"except {unit.help('QueryBudgetExceeded')}: raise")
    unit.add(f"except {unit.help('QueryError')} as error:")
    with unit.block():
        unit.add(f"{truth}, {failed} = True, error")

    def write() -> Value:
        value = unit.write(left)
        if value.kind != "nothing":
            there = {ONE: "True", MAYBE: f"{value.code} is not None", MANY: f"len({value.code}) > 0"}[
                value.form
            ]
            unit.add(f"if {failed} is not None and {there}: raise {failed}")
        return value

    return unit.choose([truth], [unit.aside(write), (NOTHING, [])])
