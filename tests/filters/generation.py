"""Random queries over everything that the index recognizes, and events on the edges of their conditions.

The grammar is a table of templates: a hole such as ``{path}`` is filled from the table of that name, so a new
form is one line. Texts and numbers of events and of queries come from the same small sets: equal, one off,
other spellings of a number, no number, empty, white space, dates, JSON, lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["Query", "events", "properties", "queries"]

DECLARATIONS = (
    "declare namespace f='http://www.gonicus.de/Events'; "
    "declare variable $p external; declare variable $q external; "
)
NAMES = ("A", "B", "C")
TEXTS = (
    *(
        "1",
        "2",
        "1.0",
        " 1 ",
        "01",
        "1e0",
        "-1",
        "3",
        "abc",
        "ABC",
        "ab",
        "",
        " ",
        "NaN",
        "INF",
        "-0",
        "true",
    ),
    *("\u00e4b", "a b", "1 2 3", "abc  ab", "2024-03-01", "2024-03-01T12:00:00Z", "0.5", "abc,ab", "0"),
    *('{"a": 1, "b": "abc"}', '["abc", 2]', "[]", "P1D", "PT1H", "false", "a/b/c", "9999999999999999999"),
)


def xml_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


leaf_content = st.sampled_from(
    [*map(xml_text, TEXTS), "a<!--x-->bc", "<![CDATA[abc]]>", "<D>1</D>", "x<D>abc</D>y", "1<?pi ?>2"]
)
attributes = st.sampled_from(["", "", "", " n='1'", " n='abc'", " m=''", " n='1' m='2'"])


@st.composite
def leaves(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    return f"<{name}{draw(attributes)}>{draw(leaf_content)}</{name}>"


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """Documents of one or two events K and L, with leaves A, B, C of which some repeat, nest or miss."""
    kinds = draw(st.sampled_from((("K",), ("K",), ("L",), ("K", "L"), ("K", "K"))))
    bodies = []
    for kind in kinds:
        inner = "".join(draw(st.lists(leaves(), max_size=4)))
        if draw(st.integers(0, 4)) == 0:
            inner = f"<E{draw(attributes)}>{inner}<A>{draw(leaf_content)}</A></E>{draw(leaves())}"
        bodies.append(f"<{kind}{draw(attributes)}>{inner}</{kind}>")
    space = draw(st.sampled_from(["", "", "\n  "]))
    return f"<Event xmlns='http://www.gonicus.de/Events'>{space}{space.join(bodies)}</Event>".encode()


def properties() -> SearchStrategy[dict[str, object]]:
    """Properties of a message: strings, numbers, booleans, some missing."""
    values = st.one_of(st.sampled_from(TEXTS), st.sampled_from([1, 2, -1, 1.5, True, False]))
    return st.dictionaries(st.sampled_from(("p", "q", "r")), values)


GRAMMAR: dict[str, tuple[str, ...]] = {
    "string": ("'1'", "'2'", "'abc'", "'ab'", "''", "'a'", "'\u00e4b'", "'1.0'", "'A'", "' '"),
    "number": ("0", "1", "2", "1.5", "-1", "1e0", "2.0", "3"),
    "few": ("1", "2", "0", "3", "-1"),
    "literal": (
        *("{string}", "{string}", "{number}", "{number}", "true()", "('1', 'abc')", "(1, 2)", "()", "('2')"),
        *("xs:date('2024-03-01')", "1 to 3", "({number}, {string})", "xs:decimal('1.5')"),
    ),
    "name": (*(f"f:{name}" for name in NAMES * 2), "*", "*:A", "f:*", "f:Z", "f:E"),
    "sign": ("=", "=", "=", "!=", "<", "<=", ">", ">=", "eq", "eq", "ne", "lt", "ge"),
    "axis": (
        *("child::{name}", "descendant::{name}", "self::{name}", "parent::*", "..", "ancestor::{name}"),
        *("following-sibling::{name}", "preceding-sibling::{name}", "ancestor-or-self::*", "text()", "@n"),
        *("@*", "descendant-or-self::{name}", "*[{few}]", "{name}[last()]", "(f:A | f:B)", "(f:A, f:C)"),
        *("{name}[@n]", "{name}[position() = 2]", "{name}[last() - 1]", "f:E/{name}", "(f:B|f:A)[{shallow}]"),
    ),
    # A path from the node in the hole $, which is a variable or nothing at all.
    "path": (
        *("$/{name}", "$/{name}", "$/{name}", "$/{name}", "$/{name}/text()", "$/{name}/@n", "$//{name}"),
        *("$/f:E/{name}", "$/descendant::{name}", "$/{axis}", "$/{name}/{axis}", "$//{axis}"),
        *("($/{name})[{few}]", "($/{name} | $/f:B)", "($/* except $/{name})", "$/{name}[{shallow}]"),
        *(
            "($/f:A, $/f:C)",
            "head($/{name})",
            "reverse($/{name})",
            "($//{name})[last()]/{axis}",
            "$/*[.{test}]",
        ),
    ),
    "test": (" = {literal}", " != {string}", " castable as xs:integer", " {sign} {literal}"),
    # One value, for comparisons.
    "value": (
        *("string({path})", "number({path})", "xs:double({path})", "data({path})", "lower-case({path})"),
        *("upper-case({path})", "normalize-space({path})", "string-length({path})", "count({path})"),
        *("xs:integer({path})", "xs:decimal({path})", "xs:boolean({path})", "sum({path})", "max({path})"),
        *("min({path})", "avg({path})", "{path} + {number}", "{path} * {path}", "{path} div {number}"),
        *("{path} mod 2", "{path} idiv 2", "{number} - {path}", "-{path}", "substring({path}, {few})"),
        *("substring({path}, 1, {few})", "substring-before({path}, {string})", "{path} || {string}"),
        *("substring-after({path}, {string})", "translate({path}, 'ab', 'b')", "concat({path}, {string})"),
        *("tokenize({path})", "tokenize({path}, ',')", "tokenize({path}, '[/ ]')[{few}]", "{path}/string()"),
        *(
            "replace({path}, 'a', 'b')",
            "string-join({path}, ',')",
            "distinct-values({path})",
            "{path} ! string()",
        ),
        *("round(number({path}))", "floor({path})", "abs({path})", "xs:date({path})", "xs:dateTime({path})"),
        *(
            "{path}/xs:integer(.)",
            "local-name({path})",
            "name({path})",
            "namespace-uri({path})",
            "head({path})",
        ),
        *("parse-json({path})?b", "parse-json({path})?1", "parse-json({path})?*", "parse-json({path})('a')"),
        *("{path} cast as xs:integer?", "xs:int({path})", "xs:dayTimeDuration({path})", "xs:string({path})"),
        *("(if ({path}) then {path} else {literal})", "({path}, {literal})", "({path}, {literal})[1]"),
        *(
            "(for $x in {path} return $x{test})",
            "string-length({path}) - {few}",
            "index-of({path}, {string})",
        ),
        *("year-from-dateTime({path})", "compare({path}, {string})", "sort({path}/string())", "{path} to 3"),
        *(
            "exactly-one({path})",
            "subsequence({path}, 2)",
            "tail({path})",
            "xs:float({path})",
            "{path} => string()",
        ),
        *("(switch ({path}) case {literal} return {number} default return {string})", "local:twice({path})"),
        *("string-join(for $x in {path} return $x || ';')", "count({path}/{axis})", "xs:anyURI({path})"),
    ),
    "shallow": (
        *("{path} {sign} {literal}", "{path}", "contains({path}, {string})", "not({path})", "{few}"),
        *("starts-with({path}, {string})", "{path} = {path}", "position() = {few}", "last()", ". = {string}"),
    ),
    "flat": (
        *("{path} {sign} {literal}", "{path} {sign} {literal}", "{path} {sign} {literal}"),
        *("{literal} {sign} {path}", "{path}", "{path} {sign} {path}"),
        *("contains({path}, {string})", "starts-with({path}, {string})", "ends-with({path}, {string})"),
        *("{value} {sign} {literal}", "{value} {sign} {literal}", "{value} {sign} {value}", "{value}"),
        *("exists({path})", "empty({path})", "not({path})", "boolean({path})", "matches({path}, {pattern})"),
        *(
            "$p {sign} {literal}",
            "$q {sign} {path}",
            "$r = {string}",
            "$t = {string}",
            "contains-token({path}, 'ab')",
        ),
        *("{path} castable as xs:double", "{path} instance of element()", "{path} instance of node()*"),
        *("deep-equal({path}/string(), {string})", "(every $x in {path} satisfies $x{test})", "$n = {path}"),
        *("(some $x in {path} satisfies $x{test})", "exists({path} intersect {path})", "local:known({path})"),
        *(
            "count({path}) {sign} {few}",
            "count({path}) {sign} count({path})",
            "{value} castable as xs:integer?",
        ),
        *("{path} >= 1 and {path} <= 2", "{path} > 0 and {path} < 3", "{path} ! (. = {literal})"),
    ),
    "pattern": ("'^a'", "'b$'", "'[0-9]'", "'.*'", "'A'", "'^abc$', 'i'", "'^1'"),
    "deep": (
        *("({cond} and {cond})", "({cond} or {cond})", "not({cond})", "{flat}", "{flat}"),
        "(some $x in {path} satisfies {inner})",
        "(every $x in {path} satisfies {inner})",
        "(if ({cond}) then {cond} else {cond})",
        "(let $y := {path} return $y{test})",
        "(let $y := {value} return $y = {literal} or {flat})",
        "exists({path}[{cond}])",
        "(for $x in {path} where $x{test} return $x)",
    ),
    # An absolute path.
    "place": (
        *("/f:Event/f:K", "/f:Event/*", "./f:Event/f:L", "//f:K", "/*/*", "/f:Event", "/f:Event/(f:K | f:L)"),
        *("/f:Event/f:K", "/f:Event/f:K", "/descendant::f:K", "/f:Event/f:K[{few}]", "/*:Event/*:K"),
    ),
    "filtered": (
        *("{place}", "{place}[{cond}]", "{place}[{cond}]", "{place}[{cond}][{flat}]", "{place}[self::f:K]"),
        *(
            "{place}[local-name() = 'L']",
            "{place}[position() = 1]",
            "{place}[last()]",
            "({place})[1][{flat}]",
        ),
    ),
}
"""Templates by the name of their hole; ``$/`` in a path is where it begins."""

DEEP = frozenset(("deep", "cond", "inner"))
HOLE = re.compile(r"\{([a-z]+)\}")
START = re.compile(r"\$(?=//?)")


@st.composite
def filled(draw: st.DrawFn, template: str, start: str, depth: int) -> str:
    """Fill the holes of a template; paths begin at ``start`` (a variable, a path or nothing)."""

    def fill(match: re.Match[str]) -> str:
        return draw(part(match.group(1), start, depth))

    return HOLE.sub(fill, template)


@st.composite
def part(draw: st.DrawFn, name: str, start: str, depth: int) -> str:
    if name == "cond":
        name = "deep" if depth > 0 else "flat"
    if name == "inner":
        if draw(st.booleans()):
            return draw(filled("$x{test}", "$x", 0))
        name, start = "flat", "$x"
    template = draw(st.sampled_from(GRAMMAR[name]))
    if name in ("path", "axis"):
        template = template.replace("$//", f"{start}//" if start else ".//")
        template = template.replace("$/", f"{start}/" if start else "")
    if name in ("filtered", "place"):
        return draw(filled(template, "", depth))
    if "[{" in template:  # inside a predicate paths begin at its own context item
        return draw(bracketed(template, start, depth))
    return draw(filled(template, start, depth - (name in DEEP)))


@st.composite
def bracketed(draw: st.DrawFn, template: str, start: str, depth: int) -> str:
    found = []
    for piece in re.split(r"(\[[^\]]*\])", template):
        found.append(draw(filled(piece, "" if piece.startswith("[") else start, depth - 1)))
    return "".join(found)


@dataclass(frozen=True)
class Query:
    """A query, its declarations apart from its body."""

    declarations: str
    body: str

    @property
    def text(self) -> str:
        return self.declarations + self.body


EXTRA = {
    "$r": "declare variable $r external := '1'; ",
    "$t": "declare variable $t as xs:string external := 'abc'; ",
    "$n": "declare variable $n := ('1', 'abc'); ",
    "local:known": "declare function local:known($v) { $v = ('abc', '1') }; ",
    "local:twice": "declare function local:twice($v as xs:string?) as xs:string { concat($v, $v) }; ",
}

BODIES = (
    "{filtered}",
    "{filtered}/{axis}",
    "let $e := ./f:Event return $e/f:K[{cond}]",
    "for $v in {filtered} where @cond@ return $v",
    "let $v := {filtered} where @cond@ return $v/{axis}",
    "let $v := {filtered} return @cond@",
    "let $v := {filtered} return @value@ {sign} {literal}",
    "some $v in {filtered} satisfies @cond@",
    "every $v in {filtered} satisfies @flat@",
    "if (let $v := {filtered} return @cond@) then true() else ()",
    "let $v := {filtered}, $w := @value@ return $w {sign} {literal}",
    "let $v := {filtered} return (@flat@ and @flat@)",
    "let $v := {filtered} return (@flat@ or @flat@)",
    "({filtered}, {filtered})",
    "{filtered} | {filtered}",
    "exists({filtered}) or $p {sign} {literal}",
    "for $v in {filtered} for $w in $v/* where $w{test} and @flat@ return $w",
    "for $v in {filtered} let $w := @value@ where $w {sign} {literal} return $v",
    "count({filtered}) {sign} {few}",
    "not({filtered})",
)
HOLE_OF_V = re.compile(r"@([a-z]+)@")


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """A whole query."""
    depth = draw(st.sampled_from((0, 0, 1, 2)))
    body = draw(filled(draw(st.sampled_from(BODIES)), "", depth))
    body = HOLE_OF_V.sub(lambda match: draw(part(match.group(1), "$v", depth)), body)
    extra = "".join(text for name, text in EXTRA.items() if name in body)
    return Query(DECLARATIONS + extra, body)
