"""Function calls of every kind: static, dynamic, partial, by reference, by arrow; and inline functions.

A ``call`` has its arguments as items (None-like ``placeholder`` tokens for ``?``); its ``name`` is the
expanded name. A ``dynamic`` call has the function expression as its first item. Calls of declared functions
are linked by ``modules.link``; those of the library at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import QName

from clacks.common.errors import QueryError
from clacks.xquery.bridge import LibraryFunction, find_builtin
from clacks.xquery.casts import cast_sequence
from clacks.xquery.conversion import convert, describe
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem, PartialFunction
from clacks.xquery.functions_maps import merge_pieces
from clacks.xquery.library import PREFIXES
from clacks.xquery.modules import FunctionDeclaration, Parameter, UserFunction
from clacks.xquery.names import RESERVED, TOKENS_BY_ROLE, Name
from clacks.xquery.nodes import split_name
from clacks.xquery.scope import Scope
from clacks.xquery.sequence_types import ANY, ANY_ATOMIC, LIST_TYPES, PARENTS, SequenceType, atomic
from clacks.xquery.tokens import Expression, keyword, token
from clacks.xquery.types_parser import parse_sequence_type

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.parser import XQueryParser

__all__ = [
    "ConstructorFunction",
    "DynamicCall",
    "FunctionCall",
    "InlineFunction",
    "LibraryItem",
    "function_item",
    "one_function",
    "parse_arguments",
    "parse_parameters",
]

LIBRARY = frozenset(PREFIXES[p] for p in ("fn", "math", "map", "array", "xs"))
MERGE = (PREFIXES["map"], "merge", 1)
OPTIONAL_ATOMIC = SequenceType(ANY_ATOMIC, 0, 1)


def call_library(
    function: LibraryFunction, ctx: Context, args: Sequence[Sequence[Any]], static: Any
) -> Sequence[Any]:
    """Convert the arguments of a library function, call it and make its result a sequence."""
    meter = ctx.execution.meter
    meter.left -= 1
    if meter.left < meter.look_at:
        meter.check()
    converters = function.converters
    try:
        if len(args) == 1:
            first = converters[0](args[0])
            ctx.static = static
            result = function.call(ctx, first)
        elif len(args) == 2:
            first, second = converters[0](args[0]), converters[1](args[1])
            ctx.static = static
            result = function.call(ctx, first, second)
        else:
            converted = [convert_argument(value) for convert_argument, value in zip(converters, args)]
            ctx.static = static
            result = function.call(ctx, *converted)
    except QueryError as error:
        if error.code == "XPTY0004" and error.line is None:
            # If an argument was wrong, say which.
            for index, (value, wanted) in enumerate(zip(args, function.parameters)):
                convert(value, wanted, f"argument {index + 1} of {function.qname.qname}")
        raise
    cls = type(result)
    if cls is list or cls is range:
        found: Sequence[Any] = result
        return found
    return [] if result is None else [result]


class LibraryItem(FunctionItem):
    """A library function as a value; it keeps the context it was referred to in."""

    def __init__(self, function: LibraryFunction, ctx: Context, static: Any) -> None:
        super().__init__()
        self.function = function
        self.context: Any = ctx
        self.static = static

    @property
    def qname(self) -> QName | None:
        """Return the name."""
        return self.function.qname

    @property
    def arity(self) -> int:
        """Return the number of parameters."""
        return len(self.function.parameters)

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return the signature."""
        return self.function.parameters, self.function.result

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Call it in the context it was referred to in."""
        there = self.context
        inner = there.focus(there.item, there.position, there.size)
        inner.execution = ctx.execution
        return call_library(self.function, inner, args, self.static)


class ConstructorFunction(FunctionItem):
    """A constructor function such as xs:integer#1."""

    def __init__(self, local: str, static: Any) -> None:
        super().__init__()
        self.local = local
        self.static = static

    @property
    def qname(self) -> QName | None:
        """Return the name."""
        return QName(PREFIXES["xs"], f"xs:{self.local}")

    @property
    def arity(self) -> int:
        """Return 1."""
        return 1

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return function(xs:anyAtomicType?) as T?."""
        if self.local in LIST_TYPES:
            return (OPTIONAL_ATOMIC,), SequenceType(ANY_ATOMIC, 0, None)
        return (OPTIONAL_ATOMIC,), SequenceType(atomic(self.local), 0, 1)

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Cast the argument."""
        return cast_sequence(args[0], self.local, True, self.static)


def is_constructor(name: str, arity: int) -> bool:
    """Tell whether a constructor function exists."""
    uri, local = split_name(name)
    if uri != PREFIXES["xs"] or arity != 1:
        return False
    if local in LIST_TYPES:
        return True
    return local in PARENTS and local not in ("anyAtomicType", "anySimpleType", "NOTATION")


