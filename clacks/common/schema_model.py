"""What an event type consists of, as plain data read from its schema.

The model says what JSON, builders and documentation need: which members in which order, how often, of which
simple type. It does not validate: that is the work of libxml2 and xmlschema, which read the same files.
Content that has no faithful form as members (mixed content, wildcards, substitution, repeated choices) is
marked ``opaque``; it travels as XML text.

Objects of the model are made by ``read_model`` and not changed afterwards; types may refer to themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lxml import etree

__all__ = [
    "ANNOTATIONS_NS",
    "EVENTS_NS",
    "Annotations",
    "AttributeDecl",
    "ComplexType",
    "ElementDecl",
    "Facets",
    "SimpleType",
    "documentation_of",
    "read_annotations",
    "read_model",
]

EVENTS_NS = "http://www.gonicus.de/Events"
ANNOTATIONS_NS = "urn:clacks:annotations"
_XSD = "http://www.w3.org/2001/XMLSchema"
_X = f"{{{_XSD}}}"
_C = f"{{{ANNOTATIONS_NS}}}"

_INTEGERS = frozenset(
    {
        "integer",
        "nonPositiveInteger",
        "negativeInteger",
        "long",
        "int",
        "short",
        "byte",
        "nonNegativeInteger",
        "unsignedLong",
        "unsignedInt",
        "unsignedShort",
        "unsignedByte",
        "positiveInteger",
    }
)
_LISTS = {"NMTOKENS": "NMTOKEN", "IDREFS": "IDREF", "ENTITIES": "ENTITY"}


@dataclass(frozen=True, slots=True)
class Facets:
    """What a simple type allows of its base; empty or None where it says nothing."""

    enumeration: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    bounds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """``minInclusive``, ``maxExclusive``, ``length``, ``totalDigits`` and their like, with their value."""


@dataclass(eq=False, slots=True)
class SimpleType:
    """A type of text.

    Attributes:
        builtin: Local name of the type of XML Schema that it derives from: ``int`` for a restricted int.
        shape: How its values look outside of XML: ``boolean``, ``integer``, ``decimal``, ``float``,
            ``dateTime``, ``date``, ``time``, ``binary``, ``list``, or ``text`` for everything else.
        item: Type of the items of a list.
        facets: The restrictions, those of the bases included.
    """

    builtin: str
    shape: str
    item: SimpleType | None = None
    facets: Facets = Facets()

    @property
    def keeps_space(self) -> bool:
        """Whether white space belongs to the value."""
        return self.builtin == "string" and self.shape == "text"


@dataclass(eq=False, slots=True)
class AttributeDecl:
    """An attribute of a complex type; ``name`` is in Clark notation if it is qualified."""

    name: str
    type: SimpleType
    required: bool = False
    default: str | None = None
    documentation: str = ""


@dataclass(eq=False, slots=True)
class ElementDecl:
    """An element at one place of a content model.

    Attributes:
        name: Local name.
        tag: Name in Clark notation.
        type: What it contains.
        least: How often it must occur.
        most: How often it may occur; None is any number.
        nillable: Whether ``xsi:nil`` may stand instead of content.
        default: The value of an empty element, or None.
        json: Whether its text is JSON (annotation ``json``).
        documentation: For people.
    """

    name: str
    tag: str
    type: SimpleType | ComplexType
    least: int = 1
    most: int | None = 1
    nillable: bool = False
    default: str | None = None
    json: bool = False
    documentation: str = ""

    @property
    def repeated(self) -> bool:
        """Whether it may occur more than once: it is an array then, also for one or none."""
        return self.most is None or self.most > 1


@dataclass(eq=False, slots=True)
class ComplexType:
    """Content with members or attributes.

    Attributes:
        order: ``sequence``, ``all``, ``choice``, or ``empty``; for people and JSON Schema.
        members: The elements, in the order of the schema, each name once.
        attributes: The attributes, in the order of the schema.
        text: The type of the text, if the content is simple.
        opaque: Why members cannot hold the content, or an empty string.
        any_attribute: Whether attributes of any name are allowed.
    """

    name: str | None
    order: str = "empty"
    members: dict[str, ElementDecl] = field(default_factory=dict)
    attributes: dict[str, AttributeDecl] = field(default_factory=dict)
    text: SimpleType | None = None
    opaque: str = ""
    any_attribute: bool = False
    documentation: str = ""

    @property
    def encodes(self) -> bool:
        """Whether text that XML cannot hold may be written as base64 (attribute ``enc``)."""
        enc = self.attributes.get("enc")
        return self.text is not None and enc is not None and enc.type.facets.enumeration == ("base64",)

    def by_tag(self) -> dict[str, ElementDecl]:
        """Return the members by their names in Clark notation."""
        return {member.tag: member for member in self.members.values()}


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a schema tells about its event type beyond validation (namespace ``urn:clacks:annotations``).

    Attributes:
        key: Name of the element that identifies what the event speaks of, or None.
        operation: Name of the element that tells added, changed, removed, or None.
        operations: For values of that element ``added``, ``changed`` or ``removed``; others mean changed.
        state: Whether the last event of a key is worth replaying to a new subscriber.
        collection: Name in the TrueNAS dialect, or None for the name of the type.
        wildcard: Whether a subscription to ``*`` covers the type.
        public: Whether guests of a gateway may read it.
        json: Paths below the event of the elements whose text is JSON, such as ``Progress/Extra``.
    """

    key: str | None = None
    operation: str | None = None
    operations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    state: bool = False
    collection: str | None = None
    wildcard: bool = True
    public: bool = False
    json: tuple[str, ...] = ()


