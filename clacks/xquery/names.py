"""Names in a query: how ``(name)`` tokens decide what they are, and how lexical names become expanded ones.

There are no reserved words. A name that stands where an operand may begin looks at the token after it; one
that stands after an operand is an operator if it is spelt like one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clacks.xquery.errors import syntax_failure
from clacks.xquery.lexer import Unit
from clacks.xquery.nodes import expanded
from clacks.xquery.references import resolve_references
from clacks.xquery.tokens import KEYWORDS, OPERATOR_NAMES, Expression, token

if TYPE_CHECKING:
    from clacks.xquery.parser import XQueryParser

__all__ = ["RESERVED", "Name", "split_lexical"]

RESERVED = frozenset(
    [
        "array",
        "attribute",
        "comment",
        "document-node",
        "element",
        "empty-sequence",
        "function",
        "if",
        "item",
        "map",
        "namespace-node",
        "node",
        "processing-instruction",
        "schema-attribute",
        "schema-element",
        "switch",
        "text",
        "typeswitch",
    ]
)
"""Names that no function may have without a prefix (A.3)."""


def split_lexical(text: str) -> tuple[str | None, str]:
    """Take ``p:local`` apart; no prefix is None."""
    prefix, colon, local = text.partition(":")
    return (prefix, local) if colon else (None, text)


@token("(name)")
class Name(Expression):
    """A name: QName, ``Q{uri}local``, or a wildcard (``*:a``, ``a:*``, ``Q{uri}*``).

    Attributes:
        uri: The namespace if it was written out, else None.
    """

    label = "name"

    def __init__(self, parser: XQueryParser, unit: Unit) -> None:
        super().__init__(parser, unit)
        self.uri = unit.uri
        if unit.uri is None:
            operator = OPERATOR_NAMES.get(unit.text)
            if operator is not None:
                self.lbp = operator.lbp

    @property
    def is_wildcard(self) -> bool:
        """Tell whether it is a wildcard."""
        return "*" in self.value

    def nud(self) -> Any:
        """Become an expression, by the token that follows."""
        following = self.parser.next_token.symbol
        if self.uri is None:
            cls = KEYWORDS.get((self.value, following))
            if cls is not None:
                made = cls.at(self).nud()
                if made is not None:
                    return made
        if following in ("(", "#") and not self.is_wildcard:
            return TOKENS_BY_ROLE["call" if following == "(" else "reference"].at(self).begin(self)
        return TOKENS_BY_ROLE["step"].at(self).begin(self)

    def led(self, left: Any) -> Any:
        """Become an operator."""
        operator = OPERATOR_NAMES.get(self.value) if self.uri is None else None
        if operator is None:
            raise self.unexpected_here()
        return operator.at(self).led(left)

    def find_namespace(self, default: str) -> str:
        """Return the namespace of the name; XPST0081 if its prefix is not declared."""
        if self.uri is not None:
            return self.written_uri()
        prefix, _ = split_lexical(self.value)
        if prefix is None:
            return default
        return self.parser.namespace_of(prefix, self)

    def written_uri(self) -> str:
        """Return the URI of ``Q{uri}local`` with references resolved; XQST0070 for that of xmlns."""
        assert self.uri is not None
        uri = self.uri
        if "&" in uri:
            uri = " ".join(resolve_references(uri, self).split())
        if uri == "http://www.w3.org/2000/xmlns/":
            raise self.wrong("XQST0070", "no name is in the namespace of xmlns")
        return uri

    @property
    def local(self) -> str:
        """Return the local part."""
        return self.value if self.uri is not None else split_lexical(self.value)[1]

    @property
    def prefix(self) -> str:
        """Return the prefix, empty if there is none."""
        return "" if self.uri is not None else split_lexical(self.value)[0] or ""

    def expand(self, default: str = "") -> str:
        """Return the expanded name."""
        if self.is_wildcard:
            raise syntax_failure("XPST0003", "a name, not a wildcard", self.parser.source, self.span[0])
        return expanded(self.find_namespace(default), self.local)


TOKENS_BY_ROLE: dict[str, Any] = {}
"""The classes that a name becomes when it is no keyword: call, reference, step."""
