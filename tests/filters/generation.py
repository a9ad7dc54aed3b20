"""Queries and events made at random, so that conditions meet values on their edges.

The vocabulary is small on purpose: with few names and few values, queries and events often speak of the same.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["PROLOG", "events", "properties", "queries"]

PROLOG = (
    "declare namespace f='http://www.gonicus.de/Events'; "
    "declare variable $p external; declare variable $q external; "
)

NAMES = ("A", "B", "C")
# Equal, one off, other spellings of a number, no number, empty, white space, upper case, beyond ASCII.
TEXTS = (
    "1",
    "2",
    "1.0",
    " 1 ",
    "01",
    "1e0",
    "-1",
    "abc",
    "ABC",
    "ab",
    "",
    " ",
    "NaN",
    "INF",
    "true",
    "\u00e4b",
)
NUMBERS = ("0", "1", "2", "1.5", "-1", "1e0", "2.0")


def xml_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


leaf_content = st.sampled_from(
    [*TEXTS, "a<!--x-->bc", "<![CDATA[abc]]>", "<D>1</D>", "x<D>abc</D>", "1<?pi ?>2"]
)


@st.composite
def leaves(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    content = draw(leaf_content)
    if not content.startswith(("<", "a<", "x<", "1<")):
        content = xml_text(content)
    attribute = draw(st.sampled_from(["", "", " n='1'", " n='abc'", " m=''"]))
    return f"<{name}{attribute}>{content}</{name}>"


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """Documents of one or two events K and L, with leaves A, B, C of which some repeat or miss."""
    kinds = draw(st.lists(st.sampled_from(("K", "L")), min_size=1, max_size=2))
    bodies = []
    for kind in kinds:
        inner = "".join(draw(st.lists(leaves(), max_size=4)))
        if draw(st.integers(0, 5)) == 0:
            inner = f"<E>{inner}</E>{draw(leaves())}"
        bodies.append(f"<{kind}>{inner}</{kind}>")
    space = draw(st.sampled_from(["", "\n  "]))
    return f"<Event xmlns='http://www.gonicus.de/Events'>{space}{space.join(bodies)}</Event>".encode()


def properties() -> SearchStrategy[dict[str, object]]:
    """Properties of a message: strings, numbers, booleans, some missing."""
    values = st.one_of(st.sampled_from(TEXTS), st.sampled_from([1, 2, -1, 1.5, True, False]))
    return st.dictionaries(st.sampled_from(("p", "q")), values)


strings = st.sampled_from([f"'{text}'" for text in ("1", "2", "abc", "ab", "", "A", "\u00e4b", "1.0")])
numbers = st.sampled_from(NUMBERS)
literals = st.one_of(
    strings, numbers, strings, st.sampled_from(["true()", "('1', 'abc')", "(1, 2)", "()", "('2')"])
)
names = st.sampled_from([f"f:{name}" for name in NAMES] + ["*", "*:A", "f:*", "f:Z"])
signs = st.sampled_from(["=", "=", "=", "!=", "<", "<=", ">", ">=", "eq", "eq", "ne", "lt", "ge"])


functions = st.sampled_from(
    [
        *("string", "number", "xs:double", "data", "lower-case", "upper-case", "normalize-space"),
        *("string-length", "count", "xs:integer", "xs:decimal", "xs:boolean", "sum", "max", "min"),
    ]
)
patterns = st.sampled_from(["'^a'", "'b$'", "'[0-9]'", "'.*'", "'A'"])


@st.composite
def relative(draw: st.DrawFn, start: str = "") -> str:
    """A path from ``start`` (empty: the context item)."""
    prefix = f"{start}/" if start else ""
    form = draw(st.integers(0, 9))
    name = draw(names)
    if form <= 4:
        return f"{prefix}{name}"
    if form == 5:
        return f"{prefix}{name}/text()"
    if form == 6:
        return f"{prefix}{name}/@n"
    if form == 7:
        return f"{start}//{name}" if start else f".//{name}"
    if form == 8:
        return f"{prefix}f:E/{name}"
    return f"{prefix}descendant::{name}"


@st.composite
def conditions(draw: st.DrawFn, start: str, depth: int) -> str:
    """A boolean about the node ``start`` (a variable, or empty for the context item)."""
    form = draw(st.integers(0, 13 if depth else 8))
    path = draw(relative(start))
    if form <= 2:
        left, right = path, draw(literals)
        if draw(st.booleans()) and draw(st.booleans()):
            left, right = right, left
        return f"{left} {draw(signs)} {right}"
    if form == 3:
        return path
    if form == 4:
        function = draw(st.sampled_from(["contains", "starts-with", "ends-with"]))
        return f"{function}({path}, {draw(strings)})"
    if form == 5:
        return f"{draw(functions)}({path}) {draw(signs)} {draw(literals)}"
    if form == 6:
        return f"{draw(st.sampled_from(['exists', 'empty', 'not', 'boolean']))}({path})"
    if form == 7:
        return f"${draw(st.sampled_from('pq'))} {draw(signs)} {draw(literals)}"
    if form == 8:
        return f"matches({path}, {draw(patterns)})"
    inner = conditions(start, depth - 1)
    if form == 9:
        return f"({draw(inner)} and {draw(inner)})"
    if form == 10:
        return f"({draw(inner)} or {draw(inner)})"
    if form == 11:
        return f"not({draw(inner)})"
    if form == 12:
        word = draw(st.sampled_from(["some", "every"]))
        variable = f"$v{depth}"
        return f"({word} {variable} in {path} satisfies {draw(about(variable, depth - 1))})"
    return f"(if ({draw(inner)}) then {draw(inner)} else {draw(inner)})"


@st.composite
def about(draw: st.DrawFn, variable: str, depth: int) -> str:
    """A boolean about a variable that may be a leaf itself."""
    if draw(st.booleans()):
        return f"{variable} {draw(signs)} {draw(literals)}"
    return draw(conditions(variable, depth))


@st.composite
def places(draw: st.DrawFn, depth: int) -> str:
    """An absolute path with predicates."""
    base = draw(st.sampled_from(["/f:Event/f:K", "/f:Event/*", "./f:Event/f:L", "//f:K", "/*/*", "/f:Event"]))
    for _ in range(draw(st.integers(0, 2))):
        predicate = draw(
            st.one_of(
                conditions("", depth),
                conditions("", depth),
                st.sampled_from(["1", "2", "last()", "self::f:K", "local-name() = 'L'", "position() = 1"]),
            )
        )
        base = f"{base}[{predicate}]"
    return base


@st.composite
def queries(draw: st.DrawFn) -> str:
    """A whole query, prolog included."""
    depth = draw(st.integers(0, 2))
    place = draw(places(depth))
    form = draw(st.integers(0, 9))
    if form == 0:
        body = place
    elif form == 1:
        body = draw(relative(place))
    elif form == 2:
        body = f"let $e := ./f:Event return $e/f:K[{draw(conditions('', depth))}]"
    elif form == 3:
        body = f"for $v in {place} where {draw(conditions('$v', depth))} return $v"
    elif form == 4:
        body = f"let $v := {place} where {draw(conditions('$v', depth))} return {draw(relative('$v'))}"
    elif form == 5:
        body = draw(conditions(place, depth))
    elif form == 6:
        body = f"some $v in {place} satisfies {draw(conditions('$v', depth))}"
    elif form == 7:
        then = draw(st.sampled_from(["true()", place, "()"]))
        body = f"if ({draw(conditions(place, depth))}) then {then} else ()"
    elif form == 8:
        word = draw(st.sampled_from(["and", "or"]))
        body = f"{draw(conditions(place, depth))} {word} {draw(conditions(place, 0))}"
    else:
        body = f"let $v := {place}, $w := {draw(relative('$v'))} return $w {draw(signs)} {draw(literals)}"
    return PROLOG + body
