"""fn:matches, fn:replace, fn:tokenize, fn:analyze-string (F&O 3.1, 5.6)."""

from __future__ import annotations

from collections.abc import Sequence

from clacks.xquery.context import Context
from clacks.xquery.errors import failure
from clacks.xquery.library import PREFIXES, function
from clacks.xquery.nodes import Attribute, Element, Text
from clacks.xquery.regex import Found, Pattern, compile_pattern, expand_replacement

__all__: list[str] = []

FN = f"{{{PREFIXES['fn']}}}"
RESULT = f"element(Q{FN}analyze-string-result)"


@function(
    "fn:matches($input as xs:string?, $pattern as xs:string) as xs:boolean",
    "fn:matches($input as xs:string?, $pattern as xs:string, $flags as xs:string) as xs:boolean",
)
def matches(ctx: Context, text: str | None, pattern: str, flags: str = "") -> bool:
    meter = ctx.execution.meter
    return compile_pattern(pattern, flags, meter, text or "").search(text or "", meter)


def not_empty(ctx: Context, pattern: str, flags: str, text: str) -> Pattern:
    """Compile an expression that may not match the empty string."""
    meter = ctx.execution.meter
    if compile_pattern(pattern, flags, meter).search("", meter):
        raise failure("FORX0003", f"the regular expression {pattern[:80]!r} matches the empty string")
    return compile_pattern(pattern, flags, meter, text)


@function(
    "fn:replace($input as xs:string?, $pattern as xs:string, $replacement as xs:string) as xs:string",
    "fn:replace($input as xs:string?, $pattern as xs:string, $replacement as xs:string, $flags as xs:string)"
    " as xs:string",
)
def replace(ctx: Context, text: str | None, pattern: str, replacement: str, flags: str = "") -> str:
    text = text or ""
    compiled = not_empty(ctx, pattern, flags, text)
    meter = ctx.execution.meter
    parts: list[str | int]
    parts = [replacement] if "q" in flags else expand_replacement(replacement, compiled.groups)
    out: list[str] = []
    at = 0
    for found in compiled.find_all(text, meter):
        start, end = found.spans[0]
        out.append(text[at:start])
        for part in parts:
            if isinstance(part, str):
                piece = part
            else:
                a, b = found.spans[part]
                piece = text[a:b] if a >= 0 else ""
            meter.text(len(piece))
            out.append(piece)
        at = end
    if not out:
        return text
    out.append(text[at:])
    return "".join(out)


@function("fn:tokenize($input as xs:string?) as xs:string*")
def tokenize_space(ctx: Context, text: str | None) -> list[str]:
    ctx.execution.meter.text(len(text or ""))
    return [
        token
        for token in (text or "").replace("\t", " ").replace("\n", " ").replace("\r", " ").split(" ")
        if token
    ]


@function(
    "fn:tokenize($input as xs:string?, $pattern as xs:string) as xs:string*",
    "fn:tokenize($input as xs:string?, $pattern as xs:string, $flags as xs:string) as xs:string*",
)
def tokenize(ctx: Context, text: str | None, pattern: str, flags: str = "") -> list[str]:
    text = text or ""
    compiled = not_empty(ctx, pattern, flags, text)
    if not text:
        return []
    meter = ctx.execution.meter
    meter.text(len(text))
    out: list[str] = []
    at = 0
    for found in compiled.find_all(text, meter):
        start, end = found.spans[0]
        out.append(text[at:start])
        at = end
    out.append(text[at:])
    return out


@function(
    f"fn:analyze-string($input as xs:string?, $pattern as xs:string) as {RESULT}",
    f"fn:analyze-string($input as xs:string?, $pattern as xs:string, $flags as xs:string) as {RESULT}",
)
def analyze_string(ctx: Context, text: str | None, pattern: str, flags: str = "") -> Element:
    text = text or ""
    compiled = not_empty(ctx, pattern, flags, text)
    meter = ctx.execution.meter
    base = ctx.static.base_uri if ctx.static is not None else None
    result = new_element("analyze-string-result", base)
    # A document node would be its parent in no specification; the element stands alone.
    at = 0
    meter.nodes(1)
    for found in compiled.find_all(text, meter):
        start, end = found.spans[0]
        if start > at:
            meter.nodes(2)
            append_text(result, "non-match", text[at:start], base)
        meter.nodes(2 + 3 * compiled.groups)
        result.append(match_element(found, text, base, parents_of_groups(compiled, pattern, flags)))
        at = end
    if at < len(text):
        append_text(result, "non-match", text[at:], base)
    meter.text(len(text))
    return result


def new_element(local: str, base: str | None) -> Element:
    return Element(FN + local, "", {"": PREFIXES["fn"]}, base)


def append_text(parent: Element, local: str, text: str, base: str | None) -> None:
    child = new_element(local, base)
    child.append(Text(text))
    parent.append(child)


def parents_of_groups(compiled: Pattern, pattern: str, flags: str) -> Sequence[int]:
    """Return, for each group, the group it stands in (0 for none), from the text of the expression."""
    parents = [0] * (compiled.groups + 1)
    if "q" in flags or not compiled.groups:
        return parents
    open_groups: list[int] = []
    number = 0
    in_brackets = 0
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            in_brackets += 1
        elif char == "]":
            in_brackets -= 1
        elif not in_brackets:
            if char == "(":
                if pattern.startswith("(?:", at):
                    open_groups.append(open_groups[-1] if open_groups else 0)
                else:
                    number += 1
                    parents[number] = open_groups[-1] if open_groups else 0
                    open_groups.append(number)
            elif char == ")":
                open_groups.pop()
        at += 1
    return parents


def match_element(found: Found, text: str, base: str | None, parents: Sequence[int]) -> Element:
    """Build ``<fn:match>`` with a ``<fn:group>`` for each group that took part, nested as they are."""
    match = new_element("match", base)
    inside: dict[int, list[int]] = {}
    for number, (start, _) in enumerate(found.spans):
        if number and start >= 0:
            inside.setdefault(parents[number], []).append(number)

    def fill(element: Element, number: int, start: int, end: int) -> None:
        at = start
        for child in inside.get(number, ()):
            a, b = found.spans[child]
            if a < at or b > end:
                # A group kept from an earlier round of a repetition around it: outside of what its parent
                # holds.
                continue
            if a > at:
                element.append(Text(text[at:a]))
            group = new_element("group", base)
            group.add_attribute(Attribute("nr", str(child)))
            fill(group, child, a, b)
            element.append(group)
            at = b
        if at < end:
            element.append(Text(text[at:end]))

    fill(match, 0, *found.spans[0])
    return match
