"""Functions on strings (F&O 3.1, 5.1 to 5.5)."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from clacks.common.xmltext import illegal_character
from clacks.xquery.collation import CODEPOINT, Collation, find_collation
from clacks.xquery.context import Context
from clacks.xquery.conversion import string_of_item
from clacks.xquery.errors import failure
from clacks.xquery.library import PREFIXES, Builtin, builtins, function
from clacks.xquery.values import string_of

__all__ = ["collation_of", "is_xml_char"]

SPACES = " \t\r\n"


def collation_of(ctx: Context, uri: str | None) -> Collation:
    """Return the collation a function is to use: the one named, else the default one."""
    static = ctx.static
    if static is None:
        return find_collation(CODEPOINT if uri is None else uri)
    return find_collation(static.default_collation if uri is None else uri, static.base_uri)


def is_xml_char(code: int) -> bool:
    """Tell whether a code point is a character of XML 1.0."""
    if code < 0x20:
        return code in (9, 10, 13)
    return code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


@function("fn:codepoints-to-string($arg as xs:integer*) as xs:string")
def codepoints_to_string(ctx: Context, codes: Sequence[int]) -> str:
    if type(codes) is range and codes and codes[-1] > 0x10FFFF:
        raise failure("FOCH0001", f"{codes[-1]} is no character of XML")
    ctx.execution.meter.text(len(codes))
    try:
        text = "".join(map(chr, codes))
    except (ValueError, OverflowError):
        text = "\0"
    if illegal_character(text) is not None:
        code = next(code for code in codes if not is_xml_char(code))
        raise failure("FOCH0001", f"{code} is no character of XML")
    return text


@function("fn:string-to-codepoints($arg as xs:string?) as xs:integer*")
def string_to_codepoints(ctx: Context, text: str | None) -> list[int]:
    ctx.execution.meter.step(len(text or ""))
    return [ord(char) for char in text or ""]


@function(
    "fn:compare($comparand1 as xs:string?, $comparand2 as xs:string?) as xs:integer?",
    "fn:compare($comparand1 as xs:string?, $comparand2 as xs:string?, $collation as xs:string)"
    " as xs:integer?",
)
def compare(ctx: Context, a: str | None, b: str | None, uri: str | None = None) -> int | None:
    collation = collation_of(ctx, uri)
    if a is None or b is None:
        return None
    ctx.execution.meter.work(len(a) + len(b))
    return collation.compare(a, b)


@function("fn:codepoint-equal($comparand1 as xs:string?, $comparand2 as xs:string?) as xs:boolean?")
def codepoint_equal(ctx: Context, a: str | None, b: str | None) -> bool | None:
    return None if a is None or b is None else a == b


@function(
    "fn:collation-key($key as xs:string) as xs:base64Binary",
    "fn:collation-key($key as xs:string, $collation as xs:string) as xs:base64Binary",
)
def collation_key(ctx: Context, key: str, uri: str | None = None) -> Any:
    from elementpath.datatypes import Base64Binary

    ctx.execution.meter.work(len(key) * 4)
    weights = collation_of(ctx, uri).key(key)
    if isinstance(weights, str):
        data = weights.encode("utf-32-be", "surrogatepass")
    else:
        # Four bytes a weight; levels end in zero, which sorts below all weights. The last may be a string.
        data = b""
        for level in weights:
            if isinstance(level, str):
                data += level.encode("utf-32-be", "surrogatepass")
            else:
                data += b"".join(weight.to_bytes(4, "big") for weight in level)
            data += b"\0\0\0\0"
    import base64

    return Base64Binary(base64.b64encode(data).decode())


@function(
    "fn:contains-token($input as xs:string*, $token as xs:string) as xs:boolean",
    "fn:contains-token($input as xs:string*, $token as xs:string, $collation as xs:string) as xs:boolean",
)
def contains_token(ctx: Context, values: Sequence[str], token: str, uri: str | None = None) -> bool:
    collation = collation_of(ctx, uri)
    wanted = collation.key(token.strip(SPACES))
    if not token.strip(SPACES):
        return False
    for value in values:
        ctx.execution.meter.work(len(value))
        if any(collation.key(piece) == wanted for piece in value.split()):
            return True
    return False


def concat(ctx: Context, *values: Any) -> str:
    """Join the strings of single atomic values."""
    pieces = ["" if value is None else string_of(value) for value in values]
    ctx.execution.meter.text(sum(map(len, pieces)))
    return "".join(pieces)


@function(
    "fn:string-join($arg1 as xs:anyAtomicType*) as xs:string",
    "fn:string-join($arg1 as xs:anyAtomicType*, $arg2 as xs:string) as xs:string",
)
def string_join(ctx: Context, values: Sequence[Any], separator: str = "") -> str:
    meter = ctx.execution.meter
    meter.step(len(values))
    pieces = [string_of(value) for value in values]
    meter.text(sum(map(len, pieces)) + len(separator) * max(len(pieces) - 1, 0))
    return separator.join(pieces)


@function(
    "fn:substring($sourceString as xs:string?, $start as xs:double) as xs:string",
    "fn:substring($sourceString as xs:string?, $start as xs:double, $length as xs:double) as xs:string",
)
def substring(ctx: Context, text: str | None, start: float, length: float | None = None) -> str:
    text = text or ""
    if start != start or length != length:
        return ""
    first = xpath_round(start)
    end = math.inf if length is None else first + xpath_round(length)
    if end != end:  # -INF and INF
        return ""
    low = max(first, 1)
    high = min(end, len(text) + 1)
    if low >= high:
        return ""
    piece = text[int(low) - 1 : int(high) - 1]
    ctx.execution.meter.text(len(piece))
    return piece


def xpath_round(value: float) -> float:
    """Round half up; infinities stay."""
    return value if math.isinf(value) else math.floor(value + 0.5) if abs(value) < 2**52 else value


@function("fn:string-length() as xs:integer")
def string_length_of_context(ctx: Context) -> int:
    return len(context_string(ctx))


def context_string(ctx: Context) -> str:
    """Return the string value of the context item; XPDY0002 if there is none."""
    if ctx.item is None:
        raise failure("XPDY0002", "there is no context item")
    return string_of_item(ctx.item)


@function("fn:string-length($arg as xs:string?) as xs:integer")
def string_length(ctx: Context, text: str | None) -> int:
    return len(text or "")


@function("fn:normalize-space() as xs:string")
def normalize_space_of_context(ctx: Context) -> str:
    return normalize_space(ctx, context_string(ctx))


@function("fn:normalize-space($arg as xs:string?) as xs:string")
def normalize_space(ctx: Context, text: str | None) -> str:
    if not text:
        return ""
    ctx.execution.meter.text(len(text))
    # str.split() would take other spaces of Unicode, too.
    return " ".join(t for t in text.replace("\t", " ").replace("\n", " ").replace("\r", " ").split(" ") if t)


FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@function(
    "fn:normalize-unicode($arg as xs:string?) as xs:string",
    "fn:normalize-unicode($arg as xs:string?, $normalizationForm as xs:string) as xs:string",
)
def normalize_unicode(ctx: Context, text: str | None, form: str = "NFC") -> str:
    form = form.strip(SPACES).upper()
    if form == "":
        return text or ""
    if form == "FULLY-NORMALIZED" or form not in FORMS:
        raise failure("FOCH0003", f"normalization form {form[:40]!r} is not supported")
    if not text:
        return ""
    # NFKD may make one character into eighteen.
    ctx.execution.meter.text(len(text))
    result = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    ctx.execution.meter.text(max(0, len(result) - len(text)))
    return result


@function("fn:upper-case($arg as xs:string?) as xs:string")
def upper_case(ctx: Context, text: str | None) -> str:
    ctx.execution.meter.text(len(text or ""))
    return (text or "").upper()


@function("fn:lower-case($arg as xs:string?) as xs:string")
def lower_case(ctx: Context, text: str | None) -> str:
    ctx.execution.meter.text(len(text or ""))
    return (text or "").lower()


@function("fn:translate($arg as xs:string?, $mapString as xs:string, $transString as xs:string) as xs:string")
def translate(ctx: Context, text: str | None, source: str, target: str) -> str:
    if not text:
        return ""
    ctx.execution.meter.text(len(text) + len(source))
    table: dict[int, str | None] = {}
    for index, char in enumerate(source):
        table.setdefault(ord(char), target[index] if index < len(target) else None)
    return text.translate(table)


def search_terms(ctx: Context, a: str | None, b: str | None, uri: str | None) -> tuple[Collation, str, str]:
    """Get the collation and the two strings of a search, and charge for it."""
    collation = collation_of(ctx, uri)
    a, b = a or "", b or ""
    ctx.execution.meter.work(len(a) + len(b))
    return collation, a, b


@function(
    "fn:contains($arg1 as xs:string?, $arg2 as xs:string?) as xs:boolean",
    "fn:contains($arg1 as xs:string?, $arg2 as xs:string?, $collation as xs:string) as xs:boolean",
)
def contains(ctx: Context, a: str | None, b: str | None, uri: str | None = None) -> bool:
    collation, text, part = search_terms(ctx, a, b, uri)
    return collation.contains(text, part)


@function(
    "fn:starts-with($arg1 as xs:string?, $arg2 as xs:string?) as xs:boolean",
    "fn:starts-with($arg1 as xs:string?, $arg2 as xs:string?, $collation as xs:string) as xs:boolean",
)
def starts_with(ctx: Context, a: str | None, b: str | None, uri: str | None = None) -> bool:
    collation, text, part = search_terms(ctx, a, b, uri)
    return collation.starts_with(text, part)


@function(
    "fn:ends-with($arg1 as xs:string?, $arg2 as xs:string?) as xs:boolean",
    "fn:ends-with($arg1 as xs:string?, $arg2 as xs:string?, $collation as xs:string) as xs:boolean",
)
def ends_with(ctx: Context, a: str | None, b: str | None, uri: str | None = None) -> bool:
    collation, text, part = search_terms(ctx, a, b, uri)
    return collation.ends_with(text, part)


@function(
    "fn:substring-before($arg1 as xs:string?, $arg2 as xs:string?) as xs:string",
    "fn:substring-before($arg1 as xs:string?, $arg2 as xs:string?, $collation as xs:string) as xs:string",
)
def substring_before(ctx: Context, a: str | None, b: str | None, uri: str | None = None) -> str:
    collation, text, part = search_terms(ctx, a, b, uri)
    place = collation.find(text, part)
    return "" if place is None else text[: place[0]]


@function(
    "fn:substring-after($arg1 as xs:string?, $arg2 as xs:string?) as xs:string",
    "fn:substring-after($arg1 as xs:string?, $arg2 as xs:string?, $collation as xs:string) as xs:string",
)
def substring_after(ctx: Context, a: str | None, b: str | None, uri: str | None = None) -> str:
    collation, text, part = search_terms(ctx, a, b, uri)
    place = collation.find(text, part)
    return "" if place is None else text[place[1] :]


builtins[PREFIXES["fn"], "concat", -1] = Builtin(
    PREFIXES["fn"], "concat", ("arg",), ("xs:anyAtomicType?",), "xs:string", concat
)
