"""JSON as text: reading it, and escaping strings for it (RFC 7159; F&O 3.1, 17.5 and 22).

A reader of our own, because Python's accepts NaN and lone control characters, forgets how a number was
written, and recurses. This one keeps a stack, charges the meter, and hands each value to a builder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from clacks.xquery.budget import Meter
from clacks.xquery.errors import failure
from clacks.xquery.references import is_xml_char

__all__ = ["Builder", "escape_json", "escape_special", "read_json", "unescape_json"]

SPACE = re.compile(r"[ \t\r\n]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*)"')
PLAIN = re.compile(r'"([^"\\\x00-\x1f]*)"')
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.S)
SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
SHORT_OUT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
DEEPEST = 1000
"""Levels of arrays and objects inside one another. Beyond it FOJS0001."""


class Builder(Protocol):
    """Makes values from what ``read_json`` finds."""

    def text(self, raw: str) -> Any:
        """Make a string from what stands between the quotation marks."""

    def number(self, literal: str) -> Any:
        """Make a number."""

    def constant(self, value: bool | None) -> Any:
        """Make true, false or null."""

    def array(self, members: list[Any]) -> Any:
        """Make an array."""

    def object(self, pairs: list[tuple[str, Any]]) -> Any:
        """Make an object from raw keys and values."""


def wrong(text: str, at: int, wanted: str) -> Exception:
    """Make the error for text that is no JSON."""
    found = repr(text[at : at + 20]) if at < len(text) else "the end"
    return failure("FOJS0001", f"no JSON at character {at + 1}: wanted {wanted}, found {found}")


def read_json(text: str, builder: Builder, meter: Meter) -> Any:
    """Read one JSON text.

    Raises:
        QueryEvaluationError: FOJS0001 if it is no JSON.
    """
    meter.step(1 + len(text) // 64)
    # One entry for each open array or object: its mark, its values, its keys.
    stack: list[tuple[str, list[Any], list[str]]] = []
    at = space(text, 1 if text.startswith("\ufeff") else 0)
    while True:
        meter.step()
        char = text[at : at + 1]
        value: Any
        if char == "{" or char == "[":
            if len(stack) >= DEEPEST:
                raise failure("FOJS0001", f"JSON nested deeper than {DEEPEST} levels")
            stack.append((char, [], []))
            at = space(text, at + 1)
            if text[at : at + 1] != ("}" if char == "{" else "]"):
                if char == "{":
                    at = key(text, at, stack[-1][2])
                continue
            at += 1
            stack.pop()
            value = builder.object([]) if char == "{" else builder.array([])
        elif char == '"':
            raw, at = string(text, at)
            value = builder.text(raw)
        elif text.startswith("true", at):
            value, at = builder.constant(True), at + 4
        elif text.startswith("false", at):
            value, at = builder.constant(False), at + 5
        elif text.startswith("null", at):
            value, at = builder.constant(None), at + 4
        else:
            match = NUMBER.match(text, at)
            if match is None:
                raise wrong(text, at, "a value")
            value, at = builder.number(match[0]), match.end()
        # A value is complete: put it where it belongs, and close what it ends.
        while True:
            at = space(text, at)
            if not stack:
                if at < len(text):
                    raise wrong(text, at, "the end")
                return value
            mark, values, keys = stack[-1]
            values.append(value)
            char = text[at : at + 1]
            if char == ",":
                at = space(text, at + 1)
                if mark == "{":
                    at = key(text, at, keys)
                break
            if char != ("}" if mark == "{" else "]"):
                raise wrong(text, at, "',' or the end of the array or object")
            at += 1
            stack.pop()
            value = builder.object(list(zip(keys, values))) if mark == "{" else builder.array(values)


def space(text: str, at: int) -> int:
    """Skip whitespace."""
    match = SPACE.match(text, at)
    assert match is not None
    return match.end()


def string(text: str, at: int) -> tuple[str, int]:
    """Read a string; return it without quotation marks, escapes as they are, and where it ends."""
    match = PLAIN.match(text, at) or STRING.match(text, at)
    if match is None:
        raise wrong(text, at, "a string")
    return match[1], match.end()


def key(text: str, at: int, keys: list[str]) -> int:
    """Read a key and the colon; return where the value begins."""
    if text[at : at + 1] != '"':
        raise wrong(text, at, "a key")
    raw, at = string(text, at)
    keys.append(raw)
    at = space(text, at)
    if text[at : at + 1] != ":":
        raise wrong(text, at, "':'")
    return space(text, at + 1)


def unescape_json(raw: str) -> str:
    """Replace escapes; surrogate pairs become one character, lone surrogates stay."""
    if "\\" not in raw:
        return raw

    def one(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else SHORT[match[2]]

    text = ESCAPE.sub(one, raw)
    return SURROGATES.sub(
        lambda m: chr(0x10000 + ((ord(m[0][0]) - 0xD800) << 10) + ord(m[0][1]) - 0xDC00), text
    )


def replace_invalid(text: str, replace: Callable[[str], str]) -> str:
    """Replace characters that XML lacks, each by what ``replace`` makes of its escape."""
    if all(is_xml_char(ord(char)) for char in set(text)):
        return text
    return "".join(char if is_xml_char(ord(char)) else replace(code_escape(char)) for char in text)


def code_escape(char: str) -> str:
    """Return the short escape of a character if it has one, else ``\\uXXXX``."""
    return SHORT_OUT.get(char) or "".join(f"\\u{unit:04X}" for unit in utf16(char))


def utf16(char: str) -> list[int]:
    """Return the UTF-16 units of a character."""
    code = ord(char)
    if code < 0x10000:
        return [code]
    return [0xD800 + ((code - 0x10000) >> 10), 0xDC00 + (code & 0x3FF)]


def escape_special(text: str) -> str:
    """Escape what option ``escape`` calls special (17.5.3): control characters, backslash, what XML lacks."""
    return "".join(
        "\\\\"
        if char == "\\"
        else code_escape(char)
        if char < " " or "\x7f" <= char <= "\x9f" or not is_xml_char(ord(char))
        else char
        for char in text
    )


ESCAPED_OUT = {ord('"'): '\\"', ord("\\"): "\\\\", ord("/"): "\\/"}
ESCAPED_OUT |= {ord(char): text for char, text in SHORT_OUT.items()}
ESCAPED_OUT |= {
    code: f"\\u{code:04X}" for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in ESCAPED_OUT
}


def escape_json(text: str) -> str:
    """Escape a string for the inside of JSON's quotation marks."""
    return text.translate(ESCAPED_OUT)
