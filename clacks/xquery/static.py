"""The static context: what an expression knows of its surroundings in the text.

Each module has one, and each direct constructor that declares namespaces has a changed copy for what is
inside. It also stands in for elementpath's parser where one of elementpath's function classes runs: those
read namespaces, base URI, collation and the like from their parser (``bridge``).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from elementpath.xpath31 import XPath31Parser

from clacks.xquery.library import PREFIXES
from clacks.xquery.nodes import XML_NAMESPACE

__all__ = ["CODEPOINT", "DEFAULT_NAMESPACES", "StaticContext"]

CODEPOINT = "http://www.w3.org/2005/xpath-functions/collation/codepoint"
DEFAULT_NAMESPACES = {
    "xml": XML_NAMESPACE,
    "xs": PREFIXES["xs"],
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "fn": PREFIXES["fn"],
    "local": PREFIXES["local"],
    "math": PREFIXES["math"],
    "map": PREFIXES["map"],
    "array": PREFIXES["array"],
    "err": PREFIXES["err"],
}


@dataclass(eq=False)
class StaticContext:
    """Names, settings and defaults in force at one place of a module.

    Attributes:
        namespaces: Statically known namespaces by prefix; the default element namespace is not among them.
        predeclared: Prefixes that nobody declared yet (their namespaces come from the specification).
        element_namespace: Default namespace of elements and types, empty for none.
        function_namespace: Default namespace of functions.
        base_uri: Base URI, or None.
        default_collation: URI of the default collation.
        boundary_space: Keep boundary whitespace of direct constructors.
        preserve_types: Construction mode (no difference without a schema).
        ordered: Ordering mode.
        empty_least: Where the empty sequence goes in ``order by``, unless the clause says.
        preserve_namespaces: Copied elements keep the namespaces they do not use.
        inherit_namespaces: Copied elements take on the namespaces of their new parent.
        decimal_formats: Formats by expanded name, None for the unnamed one.
        options: Declared options by expanded name.
        constructed: Namespaces that direct constructors around this place declare.
        module_namespace: Target namespace of a library module, else None.
    """

    namespaces: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_NAMESPACES))
    element_namespace: str = ""
    function_namespace: str = PREFIXES["fn"]
    base_uri: str | None = None
    default_collation: str = CODEPOINT
    boundary_space: bool = False
    preserve_types: bool = True
    ordered: bool = True
    empty_least: bool = True
    preserve_namespaces: bool = True
    inherit_namespaces: bool = True
    decimal_formats: dict[str | None, dict[str, str]] = field(
        default_factory=lambda: {None: dict(XPath31Parser.decimal_formats[None])}
    )
    options: dict[str, str] = field(default_factory=dict)
    module_namespace: str | None = None
    module: Any = None
    constructed: dict[str, str] = field(default_factory=dict)

    # What elementpath's function classes ask of their parser.
    version = "3.1"
    xsd_version = "1.1"
    compatibility_mode = False
    schema = None
    variable_types = None
    document_types = None
    collection_types = None
    default_collection_type = "node()*"
    strict = True
    defuse_xml = True
    allow_environment = False
    allow_external_resources = False
    parse_arguments = True
    next_match = None
    source = ""
    symbol_table = XPath31Parser.symbol_table
    function_signatures = XPath31Parser.function_signatures
    RESERVED_FUNCTION_NAMES = XPath31Parser.RESERVED_FUNCTION_NAMES

    @property
    def default_namespace(self) -> str:
        """Return the default element namespace, by elementpath's name."""
        return self.element_namespace

    @staticmethod
    def tracer(text: str) -> None:
        """Take what fn:trace says; nobody listens."""

    @staticmethod
    def is_schema_bound() -> bool:
        """Tell that there is no schema."""
        return False

    @staticmethod
    def check_variables(values: Any) -> None:
        """Accept all variables: they are checked where they are bound."""

    def inner(self, declared: dict[str, str], element_namespace: str | None) -> StaticContext:
        """Return a copy for the inside of a constructor that declares namespaces (an empty URI
        undeclares).
        """
        twin = copy(self)
        twin.namespaces = {p: u for p, u in {**self.namespaces, **declared}.items() if u}
        if element_namespace is not None:
            twin.element_namespace = element_namespace
        return twin
