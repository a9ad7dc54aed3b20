"""XML text from outside: read it without doing anything that the text asks for.

The rules of this file: UTF-8 only, no DTD (so no entity can be declared), no network, no files, bounded size,
depth and number of tags. Every refusal is a ``MalformedEvent``. Nothing here knows what an event is.

Text that XML 1.0 cannot hold travels as base64 in elements that declare the attribute ``enc``; that coding
is here too.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from typing import cast

from lxml import etree

from clacks.common.errors import MalformedEvent
from clacks.common.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "decode_text",
    "encode_text",
    "illegal_character",
    "line_of",
    "new_parser",
    "path_of",
    "read_document",
]

_BOM = b"\xef\xbb\xbf"
_DECLARED_ENCODING = re.compile(rb"""<\?xml[^>]{0,80}?\sencoding\s{0,9}=\s{0,9}["']([^"'<>]{0,40})["']""")
_DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}\?>")
# US-ASCII is what lxml's tostring declares by default with xml_declaration=True; it is a subset of UTF-8.
_ENCODINGS = frozenset({b"UTF-8", b"UTF8", b"US-ASCII", b"ASCII"})
# A DTD can only stand before the root element: "<!DOCTYPE" in a CDATA section is innocent text.
_DOCTYPE_IN_PROLOG = re.compile(rb"(?:\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
# XML 1.0, production 2 (Char).
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def new_parser(lookup: etree.ElementClassLookup | None = None) -> etree.XMLParser:
    """Return a new parser that reads UTF-8, fetches nothing, and passes over comments and instructions.

    The size limits of libxml2 stay on (256 levels, 10 MB in one text). Use it in one thread only.
    """
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        # They mean nothing in an event, and where one stands inside of a text, readers (xmlschema, ``.text``
        # of an element) would see only the part before it.
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    if lookup is not None:
        parser.set_element_class_lookup(lookup)
    return parser


class _Parsers(threading.local):
    """One parser for each thread: a shared one serializes its users on a lock."""

    def __init__(self) -> None:
        self.parser = new_parser()
        # A node below the deepest level that is allowed. Compiled once; XPath objects are not for sharing.
        self.too_deep: dict[int, etree.XPath] = {}


_parsers = _Parsers()


def read_document(
    data: bytes | bytearray | memoryview | str, limits: Limits = DEFAULT_LIMITS
) -> tuple[etree._Element, bytes]:
    """Parse a document; return its root and its bytes as UTF-8 without byte order mark.

    Text (``str``) may carry a declaration that names any encoding: it has none any more. Bytes must be UTF-8.

    Raises:
        MalformedEvent: If it is not well-formed, not UTF-8, has a DTD, or is beyond a limit.
    """
    if isinstance(data, str):
        data = _text_to_bytes(data)
    elif type(data) is not bytes:
        data = bytes(data)  # a bytearray or a view may change or vanish under the event
    if len(data) > limits.message_size:
        raise MalformedEvent(f"{len(data)} bytes, at most {limits.message_size} are read")
    if data.startswith((b"<?xml", _BOM)):
        data = _checked_declaration(data)
    if b"<!DOCTYPE" in data and (match := _DOCTYPE_IN_PROLOG.match(data)):
        raise MalformedEvent("a DTD is not allowed", _line(data, match.end()))
    tags = data.count(b"<")
    if tags > limits.xml_tags:
        raise MalformedEvent(f"{tags} tags, at most {limits.xml_tags} are read")
    try:
        root = etree.fromstring(data, _parsers.parser)
    except etree.XMLSyntaxError as error:
        raise _malformed(data, error, limits) from None
    # As many start tags as levels are needed: most documents cannot be too deep.
    if tags > limits.xml_depth and _deeper_than(root, limits.xml_depth):
        raise _too_deep(limits)
    return root, data


def _text_to_bytes(text: str) -> bytes:
    if text.startswith("\ufeff"):
        text = text[1:]
    if text.startswith("<?xml") and (match := _DECLARATION.match(text)):
        # Keep the line breaks, so that lines in errors are those of the text.
        text = "\n" * match.group().count("\n") + text[match.end() :]
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X}"
        raise MalformedEvent(f"{found} is no character", text.count("\n", 0, error.start) + 1) from None


def _checked_declaration(data: bytes) -> bytes:
    if data.startswith(_BOM):
        data = data[3:]
    match = _DECLARED_ENCODING.match(data)
    if match and match[1].upper() not in _ENCODINGS:
        raise MalformedEvent(f"the encoding is {match[1].decode('ascii', 'replace')}, expected UTF-8", 1)
    return data


def _malformed(data: bytes, error: etree.XMLSyntaxError, limits: Limits) -> MalformedEvent:
    """Say it better than libxml2 where its words mislead."""
    if not data.strip():
        return MalformedEvent("the document is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:2] in (b"<\0", b"\0<"):
        return MalformedEvent("the encoding is UTF-16, expected UTF-8", 1)
    if (position := data.find(b"\0")) >= 0:
        return MalformedEvent("U+0000 is no character of XML", _line(data, position))
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        return MalformedEvent(f"not UTF-8: byte 0x{data[wrong.start]:02X}", _line(data, wrong.start))
    line = error.lineno
    reason = re.sub(r", line \d+, column \d+.*", "", error.msg or "not well-formed", flags=re.DOTALL)
    if reason.startswith("Excessive depth"):
        return _too_deep(limits, line)
    return MalformedEvent(reason[:300], line)


def _too_deep(limits: Limits, line: int | None = None) -> MalformedEvent:
    return MalformedEvent(f"nested more than {limits.xml_depth} deep", line)


def _deeper_than(root: etree._Element, depth: int) -> bool:
    path = _parsers.too_deep.get(depth)
    if path is None:
        path = _parsers.too_deep.setdefault(depth, etree.XPath(f"boolean({'/*' * (depth + 1)})"))
    return bool(path(root))


def line_of(element: etree._Element) -> int | None:
    """Return the line of the document where an element stands, or None if it was not read from one."""
    return cast("int | None", element.sourceline)  # the stubs have no type for it


def path_of(element: etree._Element) -> str:
    """Return where an element stands, without prefixes: ``/Event/PuppetReport/PuppetLog[2]/Line``."""
    steps: list[str] = []
    current: etree._Element | None = element
    while current is not None and isinstance(current.tag, str):
        parent = current.getparent()
        name = current.tag.rpartition("}")[2]
        if parent is not None and sum(1 for _ in parent.iterchildren(current.tag)) > 1:
            name += f"[{1 + sum(1 for _ in current.itersiblings(current.tag, preceding=True))}]"
        steps.append(name)
        current = parent
    return "/" + "/".join(reversed(steps))


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def illegal_character(text: str) -> str | None:
    """Return the first character that XML 1.0 cannot hold as ``U+XXXX``, or None."""
    match = _ILLEGAL.search(text)
    return f"U+{ord(match.group()):04X}" if match else None


def encode_text(text: str) -> str:
    """Return the base64 form (of the UTF-8 bytes, surrogates passed) for an element with ``enc="base64"``."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def decode_text(coded: str) -> str | None:
    """Return the text behind the base64 form, or None if it is no base64 of UTF-8. White space is ignored."""
    try:
        raw = base64.b64decode("".join(coded.split()), validate=True)
        return raw.decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return None