def function_item(
    name: str, arity: int, ctx: Context, static: Any, declaration: Any = None
) -> FunctionItem | None:
    """Return the function of a name and an arity as a value, None if there is none."""
    if declaration is not None:
        return UserFunction(declaration)
    if is_constructor(name, arity):
        return ConstructorFunction(split_name(name)[1], static)
    library = find_builtin(*split_name(name), arity)
    return None if library is None else LibraryItem(library, ctx, static)


@token("placeholder")
class Placeholder(Expression):
    """``?`` for an argument that stays open."""


def parse_arguments(parser: XQueryParser) -> list[Any]:
    """Parse ``(a, ?, b)``."""
    parser.advance("(")
    arguments: list[Any] = []
    if parser.next_token.symbol != ")":
        while True:
            if parser.next_token.symbol == "?":
                mark = parser.next_token
                after = parser.source[mark.span[1] :].lstrip()
                from clacks.xquery.lexer import scan

                following = scan(parser.source, mark.span[1])
                del after
                if following.text in (",", ")"):
                    parser.advance()
                    arguments.append(Placeholder.at(mark))
                else:
                    arguments.append(parser.single())
            else:
                arguments.append(parser.single())
            if parser.next_token.symbol != ",":
                break
            parser.advance()
    parser.advance(")")
    return arguments


@token("call")
class FunctionCall(Expression):
    """``name(arguments)``.

    Attributes:
        name: Expanded name of the function.
        arity: Number of arguments.
        declaration: The declared function, once linked.
        library: The library function, or None.
    """

    label = "function"
    name = ""
    arity = 0
    declaration: Any = None
    library: LibraryFunction | None = None
    local = ""
    constructor = False
    partial = False
    merges = False

    def begin(self, name: Name, first: Any = None) -> FunctionCall:
        """Parse the arguments; ``first`` is one that an arrow gave."""
        parser = self.parser
        if name.uri is None and name.value in RESERVED:
            raise name.wrong("XPST0003", f"{name.value} is no name for a function")
        self.static = parser.static
        self.name = name.expand(parser.static.function_namespace)
        arguments = parse_arguments(parser)
        self._items = arguments if first is None else [first, *arguments]
        self.arity = len(self._items)
        self.partial = any(isinstance(item, Placeholder) for item in self._items)
        self.resolve()
        return self

    def resolve(self) -> None:
        """Find a library function, or leave the name to the linker."""
        uri, local = split_name(self.name)
        if uri not in LIBRARY:
            self.parser.module.wanted_calls.append(self)
        elif is_constructor(self.name, self.arity):
            self.constructor = True
            self.local = local
        else:
            self.library = find_builtin(uri, local, self.arity)
            if self.library is None:
                raise self.wrong("XPST0017", f"there is no function {self.value}#{self.arity}")
            self.merges = (uri, local, self.arity) == MERGE

    def run(self, ctx: Context) -> Sequence[Any]:
        """Call it, or make a function with open arguments."""
        if self.partial:
            target = function_item(
                self.name,
                self.arity,
                ctx.focus(ctx.item, ctx.position, ctx.size),
                self.static,
                self.declaration,
            )
            assert target is not None
            return [
                PartialFunction(
                    target, [open_or_value(item, ctx, target, i) for i, item in enumerate(self._items)]
                )
            ]
        items = self._items
        if self.merges:
            return [merge_pieces(ctx, items[0].pieces(ctx))]
        # One argument and two are what most calls have; a comprehension is a call of its own.
        if len(items) == 1:
            args = [items[0].run(ctx)]
        elif len(items) == 2:
            args = [items[0].run(ctx), items[1].run(ctx)]
        else:
            args = [item.run(ctx) for item in items]
        if self.library is not None:
            return call_library(self.library, ctx, args, self.static)
        if self.declaration is not None:
            result: Sequence[Any] = self.declaration.apply(ctx, args)
            return result
        return cast_sequence(args[0], self.local, True, self.static)


def open_or_value(item: Expression, ctx: Context, target: FunctionItem, index: int) -> Sequence[Any] | None:
    """Return the converted value of a fixed argument, None for an open one."""
    if isinstance(item, Placeholder):
        return None
    return convert(item.run(ctx), target.signature[0][index], f"argument {index + 1}")