def builtin_type(name: str) -> SimpleType:
    """Return the model of a simple type of XML Schema by its local name."""
    if name in _LISTS:
        return SimpleType(name, "list", item=builtin_type(_LISTS[name]))
    if name in _INTEGERS:
        return SimpleType(name, "integer")
    if name in ("boolean", "decimal", "float", "dateTime", "date", "time"):
        return SimpleType(name, name)
    if name == "double":
        return SimpleType(name, "float")
    if name == "dateTimeStamp":
        return SimpleType(name, "dateTime")
    if name in ("base64Binary", "hexBinary"):
        return SimpleType(name, "binary")
    return SimpleType(name, "text")


def documentation_of(node: etree._Element) -> str:
    """Return the documentation of a schema component, without its indentation; empty if there is none."""
    texts = []
    for text in node.findall(f"{_X}annotation/{_X}documentation"):
        lines = [line.strip() for line in "".join(map(str, text.itertext())).strip().splitlines()]
        texts.append("\n".join(lines))
    return "\n\n".join(filter(None, texts))


def read_model(roots: Sequence[etree._Element], kind: str) -> ElementDecl:
    """Return the model of the event type ``kind`` from its schema documents (a file and what it includes).

    The documents must have been found valid. Imports and redefinitions are not known here.
    """
    return _Reader(roots).global_element(kind)


def read_annotations(roots: Sequence[etree._Element], model: ElementDecl) -> Annotations:
    """Return the annotations of an event type: those of its element and of its type together."""
    reader = _Reader(roots)
    places = [reader.globals["element", model.name]]
    type_name = places[0].get("type")
    if type_name is not None:
        found = reader.globals.get(("type", type_name.rpartition(":")[2]))
        places += [found] if found is not None else []
    words: dict[str, etree._Element] = {}
    for place in places:
        for word in place.iterfind(f"{_X}annotation/{_X}appinfo/{_C}*"):
            words.setdefault(etree.QName(word).localname, word)
    operation = words.get("operation")
    operations = {
        value: meaning
        for meaning in ("added", "changed", "removed")
        for value in (operation.get(meaning) or "" if operation is not None else "").split()
    }
    return Annotations(
        key=_word(words, "key"),
        operation=_word(words, "operation"),
        operations=MappingProxyType(operations),
        state=_word(words, "state") in ("true", "1"),
        collection=_word(words, "collection"),
        wildcard=_word(words, "wildcard") not in ("false", "0"),
        public=_word(words, "public") in ("true", "1"),
        json=tuple(_json_paths(model.type, "", frozenset())),
    )


def _word(words: Mapping[str, etree._Element], name: str) -> str | None:
    element = words.get(name)
    return (element.text or "").strip() or None if element is not None else None


def _json_paths(content: SimpleType | ComplexType, prefix: str, seen: frozenset[int]) -> Iterator[str]:
    if isinstance(content, SimpleType) or id(content) in seen:
        return
    for member in content.members.values():
        if member.json:
            yield prefix + member.name
        yield from _json_paths(member.type, f"{prefix}{member.name}/", seen | {id(content)})


@dataclass(frozen=True, slots=True)
class _Occurs:
    least: int
    most: int | None

    def times(self, node: etree._Element) -> _Occurs:
        least = int(node.get("minOccurs", "1"))
        text = node.get("maxOccurs", "1")
        most = None if text == "unbounded" else int(text)
        product = None if self.most is None or most is None else self.most * most
        if self.most == 0 or most == 0:
            product = 0
        return _Occurs(self.least * least, product)


_ONCE = _Occurs(1, 1)


