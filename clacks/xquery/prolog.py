"""The prolog and the frame of a module: version, imports, declarations, query body.

The grammar here is fixed, names are read as plain names. Two groups come in order: first setters, namespaces
(both in ``setters``) and imports, then variables, functions, options and the context item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clacks.xquery.calls import parse_parameters
from clacks.xquery.flwor import parse_binding_type
from clacks.xquery.library import PREFIXES
from clacks.xquery.modules import ContextItemDeclaration, FunctionDeclaration, VariableDeclaration
from clacks.xquery.names import RESERVED
from clacks.xquery.nodes import XML_NAMESPACE, split_name
from clacks.xquery.scope import Scope
from clacks.xquery.sequence_types import ANY
from clacks.xquery.setters import Setters
from clacks.xquery.types_parser import parse_item_type, parse_sequence_type

if TYPE_CHECKING:
    from clacks.xquery.parser import XQueryParser

__all__ = ["parse_annotation", "parse_module"]

ANNOTATIONS = "http://www.w3.org/2012/xquery"
RESERVED_NAMESPACES = frozenset(
    [
        *(PREFIXES[p] for p in ("fn", "xs", "math", "map", "array")),
        XML_NAMESPACE,
        ANNOTATIONS,
        "http://www.w3.org/2001/XMLSchema-instance",
    ]
)


DECLARATIONS = frozenset(
    [
        "base-uri",
        "boundary-space",
        "construction",
        "context",
        "copy-namespaces",
        "decimal-format",
        "default",
        "function",
        "namespace",
        "option",
        "ordering",
        "variable",
    ]
)


def parse_annotation(parser: XQueryParser, *, inline: bool = False) -> tuple[str, tuple[Any, ...]]:
    """Parse ``%name(literals)``."""
    mark = parser.advance("%")
    name = parser.qname().expand(ANNOTATIONS)
    values: list[Any] = []
    if parser.next_token.symbol == "(":
        parser.advance()
        while True:
            found = parser.next_token
            if found.symbol not in ("(string)", "(integer)", "(decimal)", "(double)"):
                raise parser.unexpected(found, "a literal")
            parser.advance()
            values.append(found.value)
            if parser.next_token.symbol != ",":
                break
            parser.advance()
        parser.advance(")")
    uri, local = split_name(name)
    if uri == ANNOTATIONS and local not in ("public", "private"):
        raise mark.wrong("XQST0045", f"there is no annotation %{local}")
    if uri in RESERVED_NAMESPACES and uri != ANNOTATIONS:
        raise mark.wrong("XQST0045", "an annotation in a reserved namespace")
    if inline and uri == ANNOTATIONS:
        raise mark.wrong("XQST0125", f"an inline function is neither public nor private: %{local}")
    return name, tuple(values)


class Prolog:
    """Reads one module into the parser's module and static context."""

    def __init__(self, parser: XQueryParser, load: Any) -> None:
        self.parser = parser
        self.static = parser.static
        self.module = parser.module
        self.setters = Setters(parser)
        self.load = load
        self.imported: set[str] = set()
        self.late = False

    def read(self, *, library: bool | None = None) -> None:
        """Read the module; ``library`` says which kind it must be, if that is known."""
        parser = self.parser
        parser.resume(0)
        self.version()
        at = parser.next_token
        is_library = parser.is_name("module") and self.follows("namespace")
        if is_library:
            self.module_declaration()
        if library is not None and library is not is_library:
            raise at.wrong("XQST0059" if library else "XPST0003", "the module is of the wrong kind")
        self.declarations()
        if is_library:
            if parser.next_token.symbol != "(end)":
                raise parser.unexpected(parser.next_token, "a declaration")
        else:
            parser.scope = self.module.scope
            body = parser.expression()
            if parser.next_token.symbol != "(end)":
                raise parser.unexpected(parser.next_token, "the end of the query")
            self.module.body = body

    def follows(self, *words: str) -> bool:
        """Tell whether the token after the next one is one of these names."""
        from clacks.xquery.lexer import scan

        unit = scan(self.parser.source, self.parser.end)
        return unit.kind == "name" and unit.text in words

    def version(self) -> None:
        """Read ``xquery version "3.1" encoding "utf-8";``."""
        parser = self.parser
        if not (parser.is_name("xquery") and self.follows("version", "encoding")):
            return
        parser.advance()
        if parser.is_name("version"):
            parser.advance()
            at = parser.next_token
            version = self.setters.string()
            if version not in ("1.0", "3.0", "3.1"):
                raise at.wrong("XQST0031", f"XQuery {version!r} is not supported")
        if parser.is_name("encoding"):
            parser.advance()
            at = parser.next_token
            encoding = self.setters.string()
            import re

            if re.fullmatch(r"[A-Za-z][A-Za-z0-9._\-]*", encoding) is None:
                raise at.wrong("XQST0087", f"{encoding!r} is no name of an encoding")
        parser.advance(";")

    def module_declaration(self) -> None:
        """Read ``module namespace p = "uri";``."""
        parser = self.parser
        parser.advance()
        parser.advance()
        name = parser.qname()
        parser.advance("=")
        at = parser.next_token
        uri = self.setters.uri()
        if not uri:
            raise at.wrong("XQST0088", "the namespace of a module is empty")
        self.setters.declare_prefix(name, uri)
        self.module.namespace = uri
        self.static.module_namespace = uri
        parser.advance(";")

    def declarations(self) -> None:
        """Read all declarations."""
        parser = self.parser
        while True:
            if parser.is_name("import") and self.follows("module", "schema"):
                self.early()
                parser.advance()
                if parser.is_name("schema"):
                    raise parser.next_token.wrong("XQST0009", "schema import is not supported")
                self.import_module()
            elif parser.is_name("declare") and self.declares():
                parser.advance()
                self.declaration()
            else:
                return
            parser.advance(";")

    def declares(self) -> bool:
        """Tell whether ``declare`` begins a declaration."""
        from clacks.xquery.lexer import scan

        unit = scan(self.parser.source, self.parser.end)
        return unit.text == "%" or (unit.kind == "name" and unit.text in DECLARATIONS)

    def early(self) -> None:
        """Refuse a setter, namespace or import after the second group has begun."""
        if self.late:
            raise self.parser.unexpected(self.parser.next_token, "a variable, a function or an option")

    def declaration(self) -> None:
        """Read what follows ``declare``."""
        parser = self.parser
        word = parser.next_token
        if word.symbol == "%":
            self.late = True
            annotations = []
            while parser.next_token.symbol == "%":
                annotations.append(parse_annotation(parser))
            if parser.is_name("variable"):
                parser.advance()
                self.variable(tuple(annotations))
            else:
                parser.take_name("function")
                self.function(tuple(annotations))
            return
        if word.symbol != "(name)" or word.uri is not None:
            raise parser.unexpected(word, "a declaration")
        if word.value in ("variable", "function", "option", "context"):
            parser.advance()
            self.late = True
            {
                "variable": self.variable,
                "function": self.function,
                "option": self.option,
                "context": self.context_item,
            }[word.value]()
            return
        self.early()
        setter = self.setters.by_name.get(word.value)
        if setter is None:
            raise parser.unexpected(word, "a declaration")
        parser.advance()
        setter()

    def option(self) -> None:
        """Read an option; those of other engines are not looked at."""
        name = self.parser.qname()
        prefix = name.prefix
        expanded = name.expand(ANNOTATIONS)
        value = self.setters.string()
        del prefix
        uri, local = split_name(expanded)
        if uri == "http://www.w3.org/2010/xslt-xquery-serialization":
            if self.module.namespace is not None:
                raise name.wrong("XQST0108", "a library module declares no serialization parameters")
            from clacks.xquery.output import declare_output

            declare_output(self.setters, name, local, value)
        self.static.options[expanded] = value

    def import_module(self) -> None:
        """Read ``import module namespace p = "uri" at "hint", ...``."""
        parser = self.parser
        word = parser.take_name("module")
        prefix = None
        if parser.is_name("namespace"):
            parser.advance()
            prefix = parser.qname()
            parser.advance("=")
        at = parser.next_token
        uri = self.setters.uri()
        if not uri:
            raise at.wrong("XQST0088", "the namespace of an imported module is empty")
        if uri in self.imported:
            raise at.wrong("XQST0047", f"the module {uri} is imported twice")
        self.imported.add(uri)
        if prefix is not None:
            if prefix.value in ("xml", "xmlns"):
                raise prefix.wrong("XQST0070", f"prefix {prefix.value} cannot be bound")
            self.setters.declare_prefix(prefix, uri)
        hints = []
        if parser.is_name("at"):
            parser.advance()
            hints.append(self.setters.uri())
            while parser.next_token.symbol == ",":
                parser.advance()
                hints.append(self.setters.uri())
        self.module.imports[uri] = self.load(uri, hints, word)
        self.module.import_tokens[uri] = at

    def own_namespace(self, name: Any, expanded: str, kind: str) -> None:
        """Refuse a declaration outside the namespace of a library module."""
        if self.module.namespace is not None and split_name(expanded)[0] != self.module.namespace:
            raise name.wrong("XQST0048", f"the {kind} {name.value} is not in the namespace of its module")

    def visibility(self, annotations: tuple[tuple[str, tuple[Any, ...]], ...], code: str, at: Any) -> bool:
        """Return whether a declaration is private; only one of %public and %private may be there."""
        marks = [name for name, _ in annotations if split_name(name)[0] == ANNOTATIONS]
        if len(marks) > 1:
            raise at.wrong(code, "more than one of %public and %private")
        return f"{{{ANNOTATIONS}}}private" in marks

    def variable(self, annotations: tuple[tuple[str, tuple[Any, ...]], ...] = ()) -> None:
        """Read a variable declaration."""
        parser = self.parser
        parser.advance("$")
        name = parser.qname()
        expanded = name.expand()
        declaration = VariableDeclaration(
            expanded,
            private=self.visibility(annotations, "XQST0116", name),
            annotations=annotations,
            span=name.span,
            module=self.module,
        )
        self.own_namespace(name, expanded, "variable")
        declaration.type = parse_binding_type(parser)
        if parser.is_name("external"):
            parser.advance()
            declaration.external = True
            if parser.next_token.symbol == ":=":
                parser.advance()
                declaration.value = self.initializer(declaration.scope, expanded)
        else:
            parser.advance(":=")
            declaration.value = self.initializer(declaration.scope, expanded)
        if expanded in self.module.variables:
            raise name.wrong("XQST0049", f"the variable ${name.value} is declared twice")
        self.module.variables[expanded] = declaration

    def initializer(self, scope: Scope, name: str | None = None) -> Any:
        """Read the expression of a variable's value, in a frame of its own; the variable is not in scope
        there.
        """
        parser = self.parser
        outer = parser.scope
        mark = len(self.module.wanted_variables)
        parser.scope = scope
        value = parser.single()
        parser.scope = outer
        for reference in self.module.wanted_variables[mark:]:
            if reference.name == name:
                raise reference.wrong(
                    "XPST0008", f"${reference.value} is not in scope in its own declaration"
                )
        return value

    def function(self, annotations: tuple[tuple[str, tuple[Any, ...]], ...] = ()) -> None:
        """Read a function declaration."""
        parser = self.parser
        name = parser.qname()
        if name.uri is None and name.value in RESERVED:
            raise name.wrong("XPST0003", f"{name.value} is no name for a function")
        expanded = name.expand(self.static.function_namespace)
        uri = split_name(expanded)[0]
        scope = Scope()
        outer = parser.scope
        parser.scope = scope
        parameters = parse_parameters(parser, scope)
        result = ANY
        if parser.is_name("as"):
            parser.advance()
            result = parse_sequence_type(parser)
        body = None
        external = parser.is_name("external")
        if external:
            parser.advance()
        else:
            body = parser.enclosed()
        parser.scope = outer
        if not uri:
            raise name.wrong("XQST0060", f"the function {name.value} is in no namespace")
        if uri in RESERVED_NAMESPACES:
            raise name.wrong("XQST0045", f"the function {name.value} is in a reserved namespace")
        self.own_namespace(name, expanded, "function")
        private = self.visibility(annotations, "XQST0106", name)
        if external:
            raise name.wrong("XPST0017", f"nobody gives the external function {name.value}")
        declaration = FunctionDeclaration(
            expanded,
            name.prefix,
            parameters,
            result,
            body,
            scope,
            annotations,
            private,
            name.span,
            self.module,
        )
        key = (expanded, len(parameters))
        if key in self.module.functions:
            raise name.wrong("XQST0034", f"the function {name.value}#{key[1]} is declared twice")
        self.module.functions[key] = declaration

    def context_item(self) -> None:
        """Read ``context item as T := E``."""
        parser = self.parser
        word = parser.take_name("item")
        if self.module.context_item is not None:
            raise word.wrong("XQST0099", "the context item is declared twice")
        declaration = ContextItemDeclaration()
        if parser.is_name("as"):
            parser.advance()
            declaration.type = parse_item_type(parser)
        if parser.is_name("external"):
            parser.advance()
            declaration.external = True
            if parser.next_token.symbol == ":=":
                parser.advance()
                declaration.value = self.initializer(declaration.scope)
        else:
            parser.advance(":=")
            declaration.value = self.initializer(declaration.scope)
        if self.module.namespace is not None and declaration.value is not None:
            raise word.wrong("XQST0113", "a library module gives no value to the context item")
        self.module.context_item = declaration


def parse_module(parser: XQueryParser, load: Any, *, library: bool | None = None) -> None:
    """Read the parser's text into its module; ``load`` finds imported modules."""
    Prolog(parser, load).read(library=library)
