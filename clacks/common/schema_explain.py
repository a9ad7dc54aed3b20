"""Explain what a schema refuses, in sentences with path, found and expected.

The only door to xmlschema. It is imported when something was refused, or for schemas of XSD 1.1, and never
for valid events: the import alone takes longer than a command should.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from lxml import etree

from clacks.common.errors import InvalidEvent, SchemaError
from clacks.common.schema_files import SchemaFile
from clacks.common.schema_model import EVENTS_NS
from clacks.common.xmltext import line_of, path_of

if TYPE_CHECKING:
    import xmlschema

__all__ = ["NO_VERDICT", "Explainer", "did_you_mean"]

_X = "{http://www.w3.org/2001/XMLSchema}"
_CLARK = re.compile(r"\{[^{}]*\}")
NO_VERDICT = "cannot be validated"
"""How the reason begins where xmlschema broke off without saying yes or no."""
_QUOTED_VALUE = 120
"""Characters of a foreign value that an error shows."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean X?)"`` for the known name nearest to ``name``, or an empty string."""
    by_folded = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f" (did you mean {by_folded[near[0]]}?)" if near else ""


def _wrapper(kind: str) -> str:
    """Return a schema whose root element Event holds exactly one event of ``kind``."""
    return (
        f'<schema xmlns="http://www.w3.org/2001/XMLSchema" xmlns:e="{EVENTS_NS}"'
        f' targetNamespace="{EVENTS_NS}" elementFormDefault="qualified">'
        f'<element name="Event"><complexType><sequence><element ref="e:{kind}"/></sequence></complexType>'
        "</element></schema>"
    )


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _QUOTED_VALUE else text[:_QUOTED_VALUE] + "...")


class Explainer:
    """xmlschema's view of one event type.

    Building raises SchemaError if xmlschema refuses the files. Safe to use from several threads.
    """

    def __init__(self, kind: str, files: Sequence[SchemaFile]) -> None:
        self._kind = kind
        # xmlschema builds parts of itself when they are first used.
        self._lock = threading.Lock()
        self._schema, self.version = _build(kind, files)

    def accepts(self, root: etree._Element) -> bool:
        """Tell whether the document is valid."""
        return not self.errors(root, 1)

    def errors(self, root: etree._Element, most: int) -> list[InvalidEvent]:
        """Return what is wrong with the document, in the order in which xmlschema finds it."""
        from xmlschema import XMLSchemaException

        with self._lock:
            found = self._schema.iter_errors(root, use_location_hints=False)
            try:
                # A text that breaks the pattern and the value of its type is one mistake, not two.
                errors: dict[tuple[str, str], InvalidEvent] = {}
                for error in found:
                    explained = self._explained(root, error)
                    errors.setdefault((explained.path, explained.reason), explained)
                    if len(errors) == most:
                        break
                return list(errors.values())
            except (XMLSchemaException, RecursionError, ArithmeticError, ValueError, TypeError) as error:
                # Beyond its own limits: depth, number of elements, years of more digits than Python holds.
                reason = f"{NO_VERDICT}: {error}"
                return [InvalidEvent(self._kind, path_of(root), reason, line_of(root))]

    def _explained(self, root: etree._Element, error: xmlschema.XMLSchemaValidationError) -> InvalidEvent:
        from xmlschema.validators import XMLSchemaChildrenValidationError, XMLSchemaDecodeError

        place = error.elem if isinstance(error.elem, etree._Element) else root
        if isinstance(error, XMLSchemaChildrenValidationError):
            return self._wrong_children(place, error)
        reason = _without_namespaces(error.reason or "invalid")
        found = None if isinstance(error.obj, etree._Element) else str(error.obj)
        expected: str | None = None
        facet = type(error.validator).__name__
        builtin = getattr(error.validator, "target_namespace", None) == _X[1:-1]
        if isinstance(error, XMLSchemaDecodeError) or builtin:
            expected = _type_name(error.validator) or _type_name(getattr(error.validator, "parent", None))
            reason = f"not {_article(expected)}: {_shown(error.obj)}" if expected else reason
        elif facet == "XsdEnumerationFacets":
            allowed = [str(value) for value in getattr(error.validator, "enumeration", ())]
            expected = " or ".join(allowed)
            reason = f"{_shown(error.obj)} is not one of {', '.join(allowed)}"
            reason += did_you_mean(str(error.obj), allowed)
        elif facet == "XsdPatternFacets":
            expected = " or ".join(str(p) for p in getattr(error.validator, "regexps", ()))
            reason = f"{_shown(error.obj)} does not match {expected}"
        elif facet.startswith(("XsdMin", "XsdMax")):
            limit = getattr(error.validator, "value", None)
            expected = f"{_local(str(getattr(error.validator, 'elem').tag))} {limit}"  # noqa: B009 (untyped)
            reason = f"{_shown(error.obj)} is out of range: {expected}"
        return InvalidEvent(
            self._kind, path_of(place), reason, line_of(place), found=found, expected=expected
        )

    def _wrong_children(
        self, parent: etree._Element, error: xmlschema.validators.XMLSchemaChildrenValidationError
    ) -> InvalidEvent:
        expected = [
            _local(str(particle.name)) for particle in error.expected or () if getattr(particle, "name", None)
        ]
        choice = " or ".join(expected) or None
        child: object = error.invalid_child  # lxml's, though the annotation says ElementTree's
        if not isinstance(child, etree._Element) or error.invalid_tag is None:
            missing = choice or "content"
            reason = f"{missing} is missing"
            return InvalidEvent(self._kind, path_of(parent), reason, line_of(parent), expected=choice)
        name = _local(str(error.invalid_tag))
        path, line = path_of(child), line_of(child)
        if not str(error.invalid_tag).startswith(f"{{{EVENTS_NS}}}") and name in expected:
            reason = f"{name} is in the namespace {etree.QName(child).namespace!r}, expected {EVENTS_NS!r}"
        else:
            limits = {
                _local(str(n)): getattr(e, "max_occurs", None)
                for e in _elements(error.validator)
                if (n := getattr(e, "name", None))
            }
            number = 1 + sum(1 for _ in child.itersiblings(child.tag, preceding=True))
            if name not in limits:
                reason = f"unknown element {name}{did_you_mean(name, limits)}"
            elif (most := limits[name]) is not None and number > most:
                reason = f"{name} occurs too often"
            else:
                reason = f"{name} is not allowed here"
            reason += f", expected {choice}" if choice else ""
        return InvalidEvent(self._kind, path, reason, line, found=name, expected=choice)


def _elements(validator: object) -> Iterable[object]:
    iterate = getattr(validator, "iter_elements", None)
    return iterate() if iterate is not None else ()


def _without_namespaces(text: str) -> str:
    return _CLARK.sub("", text).strip().rstrip(".")


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _type_name(thing: object) -> str | None:
    """Return the name of a simple type as people know it: its own or that of what it restricts."""
    for _ in range(20):
        name = getattr(thing, "local_name", None)
        if name:
            return str(name)
        thing = getattr(thing, "base_type", None)
        if thing is None:
            return None
    return None


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    raise OSError("schemas are not fetched")


def _build(kind: str, files: Sequence[SchemaFile]) -> tuple[xmlschema.XMLSchemaBase, str]:
    from urllib.request import OpenerDirector  # slow to import, and xmlschema has it anyway

    from xmlschema import XMLSchema10, XMLSchema11, XMLSchemaException

    # xmlschema gets all texts at once and no way to fetch others: the includes are resolved here.
    sources = [_wrapper(kind), *(_without_includes(file) for file in files)]
    opener = OpenerDirector()
    opener.open = _refuse  # type: ignore[method-assign]  # the one method that xmlschema calls
    first: Exception | None = None
    versions = (XMLSchema11,) if any(file.version_11 for file in files) else (XMLSchema10, XMLSchema11)
    for version in versions:
        try:
            schema = version(
                list(sources),
                allow="none",
                defuse="always",
                use_fallback=False,
                opener=opener,
                loglevel=50,
            )
        except (XMLSchemaException, SyntaxError, ValueError, OSError, RecursionError) as error:
            first = first or error
        else:
            return schema, version.XSD_VERSION
    assert first is not None
    raise _schema_error(files[0], first)


def _without_includes(file: SchemaFile) -> str:
    if not file.includes:
        return file.data.decode()
    root = etree.fromstring(etree.tostring(file.root))
    for node in root.findall(f"{_X}include"):
        root.remove(node)
    return etree.tostring(root, encoding="unicode")


def _schema_error(file: SchemaFile, error: Exception) -> SchemaError:
    reason = _without_namespaces(str(getattr(error, "message", None) or error).splitlines()[0])
    # xmlschema reads with ElementTree, which forgets lines: find the element that it names in our own tree.
    node = getattr(error, "elem", None)
    tag = getattr(node, "tag", None)
    attributes: dict[str, str] = dict(getattr(node, "attrib", {}))
    same = (e for e in file.root.iter(etree.Element) if e.tag == tag and dict(e.attrib.items()) == attributes)
    found = next(same, None)
    line = line_of(found) if found is not None else None
    return SchemaError(str(file.path), reason, line)
