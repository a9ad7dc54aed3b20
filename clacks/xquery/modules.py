"""Modules: what a text declares, and the linking of names to declarations across modules.

Calls and variables are resolved when everything is read, so declarations may come in any order, call one
another and recur. A global variable is evaluated once in a run, when first asked for; one that needs itself
is XQDY0054.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import QName

from clacks.common.errors import QueryError
from clacks.xquery import hot
from clacks.xquery.conversion import convert, mismatch
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.nodes import split_name
from clacks.xquery.scope import Scope
from clacks.xquery.sequence_types import ANY, EXACT, AtomicType, SequenceType, derives_from

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["FunctionDeclaration", "Module", "Parameter", "UserFunction", "VariableDeclaration", "link"]

PENDING = object()


@dataclass(eq=False)
class Parameter:
    """A parameter of a function: expanded name, type, slot."""

    name: str
    type: SequenceType
    slot: int

    def __post_init__(self) -> None:
        self.accepted = accepted_classes(self.type)
        self.low = self.type.low
        self.high = sys.maxsize if self.type.high is None else self.type.high


def accepted_classes(wanted: SequenceType) -> frozenset[type]:
    """Return Python classes whose values surely are of a type and need no conversion."""
    item = wanted.item
    if not isinstance(item, AtomicType):
        return frozenset()
    return frozenset(cls for cls, name in EXACT.items() if derives_from(name, item.local))


@dataclass(eq=False)
class FunctionDeclaration:
    """A function that a query declares or writes inline.

    Attributes:
        name: Expanded name, None for an inline function.
        prefix: Prefix of the name as written.
        parameters: The parameters; their slots are the first of the frame.
        result: Type of the result.
        body: The expression, None for an external function or an empty body.
        scope: Size of the frame and captures.
        annotations: Pairs of expanded name and values.
        private: Whether other modules may not see it.
        span: Offsets of the declaration.
    """

    name: str | None
    prefix: str
    parameters: list[Parameter]
    result: SequenceType
    body: Any
    scope: Scope
    annotations: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    private: bool = False
    span: tuple[int, int] = (0, 0)
    module: Any = None

    def __post_init__(self) -> None:
        # The result is converted as a parameter is.
        self.returned = Parameter("", self.result, 0)
        # The slots of the parameters are the first of the frame.
        self.blank = [None] * (self.scope.size - len(self.parameters))
        self.typed = [(place, p) for place, p in enumerate(self.parameters) if p.type is not ANY]
        self.calls = 0
        self.code: Callable[..., Any] | None = None

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return the types of parameters and result."""
        return tuple(p.type for p in self.parameters), self.result

    def apply(
        self, ctx: Context, args: Sequence[Sequence[Any]], captured: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """Call the function with a frame of its own."""
        frame: list[Any] = [*args, *self.blank]
        for place, parameter in self.typed:
            value = frame[place]
            if (
                type(value[0]) not in parameter.accepted
                if len(value) == 1
                else not parameter.low <= len(value) <= parameter.high
                or type(value) is range
                or not parameter.accepted.issuperset(map(type, value))
            ):
                frame[place] = convert(value, parameter.type, f"argument ${parameter.name}")
        if captured:
            for (_, slot), value in zip(self.scope.captures, captured):
                frame[slot] = value
        if self.body is None:
            return convert([], self.result, "result")
        if self.code is not None:
            return self.by_code(ctx, frame, captured)
        self.calls += 1
        if self.calls == hot.OFTEN + 1:
            meter = ctx.execution.meter
            self.code = None if hot.others_wait(meter.budget) else hot.hot_function(self, meter)
            if self.code is not None:
                return self.by_code(ctx, frame, captured)
        result = called(self.body, ctx.call(frame))
        return self.returned_by(result)

    def returned_by(self, result: Sequence[Any]) -> Sequence[Any]:
        """Convert what the body returned to the declared type."""
        if self.result is ANY:
            return result
        returned = self.returned
        if (
            type(result[0]) in returned.accepted
            if len(result) == 1
            else returned.low <= len(result) <= returned.high
            and type(result) is list
            and returned.accepted.issuperset(map(type, result))
        ):
            return result
        return convert(result, self.result, "result")

    def by_code(self, ctx: Context, frame: list[Any], captured: Sequence[Any]) -> Sequence[Any]:
        """Call the written code: arguments and result change their form."""
        assert self.code is not None
        args: list[Any] = frame[: len(self.parameters)]
        for place, parameter in self.typed:
            if parameter.high == 1:
                value = args[place]
                args[place] = value[0] if value else None
        if captured:
            args.append(captured)
        result = self.code(ctx.call([]), *args)
        if self.returned.high != 1:
            found: Sequence[Any] = result
            return found
        return [] if result is None else [result]

    def entry(self, ctx: Context, *args: Any) -> Any:
        """Call the function from written code: arguments and result have the forms that code wants.

        Written code calls this one until the function has code itself, which is then found in its place.
        """
        code = self.code = self.code or hot.hot_function(self, ctx.execution.meter)
        if code is not None:
            self.entry = code  # type: ignore[method-assign]  # from now on it is called at once
            return code(ctx, *args)
        self.entry = self.by_tokens  # type: ignore[method-assign]
        return self.by_tokens(ctx, *args)

    def by_tokens(self, ctx: Context, *args: Any) -> Any:
        """Call the function from written code, as ``entry``; its body evaluates itself."""
        frame: list[Any] = [*args, *self.blank]
        for place, parameter in self.typed:
            if parameter.high == 1:
                frame[place] = [] if args[place] is None else [args[place]]
        result = self.returned_by(called(self.body, ctx.call(frame)))
        return result if self.returned.high != 1 else (result[0] if result else None)


def called(body: Any, ctx: Context) -> Sequence[Any]:
    """Evaluate what is a function level of its own."""
    execution = ctx.execution
    meter = execution.meter
    meter.left -= 1
    if meter.left < meter.look_at:
        meter.check()
    depth = meter.depth
    meter.depth = depth + 1
    try:
        result: Sequence[Any]
        if depth < meter.deepest:
            result = body.run(ctx)
        else:
            result = execution.deeper(lambda: body.run(ctx))
        return result
    finally:
        meter.depth = depth


class UserFunction(FunctionItem):
    """A declared function, or an inline one with what it captured."""

    def __init__(self, declaration: FunctionDeclaration, captured: Sequence[Any] = ()) -> None:
        super().__init__()
        self.declaration = declaration
        self.captured = captured
        self.annotations = declaration.annotations

    @property
    def qname(self) -> QName | None:
        """Return the name."""
        name = self.declaration.name
        if name is None:
            return None
        uri, local = split_name(name)
        return QName(uri, f"{self.declaration.prefix}:{local}" if self.declaration.prefix and uri else local)

    @property
    def arity(self) -> int:
        """Return the number of parameters."""
        return len(self.declaration.parameters)

    @property
    def signature(self) -> tuple[tuple[SequenceType, ...], SequenceType]:
        """Return the declared types."""
        return self.declaration.signature

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Call it."""
        return self.declaration.apply(ctx, args, self.captured)


@dataclass(eq=False)
class VariableDeclaration:
    """A global variable.

    Attributes:
        name: Expanded name.
        type: Declared type, or None.
        value: Expression of its value; None for an external one without a default.
        external: Whether the caller may give the value.
        scope: Frame of the expression.
    """

    name: str
    type: SequenceType | None = None
    value: Any = None
    external: bool = False
    scope: Scope = field(default_factory=Scope)
    private: bool = False
    annotations: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    span: tuple[int, int] = (0, 0)
    module: Any = None

    def value_in(self, ctx: Context) -> Sequence[Any]:
        """Return the value in this run, evaluating it if nobody did yet."""
        execution = ctx.execution
        found = execution.globals.get(self, None)
        if found is PENDING:
            raise failure("XQDY0054", f"variable ${self.name} depends on itself")
        if found is not None:
            value: Sequence[Any] = found
            return value
        execution.globals[self] = PENDING
        try:
            value = self.evaluate(ctx)
        except BaseException as error:
            execution.globals.pop(self, None)
            if isinstance(error, QueryError):
                # It is the declaration that failed, not the expression that asks: no try catches it.
                error.uncatchable = True  # type: ignore[attr-defined]
            raise
        execution.globals[self] = value
        return value

    def evaluate(self, ctx: Context) -> Sequence[Any]:
        """Take the caller's value, or evaluate the expression."""
        execution = ctx.execution
        wanted = self.type
        if self.external and self.name in execution.variables:
            value = execution.variables[self.name]
            if wanted is not None and not wanted.matches(value):
                raise mismatch(value, wanted, f"value of ${self.name}")
            return list(value)
        if self.value is None:
            raise failure("XPDY0002", f"no value was given for the external variable ${self.name}")
        inner = ctx.call([None] * self.scope.size)
        main = execution.caches.get("context item", PENDING)
        if main is not PENDING:
            inner.item = main
            inner.position = inner.size = 1
        result = called(self.value, inner)
        if wanted is not None and not wanted.matches(result):
            raise mismatch(result, wanted, f"value of ${self.name}")
        return result


@dataclass(eq=False)
class ContextItemDeclaration:
    """``declare context item``."""

    type: Any = None
    value: Any = None
    external: bool = False
    scope: Scope = field(default_factory=Scope)


@dataclass(eq=False)
class Module:
    """What one text declares and needs.

    Attributes:
        namespace: Target namespace of a library module, None for a main module.
        functions: Declared functions by name and arity.
        variables: Declared variables by name.
        imports: Namespaces of imported modules, with the modules.
        wanted_calls: Calls and references to be linked.
        wanted_variables: Variable references to be linked.
        body: The query body of a main module.
        scope: Frame of the body.
    """

    namespace: str | None = None
    functions: dict[tuple[str, int], FunctionDeclaration] = field(default_factory=dict)
    variables: dict[str, VariableDeclaration] = field(default_factory=dict)
    imports: dict[str, list[Module]] = field(default_factory=dict)
    wanted_calls: list[Any] = field(default_factory=list)
    wanted_variables: list[Any] = field(default_factory=list)
    body: Any = None
    scope: Scope = field(default_factory=Scope)
    context_item: ContextItemDeclaration | None = None
    static: Any = None
    source: str = ""
    import_tokens: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    parameter_document: Any = None

    def find_function(self, name: str, arity: int) -> FunctionDeclaration | None:
        """Return a function of this module or of an imported one."""
        found = self.functions.get((name, arity))
        if found is not None:
            return found
        for module in self.imports.get(split_name(name)[0], ()):
            found = module.functions.get((name, arity))
            if found is not None and not found.private:
                return found
        return None

    def find_variable(self, name: str) -> VariableDeclaration | None:
        """Return a variable of this module or of an imported one."""
        found = self.variables.get(name)
        if found is not None:
            return found
        for module in self.imports.get(split_name(name)[0], ()):
            found = module.variables.get(name)
            if found is not None and not found.private:
                return found
        return None


def link(module: Module) -> None:
    """Resolve the calls and variable references of a module; XPST0017 and XPST0008 for those that miss."""
    for call in module.wanted_calls:
        declaration = module.find_function(call.name, call.arity)
        if declaration is None:
            raise call.wrong("XPST0017", f"there is no function {call.value}#{call.arity}")
        call.declaration = declaration
    for variable in module.wanted_variables:
        found = module.find_variable(variable.name)
        if found is None:
            raise variable.wrong("XPST0008", f"there is no variable ${variable.value}")
        variable.declaration = found
    module.wanted_calls.clear()
    module.wanted_variables.clear()
