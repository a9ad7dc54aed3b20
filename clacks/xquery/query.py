"""The API: compile a query, run it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from elementpath.datatypes import AnyAtomicType, Base64Binary, Date, DateTime
from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.common.xmltext import illegal_character
from clacks.xquery import hot
from clacks.xquery.budget import BUDGET_CODE, DEFAULT, Meter, QueryBudget
from clacks.xquery.collector import rest, work_again
from clacks.xquery.context import Context, Execution, Resolvers
from clacks.xquery.conversion import boolean_value, mismatch
from clacks.xquery.depth import in_deep_thread
from clacks.xquery.errors import failure, syntax_failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XMap
from clacks.xquery.modules import Module, link
from clacks.xquery.nodes import Node, split_name
from clacks.xquery.parser import XQueryParser, install
from clacks.xquery.places import place
from clacks.xquery.prolog import parse_module
from clacks.xquery.sequence_types import SequenceType
from clacks.xquery.static import StaticContext
from clacks.xquery.tree import TreeDocument, wrap

__all__ = ["ModuleSource", "Query", "compile_query", "to_sequence"]

install()

ModuleSource = Mapping[str, str | Sequence[str]] | Callable[[str, Sequence[str]], Sequence[Any]]
"""Where library modules come from: texts by namespace, or a function of namespace and location hints that
returns texts or pairs (URI, text)."""


def to_sequence(value: object) -> list[Any]:
    """Make a sequence of a Python value: None is empty, a list or tuple its items, all else one item.

    Strings, numbers, booleans, dates, bytes, dictionaries with atomic keys, lxml documents and elements, and
    values of this package.
    """
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in to_sequence(part)]
    return [to_item(value)]


def to_item(value: object) -> Any:
    """Make an item of a Python value."""
    if isinstance(value, (str, bool, int, float, Decimal, AnyAtomicType, Node, FunctionItem)):
        return value
    if isinstance(value, datetime.datetime):
        return DateTime.fromstring(value.isoformat())
    if isinstance(value, datetime.date):
        return Date.fromstring(value.isoformat())
    if isinstance(value, bytes):
        return Base64Binary(Base64Binary.encoder(value))
    if isinstance(value, Mapping):
        return XMap((key, to_sequence(part)) for key, part in value.items())
    if isinstance(value, etree._ElementTree):
        return wrap(value)
    if isinstance(value, etree._Element):
        return wrap(value).children[0]
    raise failure("XPTY0004", f"a Python object of type {type(value).__name__} is no XQuery value")


def to_python(item: Any) -> Any:
    """Give nodes of a parsed document as lxml objects, all else as it is."""
    if isinstance(item, Node):
        origin = getattr(item, "origin", None)
        if origin is not None:
            return origin
        if item.kind in ("element", "document"):
            value = getattr(item, "value", None)
            if value is not None:
                return value
    return item


class Compiler:
    """Compiles one query with the modules it imports."""

    def __init__(
        self, modules: ModuleSource | None, meter: Meter, namespaces: Mapping[str, str], base_uri: str | None
    ) -> None:
        self.modules = modules
        self.meter = meter
        self.namespaces = namespaces
        self.base_uri = base_uri
        self.loaded: dict[tuple[str, str], Module] = {}

    def static(self) -> StaticContext:
        """Return the static context that a module starts from."""
        static = StaticContext(base_uri=self.base_uri)
        for prefix, uri in self.namespaces.items():
            if prefix:
                static.namespaces[prefix] = uri
            else:
                static.element_namespace = uri
        return static

    def compile(self, text: str) -> Module:
        """Compile a main module and all it imports."""
        module = self.read(text, None, self.base_uri)
        everything = [module, *self.loaded.values()]
        # All modules of a namespace are seen together, by whatever route they came (4.12.2).
        for each in everything:
            for namespace in each.imports:
                each.imports[namespace] = [m for (uri, _), m in self.loaded.items() if uri == namespace]
        for each in everything:
            check_imports(each)
        for each in everything:
            link(each)
        return module

    def read(self, text: str, namespace: str | None, uri: str | None) -> Module:
        """Read one module."""
        if (found := illegal_character(text)) is not None:
            # A query consists of characters of XML (XQuery 3.1, A.2). One with others could name elements
            # that no document can have, and libxml2 refuses to look for them.
            at = next(n for n, sign in enumerate(text) if illegal_character(sign))
            raise syntax_failure("XPST0003", f"{found} is no character of XML", text, at)
        module = Module(source=text)
        if namespace is not None:
            self.loaded[namespace, text] = module
        static = self.static() if namespace is None else StaticContext(base_uri=uri)
        static.module = module
        module.static = static
        parser = XQueryParser(text.replace("\r\n", "\n").replace("\r", "\n"), static, module)
        parser.meter = self.meter
        try:
            parse_module(parser, self.load, library=namespace is not None)
        except RecursionError:
            raise QueryBudgetExceeded(BUDGET_CODE, "the query is nested too deeply", source=text) from None
        return module

    def load(self, namespace: str, hints: Sequence[str], at: Any) -> list[Module]:
        """Find the modules of a namespace."""
        source = self.modules
        found: Sequence[Any]
        if source is None:
            found = ()
        elif callable(source):
            found = source(namespace, hints)
        else:
            texts = source.get(namespace, ())
            found = [texts] if isinstance(texts, str) else texts
        modules = []
        for entry in found:
            uri, text = entry if isinstance(entry, tuple) else (self.base_uri, entry)
            module = self.loaded.get((namespace, text))
            if module is None:
                module = self.read(text, namespace, uri)
                if module.namespace != namespace:
                    raise at.wrong("XQST0059", f"a module given for {namespace} has another namespace")
            modules.append(module)
        if not modules:
            raise at.wrong("XQST0059", f"there is no module {namespace}")
        return modules


def check_imports(module: Module) -> None:
    """Refuse names that are declared in two modules of the same namespace."""
    for namespace, imported in module.imports.items():
        at = module.import_tokens[namespace]
        functions: dict[Any, Any] = dict(module.functions)
        variables: dict[Any, Any] = dict(module.variables)
        for other in imported:
            if other is module:
                continue
            for key, function in other.functions.items():
                if functions.setdefault(key, function) is not function and not function.private:
                    raise at.wrong("XQST0034", f"{split_name(key[0])[1]}#{key[1]} is declared in two modules")
            for name, variable in other.variables.items():
                if variables.setdefault(name, variable) is not variable and not variable.private:
                    raise at.wrong("XQST0049", f"${split_name(name)[1]} is declared in two modules")


def compile_query(
    text: str,
    *,
    namespaces: Mapping[str, str] | None = None,
    modules: ModuleSource | None = None,
    resolvers: Resolvers | None = None,
    budget: QueryBudget = DEFAULT,
    base_uri: str | None = None,
) -> Query:
    """Compile a query.

    Args:
        text: The query, XQuery 3.1.
        namespaces: Prefixes to know beforehand; the empty one is the default element namespace.
        modules: Library modules for ``import module``.
        resolvers: What the query may see of the outside; nothing by default.
        budget: What compiling and each run may cost.
        base_uri: Static base URI.

    Raises:
        QuerySyntaxError: If the query does not compile; with W3C code, line and column.
        QueryBudgetExceeded: If compiling costs more than the budget.
    """
    meter = Meter(budget)
    resting = rest(budget)
    try:
        module = Compiler(modules, meter, namespaces or {}, base_uri).compile(text)
    except QueryError as error:
        if error.source is None:
            error.source = text
        raise
    finally:
        if resting:
            work_again()
    query = Query(text, module, budget, resolvers or Resolvers())
    query.stands_alone = not (namespaces or modules or resolvers or base_uri)
    return query


class Query:
    """A compiled query. Its meaning never changes: many threads may run it at once.

    Attributes:
        text: The text it was compiled from.
        external_variables: Expanded names (``local`` or ``{uri}local``) of the variables a caller may give.
        module: The main module; ``module.body`` is the root of the token tree.
        stands_alone: Whether its text alone says what it means: it was compiled without namespaces, modules,
            resolvers and base URI.
    """

    def __init__(self, text: str, module: Module, budget: QueryBudget, resolvers: Resolvers) -> None:
        self.text = text
        self.module = module
        self.budget = budget
        self.resolvers = resolvers
        self.stands_alone = True
        self.runs = 0
        self.run_body: Callable[[Context], Sequence[Any]] = module.body.run
        self._external = externals(module)
        self.external_variables: tuple[str, ...] = tuple(self._external)

    def __repr__(self) -> str:
        return f"Query({self.text!r})"

    def matches(self, document: Any, variables: Mapping[str, object] | None = None) -> bool:
        """Tell whether the effective boolean value of the result is true.

        Args:
            document: An lxml tree or element, or what ``wrap`` made of one; the context item is the document
                node. None for no context item.
            variables: Values of external variables by expanded name.

        Raises:
            QueryEvaluationError: If the query fails on this document.
            QueryBudgetExceeded: If it costs more than the budget.
        """
        return bool(self._run(document, variables, boolean_value))

    def evaluate(self, document: Any = None, variables: Mapping[str, object] | None = None) -> list[Any]:
        """Return the result as a list: nodes of the document as lxml objects, constructed nodes as ``Node``,
        atomic values as Python values of their type, maps and arrays and functions as items of this package.

        Arguments and errors are those of ``matches``.
        """
        return [to_python(item) for item in self.sequence(document, variables)]

    def sequence(self, document: Any = None, variables: Mapping[str, object] | None = None) -> list[Any]:
        """Return the result as a list of XDM items; nodes are ``Node``."""
        found: list[Any] = self._run(document, variables, list)
        return found

    def _run(
        self, document: Any, variables: Mapping[str, object] | None, finish: Callable[[Any], Any]
    ) -> Any:
        item: Any = document
        if document is not None and type(document) is not TreeDocument:
            item = (
                wrap(document)
                if isinstance(document, (etree._Element, etree._ElementTree))
                else to_item(document)
            )
        given = {}
        if variables and self._external:
            given = {name: to_sequence(variables[name]) for name in self._external if name in variables}
        resting = rest(self.budget)
        try:
            execution = Execution(Meter(self.budget), self.resolvers, given)
            return self.execute(execution, item, finish)
        except QueryBudgetExceeded as error:
            if resting:
                # The frames hold all that was made. The collector, which looks as soon as it works again,
                # must not take that for long-lived: after a dozen such runs it would walk all of it at once.
                error.__traceback__ = None
            raise
        finally:
            if resting:
                work_again()

    def execute(self, execution: Execution, item: Any, finish: Callable[[Any], Any] = list) -> Any:
        """Run within an execution that the caller made."""
        module = self.module
        context = Context(execution, item, [None] * module.scope.size)
        try:
            if module.context_item is not None or module.imports:
                context.item = context_item(module, context, item)
            execution.caches["context item"] = context.item
            self.runs += 1
            if self.runs == hot.OFTEN + 1 and not hot.others_wait(self.budget):
                self.run_body = hot.hot_run(module.body, execution.meter)
            value = self.run_body(context)
            if type(value) is range:
                execution.meter.step(len(value))
            return finish(value)
        except RecursionError:
            if execution.deep:
                raise QueryBudgetExceeded(
                    BUDGET_CODE, "the query recurs too deeply", source=self.text
                ) from None
        except MemoryError:
            raise QueryBudgetExceeded(BUDGET_CODE, "the query wants more memory", source=self.text) from None
        except QueryError as error:
            place(error)
            if error.source is None:
                error.source = self.text
            raise
        finally:
            execution.close()
        # Outside of the handler: the frames that were too many are gone by now.
        try:
            return in_deep_thread(lambda: self.execute(execution.again(), item, finish))
        except RuntimeError as error:
            raise QueryBudgetExceeded(
                BUDGET_CODE, f"the query recurs too deeply ({error})", source=self.text
            ) from None


def externals(module: Module) -> dict[str, None]:
    """Collect the names of external variables of a module and all it imports."""
    names: dict[str, None] = {}
    seen: set[int] = set()
    stack = [module]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        names.update((name, None) for name, declared in current.variables.items() if declared.external)
        for imported in current.imports.values():
            stack.extend(imported)
    return names


def context_item(module: Module, context: Context, item: Any) -> Any:
    """Apply the context item declarations of a module and those it imports."""
    declared = module.context_item
    if declared is not None:
        if (item is None or not declared.external) and declared.value is not None:
            inner = context.call([None] * declared.scope.size)
            value = declared.value.run(inner)
            if declared.type is None and len(value) != 1:
                raise failure("XPTY0004", f"the context item is one item, found {len(value)}")
            if declared.type is not None and not SequenceType(declared.type).matches(value):
                raise mismatch(value, SequenceType(declared.type), "context item")
            item = value[0]
        elif item is None and declared.external:
            raise failure("XPDY0002", "no context item was given")
    for each in [module, *(m for group in module.imports.values() for m in group)]:
        wanted = each.context_item
        if wanted is not None and wanted.type is not None and item is not None:
            wanted_type = SequenceType(wanted.type)
            if not wanted_type.matches([item]):
                raise mismatch([item], wanted_type, "context item")
    return item
