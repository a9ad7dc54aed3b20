"""Serialization parameters that a query declares in its prolog (XQuery 3.1, 2.2.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from clacks.xquery.lexer import NAME
from clacks.xquery.nodes import expanded
from clacks.xquery.tree import wrap

if TYPE_CHECKING:
    from clacks.xquery.query import Query

__all__ = ["OUTPUT", "declare_output", "parameters_of"]

OUTPUT = "http://www.w3.org/2010/xslt-xquery-serialization"

YES_NO = frozenset({"yes", "no", "true", "false", "1", "0"})
CHOICES: dict[str, frozenset[str] | None] = {
    "allow-duplicate-names": YES_NO,
    "byte-order-mark": YES_NO,
    "cdata-section-elements": None,
    "doctype-public": None,
    "doctype-system": None,
    "encoding": None,
    "escape-uri-attributes": YES_NO,
    "html-version": None,
    "include-content-type": YES_NO,
    "indent": YES_NO,
    "item-separator": None,
    "json-node-output-method": None,
    "media-type": None,
    "method": None,
    "normalization-form": None,
    "omit-xml-declaration": YES_NO,
    "parameter-document": None,
    "standalone": YES_NO | {"omit"},
    "suppress-indentation": None,
    "undeclare-prefixes": YES_NO,
    "use-character-maps": None,
    "version": None,
}
METHODS = frozenset({"xml", "xhtml", "html", "text", "json", "adaptive"})
NAME_LISTS = frozenset({"cdata-section-elements", "suppress-indentation"})


def declare_output(prolog: Any, at: Any, local: str, value: str) -> None:
    """Check one ``declare option output:...``: XQST0109, XQST0110, SEPM0016."""
    if local not in CHOICES:
        raise at.wrong("XQST0109", f"there is no serialization parameter {local}")
    if local == "use-character-maps":
        raise at.wrong("XQST0109", "character maps are given in a parameter document")
    prolog.once(f"output:{local}", "XQST0110", at)
    if local == "parameter-document":
        prolog.module.parameter_document = (value.strip(), at)
        return
    prolog.module.output[local] = checked(prolog.static, at, local, value)


def checked(static: Any, at: Any, local: str, value: str) -> Any:
    """Return the value of a parameter; SEPM0016 if it is none."""
    choices = CHOICES[local]
    text = value.strip()
    if choices is not None:
        if text not in choices:
            raise at.wrong("SEPM0016", f"{local} cannot be {value!r}")
        return text
    if local in NAME_LISTS:
        return [expand(static, at, word) for word in text.split()]
    if local in ("method", "json-node-output-method"):
        if text in METHODS and not (local != "method" and text in ("json", "adaptive")):
            return text
        if ":" in text or text.startswith("Q{"):
            return expand(static, at, text)
        raise at.wrong("SEPM0016", f"{local} cannot be {value!r}")
    if local == "html-version" and re.fullmatch(r"[0-9]+(\.[0-9]*)?", text) is None:
        raise at.wrong("SEPM0016", f"{local} cannot be {value!r}")
    return value


def expand(static: Any, at: Any, word: str) -> str:
    """Return the expanded name of an EQName; elements without prefix are in the default namespace."""
    braced = re.fullmatch(r"Q\{([^{}]*)\}(.+)", word)
    if braced is not None:
        return expanded(braced.group(1), braced.group(2))
    prefix, colon, local = word.rpartition(":")
    if NAME.fullmatch(local) is None:
        raise at.wrong("SEPM0016", f"{word!r} is no name")
    if not colon:
        return expanded(static.element_namespace, local)
    if prefix not in static.namespaces:
        raise at.wrong("SEPM0016", f"prefix {prefix!r} is not declared")
    return expanded(static.namespaces[prefix], local)


def parameters_of(query: Query) -> dict[str, Any]:
    """Return the serialization parameters that a query declares, by name.

    What the prolog says wins over its parameter document.

    Raises:
        QueryEvaluationError: XQST0119 if there is no such document, XQST0115 or SEPM codes if it is wrong.
    """
    from clacks.xquery.serialize import parameters_from_element

    # XQuery 3.1, appendix C.1 leaves the default open; a whole document begins with its declaration.
    values: dict[str, Any] = {"omit-xml-declaration": "no"}
    module = query.module
    if module.parameter_document is not None:
        uri, at = module.parameter_document
        resolve = query.resolvers.document
        found = None if resolve is None else resolve(urljoin(module.static.base_uri or "", uri))
        if found is None:
            raise at.wrong("XQST0119", f"there is no document {uri!r} for queries")
        values.update(parameters_from_element(wrap(found, uri)))
    values.update(module.output)
    return values
