"""Hypothesis strategies for event documents: valid ones from the model of the schema, and broken ones."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st
from lxml import etree

from clacks.common.schema import SchemaRegistry
from clacks.common.schema_model import EVENTS_NS, ComplexType, ElementDecl, SimpleType

XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

# Forms on whose edges validators differ.
EDGES = {
    "boolean": [
        "true", "false", "1", "0", " true ", "TRUE", "True", "yes", "", "\u00a0true", "01",
    ],
    "integer": [
        "0", "-0", "+0", "1", "-1", "+7", " 12\n", "007", "2147483647", "2147483648", "-2147483649",
        "1_0", "9" * 30, "-" + "9" * 40, "1.0", "1e3", "\u0663", "\u00a05", "5\u2003", "0x10", "", "-",
        "+-1", "NaN", "--1", "1 2", "10", "11", "3.", "\uff11",
    ],
    "decimal": [
        "0", "-0", "1.5", "+1.50", ".5", "5.", " 2.25 ", "1e3", "1E3", "INF", "NaN", "1_0.5", "-0.1", "",
        ".", "9" * 40 + ".1", "0." + "1" * 40, "\u0663.5", "1,5", "+", "-.5", "\u00a01",
    ],
    "float": [
        "0", "-0", "1.5", "1e3", "-1E-3", "INF", "-INF", "NaN", "+INF", "inf", "nan", "infinity",
        "1e999", "1e-999", ".5", "5.", "1_0", " 2.5\t", "0x1p3", "", "1e", "e5", "\u0663", "+1", "1.5f",
        "\u00a01",
    ],
    "dateTime": [
        "2024-02-29T12:00:00", "2024-02-29T12:00:00Z", "2023-02-29T12:00:00Z", "2024-01-01T24:00:00Z",
        "2024-01-01T24:00:01Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00.123456789+14:00",
        "2024-01-01T00:00:00+14:01", "2024-01-01T00:00:00-15:00", "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00", "12024-01-01T00:00:00Z", "02024-01-01T00:00:00Z", "999-01-01T00:00:00Z",
        "2024-1-1T0:0:0", "2024-01-01", "2024-01-01 00:00:00", "2024-01-01T00:00:00z",
        "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "", " 2024-01-01T00:00:00Z ",
        "2024-01-01T00:00:00.", "2024-01-01T00:00:00.0Z", "2024-01-01T23:59:59+00:60",
        "2024-01-01T24:00:00.000-05:00", "20240101T000000Z", "\u0662\u0660\u0662\u0664-01-01T00:00:00Z",
        "-0000-01-01T00:00:00Z", "2024-04-31T00:00:00Z", "1900-02-29T00:00:00Z", "2024-01-01T25:00:00Z",
        "9999-12-31T24:00:00Z", "99999999999-01-01T00:00:00Z", "2024-01-01T00:00:00+1:00",
    ],
    "text": [
        "", "a", " a  b ", "\u00a0", "\u2028", "]]>", "\t\n", "\r", "x" * 300, "%zz", "http://[::1",
        "a b", ":", "#", "http://h/?q=%20#f#g", "\u00e4\U0001f600", "5-7", "5-7-8", "\u0663-7", "5-",
        " 5-7", "5-7\n", "+49", "+491", "+4912 +4913", "+12\u0663", "+491\u00a0+492", "", "base64",
        "NORMAL", " NORMAL", "Normal", "snapshot\n",
    ],
    "other": [
        "P1D", "P1Y2M3DT4H5M6.7S", "-P1D", "P", "PT", "P1DT", "P-1D", "P1S", "PT1.S", "P1.5D", "PT1.5S",
        "P1M", "P0Y", "+P1D", "P1Y1D", " P1D ", "P\u0661D", "1P", "2024", "-2024", "0000", "02024",
        "12024", "2024Z", "2024+14:00", "2024+15:00", "-0000", "202", "2024-02", "2024-13", "2024-00",
        "--02-29", "--02-30", "--13-01", "--04-31", "---31", "---32", "---00", "--12", "--13", "--00",
        "--12--", "--12Z", "---01Z", "--02-29Z", "12:00:00", "24:00:00", "24:00:01", "12:60:00",
        "12:00:60", "12:00:00Z", "12:00:00.5+01:00", "12:00", "1:00:00", "24:00:00.0", "25:00:00",
        "12:00:00.", "2024-02-29", "2023-02-29", "2024-02-29Z", "0000-01-01", "-0001-12-31",
        "12024-01-01", "2024-02-29+14:01", " 2024-02-29 ", "02024-01-01", "2024-2-29", "0A", "0a", "0",
        "0G", "", "0A 0B", " 0A ", "QUJD", "QUI=", "QUJ=", "QQ==", "QR==", "QUJ", "Q U J D", "QU JD",
        "QUJD=", "QUJDRA==", "====", "QUJDRA", "Q===", "QUJD\n", "QUI= ", "-_==", "QUI =", "QQ = =",
        "en", "en-US", "en_US", "e", "englishlong", "abcdefghi", "x-klingon", "1", "en-", "i-navajo",
        "en-a1b2c3d4e5", "a", "a:b", ":", "a:", "1a", "\u00e9", "a.b", "-a", "_a", "xs:int", "e:a",
        "a b", "a:b:c", "\u0663", "a\u00b7", "\u00b7a", "x\u0300", "\u0300", "\ufb00", "\U00010000",
        "\u2070", "\u2040", "-1", "128", "127", "-128", "-129", "255", "256", "32767", "32768", "65535",
        "65536", "-32769", "2147483648", "4294967295", "4294967296", "9223372036854775807",
        "9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
        "+0", "-0", "00", "1 ", " 1", "1\u00a0", "\u00851", "1\u0085", "\u20031", "1e0", "1.0", "1.",
        "9" * 25, "9" * 100, "-" + "9" * 100, "http://a b", "http://h/%", "%20", "%2", "a#b#c",
        "http://[", "//", "\\", "<>", "{", "http://h:port/", "http://h/\u00a0", "a:b c", "::", "1:",
        "mailto:x", "http://h:99999/", "[x]", "^", "abc", "abcd", "\u00e4\u00f6\u00fc", "1.50", "1.5",
        "12345", "123.45", "99.99", "0.001", "1.000", "100.00", "1000.5", "-0.999", "1000", "1001",
        "2024-01-01T00:00:00", "2023-12-31T23:59:59Z", "2024-01-01T01:00:00+01:00",
        "2024-01-01T00:00:00+05:00", "12:00:01", "13:00:00+05:00", "PT24H", "PT24H1S", "P0D", "2000",
        "2099", "2100", "2000Z", "2100+14:00", "2099Z", "a\nc", "a\U0001f600c", "\u00fcber",
        "\u0663\u0663", "x_1", "bcd", "bcde", "a  b", "a b c", "7", "07", " 7", "+7", "7.0", "1 2",
        "INF NaN", "1 1e", "1e", "http://x", "https://", "ftp://x", "INF", "-INF", "0.0",
    ],
}  # fmt: skip

XML_TEXT = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\ufffe\uffff").filter(
        lambda c: c in "\t\n\r" or c >= " "
    ),
    max_size=12,
)


def edge(of_type: SimpleType) -> st.SearchStrategy[str]:
    """Text that may or may not be of the type, mostly close to it."""
    if of_type.item is not None:
        return st.lists(edge(of_type.item), max_size=3).map(" ".join) | st.sampled_from(EDGES["text"])
    near = list(of_type.facets.enumeration) + EDGES.get(of_type.shape, EDGES["text"])
    return st.sampled_from(near) | XML_TEXT


def valid(of_type: SimpleType, name: str = "") -> st.SearchStrategy[str]:
    """Text of the type."""
    facets = of_type.facets
    if facets.enumeration:
        return st.sampled_from(facets.enumeration)
    if facets.patterns:
        return st.from_regex(rf"\A(?:{facets.patterns[-1]})\Z".replace(r"\Z", r"\Z"), fullmatch=False)
    low = facets.bounds.get("minInclusive")
    high = facets.bounds.get("maxInclusive")
    match of_type.shape:
        case "boolean":
            return st.sampled_from(["true", "false", "1", "0", " true\n"])
        case "integer":
            least = 0 if of_type.builtin == "nonNegativeInteger" else -(2**31)
            top = 2**31 - 1 if of_type.builtin == "int" else 10**18
            return st.integers(int(low) if low else least, int(high) if high else top).map(str)
        case "decimal":
            numbers = st.decimals(
                min_value=int(low) if low else None, allow_nan=False, allow_infinity=False, places=3
            )
            return numbers.filter(lambda d: abs(d) < 10**12).map(lambda d: format(d, "f"))
        case "float":
            floats = st.floats(width=32).map(repr)
            return floats.map(lambda t: {"inf": "INF", "-inf": "-INF", "nan": "NaN"}.get(t, t))
        case "dateTime":
            return st.builds(
                lambda moment, ms, zone: moment.isoformat() + ms + zone,
                st.datetimes().map(lambda d: d.replace(microsecond=0)),
                st.sampled_from(["", ".5", ".123", ".123456", ".123456789"]),
                st.sampled_from(["", "Z", "+02:00", "-11:30"]),
            )
        case "list":
            assert of_type.item is not None
            return st.lists(valid(of_type.item), max_size=3).map(" ".join)
    if of_type.builtin == "anyURI":
        return st.sampled_from(["http://localhost:8080/ws", "wss://h/", "", "urn:x:y"])
    return XML_TEXT


@st.composite
def element(draw: Any, declared: ElementDecl, parent: etree._Element) -> etree._Element:
    """A valid element below ``parent``."""
    found = etree.SubElement(parent, declared.tag)
    content = declared.type
    if declared.json:
        found.text = json.dumps(draw(JSON_VALUES))
    elif isinstance(content, SimpleType):
        found.text = draw(valid(content))
    else:
        _complex(draw, content, found)
    return found


def _complex(draw: Any, content: ComplexType, found: etree._Element) -> None:
    for attribute in content.attributes.values():
        if attribute.name == "enc":
            if draw(st.integers(0, 4)) == 0:
                text = draw(st.text(max_size=8))
                found.text = base64.b64encode(text.encode()).decode()
                found.set("enc", "base64")
        elif attribute.required or draw(st.booleans()):
            found.set(attribute.name, draw(valid(attribute.type)))
    if content.text is not None:
        if found.get("enc") is None:
            found.text = draw(valid(content.text))
        return
    members = list(content.members.values())
    if content.order == "all":
        members = draw(st.permutations(members))
    for member in members:
        most = member.least + 2 if member.most is None else member.most
        for _ in range(draw(st.integers(member.least, most))):
            draw(element(member, found))


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def events(draw: Any, registry: SchemaRegistry, kind: str) -> etree._Element:
    """A valid document of one type."""
    root = etree.Element(f"{{{EVENTS_NS}}}Event", nsmap={None: EVENTS_NS})  # type: ignore[dict-item]
    draw(element(registry.model(kind), root))
    return root


@st.composite
def broken(draw: Any, registry: SchemaRegistry, kind: str) -> etree._Element:
    """A document of one type with some things done to it; it may still be valid."""
    root: etree._Element = draw(events(registry, kind))
    declared = {root[0]: registry.model(kind)}
    for place in root[0].iter(etree.Element):
        content = declared[place].type
        if isinstance(content, ComplexType):
            members = content.by_tag()
            declared.update({child: members[str(child.tag)] for child in place})
    names = sorted({d.name for d in declared.values()} | {"Event", "Unknown", "value", "name"})
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(root.iter(etree.Element))))
        _spoil(draw, root, place, declared.get(place), names)
    return root


def _spoil(
    draw: Any, root: etree._Element, place: etree._Element, declared: ElementDecl | None, names: list[str]
) -> None:
    content = declared.type if declared is not None else None
    text = content.text if isinstance(content, ComplexType) else content
    if text is not None and draw(st.integers(0, 2)):
        place.text = draw(edge(text))
        return
    parent = place.getparent()
    match draw(st.integers(0, 11)):
        case 0 if parent is not None:
            parent.remove(place)
        case 1 if parent is not None:
            copy = etree.fromstring(etree.tostring(place, with_tail=False))
            parent.insert(draw(st.integers(0, len(parent))), copy)
        case 2:
            place.tag = f"{{{EVENTS_NS}}}{draw(st.sampled_from(names))}"
        case 3:
            place.tag = draw(st.sampled_from(["{urn:other}", ""])) + etree.QName(place).localname
        case 4:
            name = draw(st.sampled_from(["enc", "name", "core", "unknown", "{urn:other}name", "xmlns_"]))
            place.set(name, draw(st.sampled_from(["base64", "", "x", "Base64", " base64 ", "1"])))
        case 5:
            place.set(f"{XSI}nil", draw(st.sampled_from(["true", "false", "1", "x"])))
        case 6:
            etree.SubElement(place, f"{{{EVENTS_NS}}}{draw(st.sampled_from(names))}").text = draw(XML_TEXT)
        case 7 if parent is not None:
            place.tail = draw(st.sampled_from(["\n  ", "text", "\u00a0", "0"]))
        case 8:
            place.append(draw(st.sampled_from([etree.Comment("c"), etree.PI("p", "x")])))
        case 9 if len(place) > 1:
            place.append(place[draw(st.integers(0, len(place) - 1))])
        case 10:
            type_name = draw(st.sampled_from([*names, "string", "xs:string", "xs:int", "NodeStatus"]))
            place.set(f"{XSI}type", type_name)
        case 11:
            for attribute in list(place.attrib):
                del place.attrib[attribute]
        case _:
            place.text = draw(XML_TEXT)
    assert root is not None
