"""Code for what types ask for: conversion to declared types, tests of items."""

from __future__ import annotations

from clacks.xquery.codegen_unit import MANY, MAYBE, ONE, Unit, Value
from clacks.xquery.modules import accepted_classes
from clacks.xquery.nodes import expanded
from clacks.xquery.sequence_types import ANY, AtomicType, ItemType, KindTest, SequenceType

__all__ = ["FITS", "KINDS", "converted", "form_of", "kind_of", "test_of_item"]

KINDS = {"double": "double", "boolean": "boolean", "integer": "integer"}
"""Kinds of items that were converted to an atomic type. Strings may be of a subclass of str."""

FITS = {
    "double": frozenset({"double", "numeric", "anyAtomicType"}),
    "int": frozenset({"integer", "decimal", "numeric", "anyAtomicType"}),
    "integer": frozenset({"integer", "decimal", "numeric", "anyAtomicType"}),
    "decimal": frozenset({"decimal", "numeric", "anyAtomicType"}),
    "boolean": frozenset({"boolean", "anyAtomicType"}),
    "string": frozenset({"string", "anyAtomicType"}),
}
"""Atomic types whose values items of a kind are without conversion."""


def form_of(wanted: SequenceType) -> str:
    """Return the form in which values of a type are passed."""
    if wanted.low == 1 and wanted.high == 1:
        return ONE
    return MAYBE if wanted.high == 1 and wanted.low == 0 else MANY


def kind_of(wanted: SequenceType) -> str | None:
    """Return what all items of a value are that was converted to a type, None if that is not known."""
    item = wanted.item
    if isinstance(item, KindTest):
        return "node"
    return KINDS.get(item.local) if isinstance(item, AtomicType) else None


def converted(unit: Unit, value: Value, wanted: SequenceType, what: str) -> Value:
    """Write the conversion of a value to a declared type; the form is that of the type."""
    if wanted is ANY:
        return value if value.form == MANY else unit.named(unit.many(value), MANY, value.kind)
    form = form_of(wanted)
    item = wanted.item
    if isinstance(item, AtomicType):
        fits = item.local in FITS.get(value.kind or "", ())
        kind = value.kind if fits else KINDS.get(item.local)
        room = value.form == form or value.form == ONE or (value.form == MAYBE and form == MANY)
        if fits and room and not (form == MANY and wanted.low and value.form != ONE):
            return value if value.form == form else unit.named(unit.in_form(value, form), form, kind)
        accepted = unit.constant(accepted_classes(wanted), "A")
    elif isinstance(item, KindTest):
        kind, accepted = "node", ""
    else:
        kind, accepted = None, ""
    code, sequence = value.code, unit.many(value)
    full = f"{unit.help('convert')}({sequence}, {unit.constant(wanted, 'T')}, {what!r})"
    if form == MANY:
        if not accepted:
            return unit.named(full, MANY, kind)
        name = unit.fresh()
        unit.add(f"{name} = {sequence}")
        bounds = "" if wanted.low == 0 else f"len({name}) >= {wanted.low} and "
        unit.add(f"if not ({bounds}type({name}) is not range and {accepted}.issuperset(map(type, {name}))):")
        with unit.block():
            unit.add(f"{name} = {unit.help('convert')}({name}, {unit.constant(wanted, 'T')}, {what!r})")
        return Value(name, MANY, kind)
    one = f"{full}[0]" if form == ONE else f"{unit.help('only')}({full})"
    item_code = f"{code}[0]" if value.form == MANY else code
    if accepted:
        test = f"type({item_code}) in {accepted}"
    elif isinstance(item, KindTest):
        test = test_of_item(unit, item_code, item, value.kind == "node")
    else:
        return unit.named(one, form, kind)
    if value.kind == "nothing":
        return unit.named(one, form, kind)
    if value.form == MANY:
        test = f"len({code}) == 1 and {test}"
    elif value.form == MAYBE:
        test = f"{code} is None or {test}" if form == MAYBE else f"{code} is not None and {test}"
    return unit.named(f"{item_code} if {test} else {one}", form, kind)


def test_of_item(unit: Unit, code: str, wanted: ItemType, is_node: bool) -> str:
    """Return the code that tells whether an item, perhaps surely a node, is of a type."""
    if not isinstance(wanted, KindTest) or wanted.content is not None:
        return f"{unit.constant(wanted.matches, 'M')}({code})"
    untyped = {"element": ("untyped", "anyType"), "attribute": ("untypedAtomic",)}.get(wanted.kind or "", ())
    name = wanted.name
    if name is not None and name.local is None and name.namespace is None and wanted.kind is not None:
        name = None
    exact = name is None or (name.local is not None and name.namespace is not None)
    if not exact or (wanted.annotation is not None and wanted.annotation not in untyped):
        return f"{unit.constant(wanted.matches, 'M')}({code})"
    tests = [] if is_node else [f"isinstance({code}, {unit.help('Node')})"]
    if wanted.kind is not None:
        tests.append(f"{code}.kind == {wanted.kind!r}")
    if name is not None:
        tests.append(f"{code}.name == {unit.constant(expanded(name.namespace, str(name.local)))}")
    return f"({' and '.join(tests)})" if tests else "True"