class _Reader:
    """Reads components of one set of schema documents; each named type once, so that types may recur."""

    def __init__(self, roots: Sequence[etree._Element]) -> None:
        self.globals: dict[tuple[str, str], etree._Element] = {}
        self._types: dict[str, SimpleType | ComplexType] = {}
        self._anonymous: dict[etree._Element, ComplexType] = {}
        self._unfinished: set[ComplexType] = set()
        self._heads: set[str] = set()
        for root in roots:
            for node in root.iterchildren(tag=etree.Element):
                space = _SPACES.get(node.tag)
                name = node.get("name")
                if space is not None and name is not None:
                    self.globals[space, name] = node
                head = node.get("substitutionGroup")
                if head is not None:
                    self._heads |= {word.rpartition(":")[2] for word in head.split()}

    def global_element(self, name: str) -> ElementDecl:
        return self._element(self.globals["element", name], _ONCE, is_global=True)

    def _element(self, node: etree._Element, occurs: _Occurs, *, is_global: bool = False) -> ElementDecl:
        ref = node.get("ref")
        if ref is not None:
            declared = self.global_element(ref.rpartition(":")[2])
            declared.least, declared.most = occurs.least, occurs.most
            return declared
        name = node.get("name", "")
        qualified = is_global or self._form(node, "elementFormDefault") == "qualified"
        return ElementDecl(
            name=name,
            tag=f"{{{EVENTS_NS}}}{name}" if qualified else name,
            type=self._type_of(node),
            least=occurs.least,
            most=occurs.most,
            nillable=node.get("nillable") in ("true", "1"),
            default=node.get("default", node.get("fixed")),
            json=node.find(f"{_X}annotation/{_X}appinfo/{_C}json") is not None,
            documentation=documentation_of(node),
        )

    @staticmethod
    def _form(node: etree._Element, default: str) -> str:
        return node.get("form") or node.getroottree().getroot().get(default) or "unqualified"

    def _type_of(self, node: etree._Element) -> SimpleType | ComplexType:
        name = node.get("type")
        if name is not None:
            return self._named(node, name)
        inline = node.find(f"{_X}complexType")
        if inline is not None:
            known = self._anonymous.get(inline)
            if known is not None:
                return known
            empty = self._anonymous[inline] = ComplexType(None)  # before its content, which may refer to it
            return self._complex(inline, empty)
        inline = node.find(f"{_X}simpleType")
        if inline is not None:
            return self._simple(inline)
        head = node.get("substitutionGroup")
        if head is not None:
            return self.global_element(head.split()[0].rpartition(":")[2]).type
        return ComplexType(None, opaque="any content", any_attribute=True)

    def _named(self, node: etree._Element, qname: str) -> SimpleType | ComplexType:
        prefix, _, local = qname.strip().rpartition(":")
        if node.nsmap.get(prefix or None) == _XSD:
            if local == "anyType":
                return ComplexType(None, opaque="any content", any_attribute=True)
            return builtin_type(local)
        known = self._types.get(local)
        if known is not None:
            return known
        declared = self.globals["type", local]
        if declared.tag == f"{_X}simpleType":
            simple = self._types[local] = self._simple(declared)
            return simple
        empty = self._types[local] = ComplexType(local)  # before its content, which may refer to it
        return self._complex(declared, empty)

    def _simple(self, node: etree._Element) -> SimpleType:
        items = node.find(f"{_X}list")
        if items is not None:
            name = items.get("itemType")
            inline = items.find(f"{_X}simpleType")
            item = self._named(items, name) if name is not None else self._simple(_there(inline))
            return SimpleType("list", "list", item=_simple_type(item))
        if node.find(f"{_X}union") is not None:
            return SimpleType("union", "text")
        return self._restricted(_there(node.find(f"{_X}restriction")))

    def _restricted(self, node: etree._Element, base: SimpleType | None = None) -> SimpleType:
        inline = node.find(f"{_X}simpleType")
        if inline is not None:
            base = self._simple(inline)
        elif base is None:
            base = _simple_type(self._named(node, node.get("base", "")))
        values: dict[str, list[str]] = {}
        for facet in node.iterchildren(tag=etree.Element):
            value = facet.get("value")
            if value is not None:
                values.setdefault(etree.QName(facet).localname, []).append(value)
        enumeration = tuple(values.pop("enumeration", base.facets.enumeration))
        patterns = base.facets.patterns + tuple(values.pop("pattern", ()))
        values.pop("whiteSpace", None)
        bounds = {**base.facets.bounds, **{name: found[-1] for name, found in values.items()}}
        return SimpleType(base.builtin, base.shape, base.item, Facets(enumeration, patterns, bounds))

    def _complex(self, node: etree._Element, out: ComplexType) -> ComplexType:
        self._unfinished.add(out)
        self._fill(node, out)
        self._unfinished.discard(out)
        return out

    def _fill(self, node: etree._Element, out: ComplexType) -> None:
        out.documentation = documentation_of(node)
        if node.get("mixed") in ("true", "1"):
            out.opaque = "mixed content"
        for content in ("simpleContent", "complexContent"):
            derived = node.find(f"{_X}{content}")
            if derived is None:
                continue
            if derived.get("mixed") in ("true", "1"):
                out.opaque = "mixed content"
            for way in ("extension", "restriction"):
                step = derived.find(f"{_X}{way}")
                if step is not None:
                    self._derive(step, out, extends=way == "extension", simple=content == "simpleContent")
            return
        self._content(node, out)

    def _derive(self, node: etree._Element, out: ComplexType, *, extends: bool, simple: bool) -> None:
        base = self._named(node, node.get("base", ""))
        if isinstance(base, SimpleType):
            out.text = base
        else:
            if base in self._unfinished:
                out.opaque = "a type derived from what contains it"
            out.attributes.update(base.attributes)
            out.text = base.text
            if extends:
                out.members.update(base.members)
                out.order = base.order
                out.opaque = out.opaque or base.opaque
        if simple and not extends:
            out.text = self._restricted(node, out.text)
        self._content(node, out)

    def _content(self, node: etree._Element, out: ComplexType) -> None:
        for child in node.iterchildren(tag=etree.Element):
            local = etree.QName(child).localname
            if local in _GROUPS:
                out.order = local if out.order == "empty" else "sequence"
                self._group(child, _ONCE, out)
            elif local == "group":
                out.order = "sequence"
                self._group(child, _ONCE, out)
            elif local == "openContent":
                out.opaque = "a wildcard"
        self._attributes(node, out)

    def _group(self, node: etree._Element, outer: _Occurs, out: ComplexType) -> None:
        """Flatten a particle into members, or say why that loses something."""
        local = etree.QName(node).localname
        if local == "any":
            out.opaque = "a wildcard"
            return
        occurs = outer.times(node)
        if occurs.most == 0:
            return
        if local == "element":
            self._member(self._element(node, occurs), out)
            return
        if local == "group":
            node = self.globals["group", node.get("ref", "").rpartition(":")[2]]
            for child in node.iterchildren(tag=etree.Element):
                self._group(child, occurs, out)
            return
        if local == "choice":
            occurs = _Occurs(0, occurs.most)
        particles = [
            c for c in node.iterchildren(tag=etree.Element) if etree.QName(c).localname in _PARTICLES
        ]
        if (occurs.most is None or occurs.most > 1) and len(particles) > 1:
            out.opaque = "a repeated group"
        for child in particles:
            self._group(child, occurs, out)

    def _member(self, member: ElementDecl, out: ComplexType) -> None:
        declared = self.globals.get(("element", member.name))
        if declared is not None and (member.name in self._heads or declared.get("abstract") in ("true", "1")):
            out.opaque = "substitution"
        if member.name in out.members:
            out.opaque = "an element at two places"
        out.members[member.name] = member

    def _attributes(self, node: etree._Element, out: ComplexType) -> None:
        for child in node.iterchildren(tag=etree.Element):
            local = etree.QName(child).localname
            if local == "anyAttribute":
                out.any_attribute = True
            elif local == "attributeGroup":
                name = child.get("ref", "").rpartition(":")[2]
                self._attributes(self.globals["attributeGroup", name], out)
            elif local == "attribute":
                self._attribute(child, out)

    def _attribute(self, node: etree._Element, out: ComplexType) -> None:
        use = node.get("use")
        ref = node.get("ref")
        declared = self.globals["attribute", ref.rpartition(":")[2]] if ref is not None else node
        name = declared.get("name", "")
        if ref is not None or self._form(declared, "attributeFormDefault") == "qualified":
            name = f"{{{EVENTS_NS}}}{name}"
        if use == "prohibited":
            out.attributes.pop(name, None)
            return
        inline = declared.find(f"{_X}simpleType")
        type_name = declared.get("type")
        if type_name is not None:
            simple = _simple_type(self._named(declared, type_name))
        else:
            simple = self._simple(inline) if inline is not None else builtin_type("anySimpleType")
        default = node.get("default", node.get("fixed", declared.get("default", declared.get("fixed"))))
        out.attributes[name] = AttributeDecl(
            name, simple, use == "required", default, documentation_of(node) or documentation_of(declared)
        )


_GROUPS = frozenset({"sequence", "all", "choice"})
_PARTICLES = _GROUPS | {"element", "group", "any"}
_SPACES = {
    f"{_X}element": "element",
    f"{_X}complexType": "type",
    f"{_X}simpleType": "type",
    f"{_X}group": "group",
    f"{_X}attributeGroup": "attributeGroup",
    f"{_X}attribute": "attribute",
    f"{_X}notation": "notation",
}


def _there(node: etree._Element | None) -> etree._Element:
    assert node is not None, "the schema was found valid"
    return node


def _simple_type(found: SimpleType | ComplexType) -> SimpleType:
    assert isinstance(found, SimpleType), "the schema was found valid"
    return found
