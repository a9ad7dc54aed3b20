"""From text to lexical units: literals, names, operators. One at a time, from any offset.

A whole QName, EQName or wildcard is one unit. Nothing is a keyword here: ``(name)`` tokens decide by where
they stand. The lexer never fails: what it cannot read becomes an ``(invalid)`` unit, which is an error only
if somebody wants it as a token. Raw text (direct constructors, pragmas, string constructors) is read by
``direct`` from the source itself, after which the parser resumes here at a new offset.
"""

from __future__ import annotations

import re

__all__ = ["NAME", "Unit", "qname_end", "scan", "skip_space"]

NAME_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
NAME_CHAR = NAME_START + "\\-.0-9\u00b7\u0300-\u036f\u203f\u2040"
NAME = re.compile(f"[{NAME_START}][{NAME_CHAR}]*")
"""An NCName. To compile its character classes takes milliseconds: no other pattern has them."""

SPACE = re.compile(r"[ \t\r\n]*")
COMMENT = re.compile(r"\(:|:\)")

UNIT = re.compile(
    r"""
    (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<string>"(?:[^"]|"")*"|'(?:[^']|'')*')
  | (?P<operator>``\[|\]``|\(\#|\#\)|!=|<=|>=|<<|>>|::|:=|\|\||=>|//|\.\.|[-+*/|=<>!,;:?.$@\#%(){}\[\]])
    """,
    re.X,
)
BRACED = re.compile(r"Q\{([^{}]*)\}")


class Unit:
    """One lexical unit.

    Attributes:
        kind: name, number, string, operator, end or invalid; wildcards and Q{...} names are names.
        text: The text of the unit (of a Q{uri}local name the part after the brace).
        uri: The namespace of a Q{uri}local name, else None.
        start: Offset in the source.
        end: Offset after it.
    """

    __slots__ = ("end", "kind", "start", "text", "uri")

    def __init__(self, kind: str, text: str, start: int, end: int, uri: str | None = None) -> None:
        self.kind = kind
        self.text = text
        self.start = start
        self.end = end
        self.uri = uri


def skip_space(source: str, offset: int) -> int:
    """Return the offset after whitespace and (nested) comments; the length plus one if a comment has no
    end.
    """
    while True:
        match = SPACE.match(source, offset)
        assert match is not None
        offset = match.end()
        if not source.startswith("(:", offset):
            return offset
        depth = 0
        begin = offset
        while True:
            mark = COMMENT.search(source, offset)
            if mark is None:
                return -begin - 1
            offset = mark.end()
            depth += 1 if mark.group() == "(:" else -1
            if depth == 0:
                break


def scan(source: str, offset: int) -> Unit:
    """Return the unit at or after ``offset``."""
    start = skip_space(source, offset)
    size = len(source)
    if start < 0:
        return Unit("invalid", "", -start - 1, size)
    if start >= size:
        return Unit("end", "", size, size)
    end = name_end(source, start)
    if end > start:
        return name_unit(source, start, end)
    match = UNIT.match(source, start)
    if match is None:
        return Unit("invalid", source[start], start, start + 1)
    kind = match.lastgroup
    text = match.group()
    end = match.end()
    if text == "*" and source.startswith(":", end):
        local = NAME.match(source, end + 1)
        if local is not None:
            return Unit("name", source[start : local.end()], start, local.end())
    if kind == "number" and NAME.match(source, end):
        # "10div 3": a number must not run into a name (A.2.2).
        return Unit("invalid", text, start, end)
    assert kind is not None
    return Unit(kind, text, start, end)


def qname_end(source: str, offset: int) -> int:
    """Return the offset after the QName at ``offset``; ``offset`` if there is none."""
    match = NAME.match(source, offset)
    if match is None:
        return offset
    end = match.end()
    if source.startswith(":", end):
        local = NAME.match(source, end + 1)
        if local is not None:
            return local.end()
    return end


def name_end(source: str, offset: int) -> int:
    """Return the offset after the QName or ``prefix:*`` at ``offset``; ``offset`` if there is none."""
    end = qname_end(source, offset)
    if end > offset and source.startswith(":*", end) and ":" not in source[offset:end]:
        return end + 2
    return end


def name_unit(source: str, start: int, end: int) -> Unit:
    """Return the unit of a name; ``Q`` before a brace begins a ``Q{uri}local``."""
    text = source[start:end]
    if text != "Q" or not source.startswith("{", end):
        return Unit("name", text, start, end)
    braced = BRACED.match(source, start)
    if braced is not None:
        uri = " ".join(braced.group(1).split())
        local = NAME.match(source, braced.end())
        if local is not None:
            return Unit("name", local.group(), start, local.end(), uri)
        if source.startswith("*", braced.end()):
            return Unit("name", "*", start, braced.end() + 1, uri)
    return Unit("invalid", "Q{", start, end)
