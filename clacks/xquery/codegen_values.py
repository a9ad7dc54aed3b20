"""Code for literals, variables, operators, comparisons and branches."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from clacks.xquery.arithmetic import as_double
from clacks.xquery.codegen_types import test_of_item
from clacks.xquery.codegen_unit import (
    ATOMIC,
    MANY,
    MAYBE,
    NOTHING,
    NUMBERS,
    ONE,
    TRUTHS,
    NotWritten,
    Unit,
    Value,
    writer,
)
from clacks.xquery.comparisons import VALUE_NAMES, GeneralComparison, NodeComparison, ValueComparison
from clacks.xquery.conditionals import If, Typeswitch
from clacks.xquery.operators import (
    SMALL,
    And,
    Arithmetic,
    Comma,
    Literal,
    LocalVariable,
    Or,
    Parenthesized,
    Range,
    Sign,
    Variable,
)

__all__ = ["comparison_of_atoms"]

SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
FOLDABLE = 2**53
"""Integers below are the same number as a double."""

KIND_OF_CLASS = {int: "int", float: "double", Decimal: "decimal", str: "string", bool: "boolean"}


@writer(Literal)
def literal(unit: Unit, token: Any) -> Value:
    value = token.value
    kind = KIND_OF_CLASS.get(type(value))
    if type(value) is int and abs(value) < SMALL:
        return Value(repr(value), ONE, "int")
    return Value(unit.constant(value), ONE, kind)


@writer(LocalVariable)
def local_variable(unit: Unit, token: Any) -> Value:
    return unit.variable(token.slot, token.single)


@writer(Variable)
def global_variable(unit: Unit, token: Any) -> Value:
    return unit.named(f"{unit.constant(token.declaration, 'D')}.value_in({unit.any_context()})", MANY)


@writer(Parenthesized)
def parenthesized(unit: Unit, token: Any) -> Value:
    return unit.write(token._items[0]) if token._items else NOTHING


def parenthesized_truth(unit: Unit, token: Any) -> str:
    return unit.truth(token._items[0]) if token._items else "False"


TRUTHS[Parenthesized] = parenthesized_truth


@writer(Comma)
def comma(unit: Unit, token: Any) -> Value:
    values = [unit.write(item) for item in token._items]
    values = [value for value in values if value.kind != "nothing"]
    if not values:
        return NOTHING
    kinds = {value.kind for value in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    if all(value.form == ONE for value in values):
        return unit.named(f"[{', '.join(value.code for value in values)}]", MANY, kind)
    out = unit.named("[]", MANY, kind)
    for value in values:
        unit.collect(out.code, value)
    return out


def and_or(unit: Unit, token: Any, joins: str) -> Value:
    """Write ``and`` or ``or``: the second operand only if the first one does not decide."""
    first, second = token._items
    name = unit.fresh()
    unit.add(f"{name} = {unit.truth(first)}")
    unit.add(f"if {'not ' if joins == 'or' else ''}{name}:")
    with unit.block():
        unit.add(f"{name} = {unit.truth(second)}")
    return Value(name, ONE, "boolean")


@writer(And)
def both(unit: Unit, token: Any) -> Value:
    return and_or(unit, token, "and")


@writer(Or)
def either(unit: Unit, token: Any) -> Value:
    return and_or(unit, token, "or")


# arithmetic


def known_number(unit: Unit, value: Value) -> Any:
    """Return the number that a value is for sure, None if it is none or not known."""
    if value.form != ONE:
        return None
    found = unit.constants.get(value.code)
    if type(found) is Decimal:
        return found
    return int(value.code) if value.code.lstrip("-").isdigit() else None


def as_doubles(unit: Unit, a: Value, b: Value) -> tuple[Value, Value] | None:
    """Return both operands as doubles, if one is and the other is surely a number; None if not."""
    if a.kind == b.kind == "double":
        return a, b
    if "double" not in (a.kind, b.kind):
        return None
    pair = []
    for value in (a, b):
        if value.kind != "double":
            number = known_number(unit, value)
            if number is not None:
                value = Value(unit.constant(as_double(number)), ONE, "double")
            elif value.kind in ("int", "integer") and value.form == ONE:
                value = Value(f"{unit.help('as_double')}({value.code})", ONE, "double")
            else:
                return None
        pair.append(value)
    return pair[0], pair[1]


@writer(Arithmetic)
def arithmetic(unit: Unit, token: Any) -> Value:
    first, second = token._items
    return unit.with_first(unit.atom(first), lambda a: of_two(unit, token.symbol, a, unit.atom(second)))


def of_two(unit: Unit, symbol: str, a: Value, b: Value) -> Value:
    """Write an operator on two atomic values, of which the first one is there."""
    form = b.form
    doubles = as_doubles(unit, a, b)
    if doubles is not None:
        x, y = doubles
        if symbol in ("+", "-", "*"):
            code = f"{x.code} {symbol} {y.code}"
        elif symbol == "div":
            code = f"{unit.help('float_divide')}({x.code}, {y.code})"
            if y.code.isidentifier():
                code = f"{x.code} / {y.code} if {y.code} else {code}"
        elif symbol == "mod":
            code = f"{unit.help('float_modulo')}({x.code}, {y.code})"
        else:
            doubles = None
        if doubles is not None:
            return unit.named(
                f"None if {b.code} is None else {code}" if form == MAYBE else code, form, "double"
            )
    integers = a.kind in ("int", "integer") and b.kind in ("int", "integer") and form == ONE
    if symbol in ("+", "-") and integers:
        name = unit.fresh()
        whole = [v.code if v.kind == "int" else f"int({v.code})" for v in (a, b)]
        unit.add(f"{name} = {whole[0]} {symbol} {whole[1]}")
        unit.add(f"if not {-(2**62)} < {name} < {2**62}: {unit.help('add_integers')}({name}, meter)")
        return Value(name, ONE, "int")
    if symbol in ("mod", "idiv") and integers and b.code.isdigit() and b.code != "0":
        sign = "%" if symbol == "mod" else "//"
        general = f"{unit.help('arithmetic')}({symbol!r}, {a.code}, {b.code}, execution)"
        return unit.named(f"{a.code} {sign} {b.code} if {a.code} >= 0 else {general}", ONE, "int")
    name = unit.fresh()
    general = f"{unit.help('arithmetic')}({symbol!r}, {a.code}, {b.code}, execution)"
    word = "if"
    if form == MAYBE:
        # An operand that is no number is an error though the other one is empty.
        unit.add(f"if {b.code} is None:")
        with unit.block():
            unit.add(f"{unit.help('first_operand')}({a.code})")
            unit.add(f"{name} = None")
        word = "elif"
    kinds = {a.kind, b.kind}
    if kinds <= {"double", None}:
        tests = [f"type({v.code}) is float" for v in (a, b) if v.kind is None]
        if symbol in ("+", "-", "*"):
            unit.add(f"{word} {' and '.join(tests)}: {name} = {a.code} {symbol} {b.code}")
            word = "elif"
        elif symbol == "div":
            unit.add(f"{word} {' and '.join([*tests, b.code])}: {name} = {a.code} / {b.code}")
            word = "elif"
    if kinds <= {"int", "integer", None} and symbol in ("+", "-", "*"):
        tests = [f"type({v.code}) is int" for v in (a, b) if v.kind != "int"]
        tests += [f"{-SMALL} < {v.code} < {SMALL}" for v in (a, b)]
        unit.add(f"{word} {' and '.join(tests)}: {name} = {a.code} {symbol} {b.code}")
        word = "elif"
    if word == "if":
        unit.add(f"{name} = {general}")
    else:
        unit.add("else:")
        with unit.block():
            unit.add(f"{name} = {general}")
    kind = "int" if integers and symbol in ("*", "idiv", "mod") else None
    return Value(name, form, kind)


@writer(Sign)
def sign(unit: Unit, token: Any) -> Value:
    value = unit.atom(token._items[0])
    if value.kind != "double":
        raise NotWritten
    if token.symbol == "+":
        return value
    if value.form == ONE:
        return unit.named(f"-{value.code}", ONE, "double")
    return unit.named(f"None if {value.code} is None else -{value.code}", MAYBE, "double")


@writer(Range)
def integers(unit: Unit, token: Any) -> Value:
    first, second = token._items

    def write(low: Value) -> Value:
        return unit.named(f"{unit.help('range_of')}({low.code}, {unit.atom(second).code})", MANY, "int")

    return unit.with_first(unit.atom(first), write)


# comparisons


def comparison_of_atoms(unit: Unit, name: str, a: Value, b: Value) -> str | None:
    """Return the code of a comparison of two items whose kinds say that Python does it, None if not."""
    sign = SIGNS[name]
    if a.kind in NUMBERS and b.kind in NUMBERS:
        if a.kind != b.kind and "double" in (a.kind, b.kind):
            # An integer is compared as a double: the same thing for those that a double holds exactly.
            whole = a if a.kind != "double" else b
            number = known_number(unit, whole)
            if number is None or abs(number) > FOLDABLE:
                return None
        return f"{a.code} {sign} {b.code}"
    if a.kind == b.kind == "string" and unit.token.codepoints:
        return f"{a.code} {sign} {b.code}"
    return None


@writer(ValueComparison)
def value_comparison(unit: Unit, token: Any) -> Value:
    first, second = token._items
    return unit.with_first(unit.atom(first), lambda a: compared(unit, token, a, unit.atom(second)))


def compared(unit: Unit, token: Any, a: Value, b: Value) -> Value:
    """Write a comparison of two atomic values, of which the first one is there."""
    if b.kind == "nothing":
        return NOTHING
    code = comparison_of_atoms(unit, token.symbol, a, b)
    if code is None:
        unknown = [v for v in (a, b) if v.kind is None]
        known = {v.kind for v in (a, b)} - {None}
        general = (
            f"{unit.help('compare_values')}({token.symbol!r}, {a.code}, {b.code}, "
            f"{unit.constant(token, 't')}, execution)"
        )
        fast = f"{a.code} {SIGNS[token.symbol]} {b.code}"
        classes = {"double": "float", "int": "int", "string": "str"}
        if len(unknown) == 1 and (kind := known.pop()) in classes and (kind != "string" or token.codepoints):
            code = f"{fast} if type({unknown[0].code}) is {classes[kind]} else {general}"
        elif len(unknown) == 2:
            native = unit.constant(frozenset({int, float, str} if token.codepoints else {int, float}))
            code = f"{fast} if type({a.code}) is type({b.code}) and type({a.code}) in {native} else {general}"
        else:
            code = general
    if b.form == MAYBE:
        code = f"None if {b.code} is None else ({code})"
    return unit.named(code, b.form, "boolean")


@writer(GeneralComparison)
def general_comparison(unit: Unit, token: Any) -> Value:
    a = unit.write(token._items[0])
    if a.kind == "nothing":
        return Value("False", ONE, "boolean")
    if a.form == ONE:
        return pairs_compared(unit, token, a)
    name = unit.fresh()
    unit.add(f"{name} = False")
    if a.form == MANY and a.kind not in ATOMIC:
        a = unit.named(f"{unit.help('atomize')}({a.code})", MANY)
    unit.add(f"if {a.code} is not None:" if a.form == MAYBE else f"if {a.code}:")
    with unit.block():
        there = Value(a.code, ONE if a.form == MAYBE else MANY, a.kind)
        unit.add(f"{name} = {pairs_compared(unit, token, there).code}")
    return Value(name, ONE, "boolean")


def pairs_compared(unit: Unit, token: Any, a: Value) -> Value:
    """Write a general comparison whose first operand has items."""
    b = unit.write(token._items[1])
    if b.kind == "nothing":
        return Value("False", ONE, "boolean")
    name = VALUE_NAMES[token.symbol]
    if a.form != MANY and b.form != MANY:
        code = comparison_of_atoms(unit, name, a, b)
        if code is not None:
            present = f"{b.code} is not None and " if b.form == MAYBE else ""
            return unit.named(f"{present}{code}", ONE, "boolean")
    left, right = atoms(unit, a), atoms(unit, b)
    return unit.named(f"{unit.constant(token, 't')}.holds({left}, {right}, execution)", ONE, "boolean")


def atoms(unit: Unit, value: Value) -> str:
    """Return the code of the atomic values of a value."""
    return unit.many(value) if value.kind in ATOMIC else f"{unit.help('atomize')}({unit.many(value)})"


@writer(NodeComparison)
def node_comparison(unit: Unit, token: Any) -> Value:
    if token.symbol != "is":
        raise NotWritten
    pair = [one_node(unit, unit.write(item)) for item in token._items]
    if any(value.kind == "nothing" for value in pair):
        return NOTHING
    a, b = pair
    absent = [f"{value.code} is None" for value in pair if value.form == MAYBE]
    code = f"{a.code} is {b.code}"
    if absent:
        return unit.named(f"None if {' or '.join(absent)} else {code}", MAYBE, "boolean")
    return unit.named(code, ONE, "boolean")


def one_node(unit: Unit, value: Value) -> Value:
    """Write an operand of a comparison of nodes."""
    if value.form != MANY and value.kind in ("node", "nothing"):
        return value
    return unit.named(f"{unit.help('one_node')}({unit.many(value)})", MAYBE, "node")


# branches


@writer(If)
def condition(unit: Unit, token: Any) -> Value:
    test, first, second = token._items
    truth = unit.truth(test)
    return unit.choose([truth], [unit.aside(partial(unit.write, each)) for each in (first, second)])


def condition_truth(unit: Unit, token: Any) -> str:
    test, first, second = token._items
    name = unit.fresh()
    unit.add(f"if {unit.truth(test)}:")
    with unit.block():
        unit.add(f"{name} = {unit.truth(first)}")
    unit.add("else:")
    with unit.block():
        unit.add(f"{name} = {unit.truth(second)}")
    return name


TRUTHS[If] = condition_truth


@writer(Typeswitch)
def typeswitch(unit: Unit, token: Any) -> Value:
    value = unit.write(token._items[0])
    tests, branches = [], []
    for slot, types, result in token.cases:
        tests.append(" or ".join(test_of(unit, value, wanted) for wanted in types))
        branches.append(unit.aside(partial(branch, unit, slot, value, result)))
    branches.append(unit.aside(partial(branch, unit, token.default[0], value, token.default[1])))
    return unit.choose(tests, branches)


def branch(unit: Unit, slot: int | None, value: Value, result: Any) -> Value:
    """Write the result of one case, with its variable."""
    if slot is not None:
        unit.bind(slot, value)
    return unit.write(result)


def test_of(unit: Unit, value: Value, wanted: Any) -> str:
    """Return the code that tells whether a value is of a type."""
    if value.form == ONE and wanted.item is not None and wanted.low <= 1:
        return test_of_item(unit, value.code, wanted.item, value.kind == "node")
    return f"{unit.constant(wanted, 'T')}.matches({unit.many(value)})"