@token("reference")
class NamedReference(FunctionCall):
    """``name#arity``."""

    def begin(self, name: Name, first: Any = None) -> NamedReference:
        """Parse the arity."""
        parser = self.parser
        if name.uri is None and name.value in RESERVED:
            raise name.wrong("XPST0003", f"{name.value} is no name for a function")
        self.static = parser.static
        self.name = name.expand(parser.static.function_namespace)
        parser.advance("#")
        number = parser.next_token
        if number.symbol != "(integer)":
            raise parser.unexpected(number, "a number of arguments")
        parser.advance()
        if number.value > 2**31:
            raise number.wrong("FOAR0002", "a function of more than 2^31 arguments")
        self.arity = number.value
        self.resolve()
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the function."""
        here = ctx.focus(ctx.item, ctx.position, ctx.size)
        return [function_item(self.name, self.arity, here, self.static, self.declaration)]


def one_function(found: Sequence[Any]) -> Any:
    """Return the function that a call wants; XPTY0004 if it is none, or not one."""
    if len(found) != 1 or not isinstance(found[0], FunctionItem):
        what = describe(found[0]) if len(found) == 1 else f"{len(found)} items"
        raise failure("XPTY0004", f"a call wants one function, found {what}")
    return found[0]


@token("dynamic")
class DynamicCall(Expression):
    """``expression(arguments)``; items: the function expression, then the arguments."""

    def begin(self, left: Any) -> DynamicCall:
        """Parse the arguments; the opening parenthesis is already read."""
        parser = self.parser
        parser.resume(self.span[0])
        self._items = [left, *parse_arguments(parser)]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the function expression and call what it yields."""
        function = one_function(self._items[0].run(ctx))
        arguments = self._items[1:]
        if len(arguments) != function.arity:
            raise failure("XPTY0004", f"a function of {function.arity} arguments was given {len(arguments)}")
        if any(isinstance(item, Placeholder) for item in arguments):
            return [
                PartialFunction(
                    function, [open_or_value(a, ctx, function, i) for i, a in enumerate(arguments)]
                )
            ]
        args = [item.run(ctx) for item in arguments]
        ctx.execution.meter.step(1)
        result: Sequence[Any] = function.call(ctx, args)
        return result


@token("=>", lbp=64)
class Arrow(Expression):
    """``left => f(arguments)``; becomes a call with one more argument."""

    def led(self, left: Any) -> Any:
        """Parse the function and its arguments."""
        parser = self.parser
        following = parser.next_token
        if following.symbol == "(name)":
            name = parser.qname()
            if parser.next_token.symbol != "(":
                raise parser.unexpected(parser.next_token, "arguments")
            return self.checked(FunctionCall.at(name).begin(name, left))
        if following.symbol not in ("$", "("):
            raise parser.unexpected(following, "a function")
        function = parser.advance().nud()
        call = DynamicCall.at(self)
        if parser.next_token.symbol != "(":
            raise parser.unexpected(parser.next_token, "arguments")
        call._items = [function, left, *parse_arguments(parser)]
        return self.checked(call)

    def checked(self, call: Any) -> Any:
        """Refuse what only a primary expression may have behind it."""
        following = self.parser.next_token
        if following.lbp > self.lbp:
            raise following.unexpected_here()
        return call


def parse_parameters(parser: XQueryParser, scope: Scope) -> list[Parameter]:
    """Parse ``($a as T, $b)`` and declare the parameters in ``scope``."""
    parser.advance("(")
    parameters: list[Parameter] = []
    if parser.next_token.symbol != ")":
        while True:
            mark = parser.next_token
            name = parser.variable_name()
            wanted = ANY
            if parser.is_name("as"):
                parser.advance()
                wanted = parse_sequence_type(parser)
            if any(p.name == name for p in parameters):
                raise mark.wrong("XQST0039", f"two parameters are named ${name}")
            parameters.append(Parameter(name, wanted, scope.declare(name)))
            if parser.next_token.symbol != ",":
                break
            parser.advance()
    parser.advance(")")
    return parameters


@keyword("function", "(")
@token("inline")
class InlineFunction(Expression):
    """``function($a) { ... }``; ``declaration`` says the rest, its body is the only item."""

    declaration: FunctionDeclaration
    annotations: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def nud(self) -> Any:
        """Parse parameters, type and body."""
        parser = self.parser
        outer = parser.scope
        scope = Scope(outer)
        parser.scope = scope
        parameters = parse_parameters(parser, scope)
        result = ANY
        if parser.is_name("as"):
            parser.advance()
            result = parse_sequence_type(parser)
        body = parser.enclosed()
        parser.scope = outer
        self.declaration = FunctionDeclaration(None, "", parameters, result, body, scope, self.annotations)
        self._items = [] if body is None else [body]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return a closure: the function with the values it captures."""
        frame = ctx.frame
        return [
            UserFunction(self.declaration, [frame[there] for there, _ in self.declaration.scope.captures])
        ]


@token("%")
class Annotated(Expression):
    """Annotations before an inline function."""

    def nud(self) -> Any:
        """Parse the annotations, then the function."""
        from clacks.xquery.prolog import parse_annotation

        parser = self.parser
        parser.resume(self.span[0])
        annotations = []
        while parser.next_token.symbol == "%":
            annotations.append(parse_annotation(parser, inline=True))
        word = parser.take_name("function")
        if parser.next_token.symbol != "(":
            raise parser.unexpected(parser.next_token, "parameters")
        function = InlineFunction.at(word)
        function.annotations = tuple(annotations)
        return function.nud()


TOKENS_BY_ROLE["call"] = FunctionCall
TOKENS_BY_ROLE["reference"] = NamedReference
