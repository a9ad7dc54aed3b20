"""Code for calls: of declared functions, of the library, of maps and other values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clacks.xquery.bridge import LibraryFunction
from clacks.xquery.calls import DynamicCall, FunctionCall, NamedReference, Placeholder
from clacks.xquery.codegen_support import named_converter
from clacks.xquery.codegen_types import FITS, KINDS, converted, form_of, kind_of
from clacks.xquery.codegen_unit import (
    MANY,
    MAYBE,
    ONE,
    NotWritten,
    Unit,
    Value,
    writer,
)
from clacks.xquery.library import PREFIXES, builtins
from clacks.xquery.modules import accepted_classes
from clacks.xquery.sequence_types import ANY, LIST_TYPES, AnyItem, AtomicType, MapTest

__all__: list[str] = []

FN = PREFIXES["fn"]

LOOK_AT_FOCUS = frozenset(["lang", "id", "idref", "element-with-id", "function-lookup"])
"""Functions that look at the focus, or keep it, though they have arguments."""


@writer(FunctionCall)
def call(unit: Unit, token: Any) -> Value:
    if token.partial:
        raise NotWritten
    if token.library is not None:
        return library_call(unit, token, token.library)
    if token.declaration is not None:
        return declared_call(unit, token, token.declaration)
    return constructor(unit, token)


@writer(NamedReference)
def reference(unit: Unit, token: Any) -> Value:
    raise NotWritten


def declared_call(unit: Unit, token: Any, declaration: Any) -> Value:
    """Write the call of a function that the query declares."""
    if declaration.body is None:
        raise NotWritten
    arguments = []
    for item, parameter in zip(token._items, declaration.parameters):
        value = converted(unit, unit.write(item), parameter.type, f"argument ${parameter.name}")
        arguments.append(value.code)
    given = ", ".join([unit.any_context(), *arguments])
    result = declaration.result
    code = f"{unit.constant(declaration, 'D')}.entry({given})"
    return unit.named(code, form_of(result), kind_of(result))


def constructor(unit: Unit, token: Any) -> Value:
    """Write a cast such as ``xs:double(...)``."""
    local = token.local
    argument = token._items[0]
    value = unit.write(argument)
    if local in LIST_TYPES:
        raise NotWritten
    if value.kind == "nothing":
        return value
    if value.kind == local and value.form != MANY and local in ("double", "boolean", "string"):
        return value
    if local == "double" and value.kind == "node" and value.form == ONE:
        return unit.named(f"{unit.help('double_of_node')}({value.code})", ONE, "double")
    if local == "double" and value.kind == "node" and value.form == MANY:
        code = value.code
        full = f"{unit.help('only')}({unit.help('cast_sequence')}({code}, 'double', True, None))"
        return unit.named(
            f"{unit.help('double_of_node')}({code}[0]) if len({code}) == 1 else {full}", MAYBE, "double"
        )
    atom = unit.atom_of(value)
    static = unit.constant(token.static)
    cast = f"{unit.help('cast_one')}({atom.code}, {local!r}, {static})"
    if atom.form == MAYBE:
        cast = f"None if {atom.code} is None else {cast}"
    return unit.named(cast, atom.form, KINDS.get(local))


# the library


def looks_at_focus(function: LibraryFunction) -> bool:
    """Tell whether a function of the library may look at the focus, or at the frame."""
    name = function.qname
    own = any((name.namespace, name.local_name, n) in builtins for n in (len(function.parameters), -1))
    return not own or not function.parameters or name.local_name in LOOK_AT_FOCUS


def library_call(unit: Unit, token: Any, function: LibraryFunction) -> Value:
    """Write the call of a function of the library."""
    short = SHORT_WAYS.get((function.qname.namespace, function.qname.local_name, len(function.parameters)))
    if short is not None:
        found = short(unit, token)
        if found is not None:
            return found
    arguments = arguments_of(unit, token)
    focus = looks_at_focus(function)
    context = unit.context() if focus else unit.any_context()
    unit.add(f"{context}.static = {unit.constant(token.static)}")
    result = unit.named(f"{unit.constant(function.call, 'F')}({', '.join([context, *arguments])})", MANY)
    wanted = function.result
    kind = KINDS.get(wanted.item.local) if isinstance(wanted.item, AtomicType) else None
    form = form_of(wanted)
    code = result.code
    if form == MANY:
        unit.add(f"if type({code}) is not list: {code} = {unit.help('sequence_of')}({code})")
    else:
        unit.add(f"if type({code}) is list: {code} = {unit.help('only')}({code})")
    return Value(code, form, kind)


def arguments_of(unit: Unit, token: Any) -> list[str]:
    """Write the arguments of a call of the library, converted; return their code."""
    function = token.library
    name = function.qname.qname
    kinds = zip(token._items, function.parameters, function.converters)
    return [
        argument(unit, unit.write(item), wanted, converter, f"argument {number} of {name}")
        for number, (item, wanted, converter) in enumerate(kinds, 1)
    ]


def argument(unit: Unit, value: Value, wanted: Any, converter: Callable[[Any], Any], what: str) -> str:
    """Write the conversion of an argument; return the code of what the Python function takes."""
    if wanted is ANY or (isinstance(wanted.item, AnyItem) and form_of(wanted) == MANY and wanted.low == 0):
        return unit.many(value)
    form = form_of(wanted)
    item = wanted.item
    fits = isinstance(item, AnyItem) or (
        isinstance(item, AtomicType) and item.local in FITS.get(value.kind or "", ())
    )
    if fits and value.form == ONE:
        return unit.in_form(value, form)
    if fits and value.form == form and (form == MAYBE or (form == MANY and wanted.low == 0)):
        return value.code
    if value.kind == "nothing" and form == MAYBE:
        return "None"
    general = f"{unit.constant(named_converter(converter, wanted, what), 'C')}({unit.many(value)})"
    code = f"{value.code}[0]" if value.form == MANY else value.code
    if isinstance(item, AtomicType):
        test = f"type({code}) in {unit.constant(accepted_classes(wanted), 'A')}"
    elif isinstance(item, MapTest) and item.key is None:
        test = f"type({code}) is {unit.help('XMap')}"
    else:
        return unit.named(general, form).code
    if value.form == MANY and form == MANY:
        if wanted.low or not isinstance(item, AtomicType):
            return unit.named(general, form).code
        every = f"{unit.constant(accepted_classes(wanted), 'A')}.issuperset(map(type, {value.code}))"
        fits_all = f"type({value.code}) is list and {every}"
        return unit.named(f"{value.code} if {fits_all} else {general}", form).code
    if value.form == MANY:
        test = f"len({value.code}) == 1 and {test}"
    elif value.form == MAYBE:
        test = f"{code} is not None and {test}"
    fast = f"[{code}]" if form == MANY else code
    return unit.named(f"{fast} if {test} else {general}", form).code


# what Python has


def count(unit: Unit, token: Any) -> Value | None:
    value = unit.write(token._items[0])
    code = {ONE: "1", MAYBE: f"int({value.code} is not None)", MANY: f"len({value.code})"}[value.form]
    return Value("0", ONE, "int") if value.kind == "nothing" else unit.named(code, ONE, "int")


def exists(unit: Unit, token: Any) -> Value | None:
    return there(unit, token, True)


def empty(unit: Unit, token: Any) -> Value | None:
    return there(unit, token, False)


def there(unit: Unit, token: Any, wanted: bool) -> Value:
    """Write whether there are items, or none."""
    value = unit.write(token._items[0])
    if value.kind == "nothing":
        return Value(str(not wanted), ONE, "boolean")
    sign = ("is not", ">") if wanted else ("is", "==")
    code = {
        ONE: str(wanted),
        MAYBE: f"{value.code} {sign[0]} None",
        MANY: f"len({value.code}) {sign[1]} 0",
    }[value.form]
    return unit.named(code, ONE, "boolean")


def negation(unit: Unit, token: Any) -> Value | None:
    return unit.named(f"not {unit.truth(token._items[0])}", ONE, "boolean")


def truth(unit: Unit, token: Any) -> Value | None:
    return unit.named(unit.truth(token._items[0]), ONE, "boolean")


def true(unit: Unit, token: Any) -> Value | None:
    return Value("True", ONE, "boolean")


def false(unit: Unit, token: Any) -> Value | None:
    return Value("False", ONE, "boolean")


def sum_of_doubles(unit: Unit, token: Any) -> Value | None:
    value = unit.write(token._items[0])
    if value.kind != "double" or value.form != MANY:
        return total(unit, token, value)
    name = unit.fresh()
    item = unit.fresh("i")
    unit.add(f"{name} = 0.0")
    items = unit.over(value)
    unit.add(f"for {item} in {items}: {name} += {item}")
    # The sum of nothing is the integer 0.
    unit.add(f"if not {value.code}: {name} = 0")
    return Value(name, ONE, None)


def total(unit: Unit, token: Any, value: Value) -> Value:
    """Write the sum of what is no list of doubles."""
    function = token.library
    what = f"argument 1 of {function.qname.qname}"
    code = argument(unit, value, function.parameters[0], function.converters[0], what)
    context = unit.any_context()
    unit.add(f"{context}.static = {unit.constant(token.static)}")
    return unit.named(f"{unit.constant(function.call, 'F')}({context}, {code})", ONE)


def map_get(unit: Unit, token: Any) -> Value | None:
    found = looked_up(unit, token)
    return unit.named(f"EMPTY if {found} is None else {found}", MANY)


def map_contains(unit: Unit, token: Any) -> Value | None:
    return unit.named(f"{looked_up(unit, token)} is not None", ONE, "boolean")


def looked_up(unit: Unit, token: Any) -> str:
    """Write the look into a map; return the name of the value, None if the key is not there."""
    given = arguments_of(unit, token)
    unit.add("meter.left -= 1")
    return unit.named(f"{given[0]}.get({given[1]})", MAYBE).code


def map_entry(unit: Unit, token: Any) -> Value | None:
    given = arguments_of(unit, token)
    return unit.named(f"{unit.help('XEntry')}({', '.join(given)})", ONE)


def map_put(unit: Unit, token: Any) -> Value | None:
    found, key, value = arguments_of(unit, token)
    return unit.named(f"{found}.put({key}, {value}, meter)", ONE)


def map_remove(unit: Unit, token: Any) -> Value | None:
    found, keys = arguments_of(unit, token)
    unit.add(f"meter.step({found}.copied + len({keys}))")
    return unit.named(f"{found}.remove({keys})", ONE)


SHORT_WAYS: dict[tuple[str, str, int], Callable[[Unit, Any], Value | None]] = {
    (FN, "count", 1): count,
    (FN, "exists", 1): exists,
    (FN, "empty", 1): empty,
    (FN, "not", 1): negation,
    (FN, "boolean", 1): truth,
    (FN, "true", 0): true,
    (FN, "false", 0): false,
    (FN, "sum", 1): sum_of_doubles,
    (PREFIXES["map"], "entry", 2): map_entry,
    (PREFIXES["map"], "get", 2): map_get,
    (PREFIXES["map"], "put", 3): map_put,
    (PREFIXES["map"], "remove", 2): map_remove,
    (PREFIXES["map"], "contains", 2): map_contains,
}


# values


@writer(DynamicCall)
def dynamic_call(unit: Unit, token: Any) -> Value:
    """Write the call of a value; that of a map is a look into a dictionary."""
    arguments = token._items[1:]
    if len(arguments) != 1 or isinstance(arguments[0], Placeholder):
        raise NotWritten
    function = unit.write(token._items[0])
    code = function.code
    if function.kind is not None or function.form == MAYBE:
        raise NotWritten
    value = unit.write(arguments[0])
    if function.form == MANY:
        one = unit.named(f"{code}[0] if len({code}) == 1 else {unit.help('one_function')}({code})", ONE)
        code = one.code
    key = unit.fresh("k")
    single = {ONE: "True", MAYBE: f"{value.code} is not None", MANY: f"len({value.code}) == 1"}[value.form]
    item = f"{value.code}[0]" if value.form == MANY else value.code
    out = unit.fresh()
    unit.add(f"if type({code}) is {unit.help('XMap')} and {single}:")
    with unit.block():
        unit.add(f"{key} = {item}")
        unit.add(f"{out} = {code}.get({key} if type({key}) in EXACT else {unit.help('one_key')}([{key}]))")
        unit.add(f"if {out} is None: {out} = EMPTY")
    unit.add("else:")
    with unit.block():
        unit.add(f"{out} = {unit.help('call_value')}({code}, {unit.many(value)}, {unit.any_context()})")
    unit.add("meter.left -= 1")
    return Value(out, MANY)
