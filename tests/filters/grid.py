"""Every operator and function with every kind of operand, in every kind of place: index and engine agree.

The random queries of `tests.filters.generation` look like filters; most of these do not. They are drawn from
a grid: operand, operator, operand, and where a condition can stand. `python -m tests.filters.grid 20000`
draws as many, after all that are simple, and prints what disagrees.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from lxml import etree

from clacks.common.errors import QueryError
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query, wrap
from tests.filters.proof import as_if_large

__all__ = ["disagreements", "queries", "table"]

PROLOG = (
    "declare namespace f='http://www.gonicus.de/Events'; declare variable $p external; "
    "declare variable $q external; declare variable $r external := '1'; "
    "declare function local:first($x) { head($x) }; "
)
PROPERTIES = {"p": "1"}
"""Of the messages; ``$q`` is never given."""
INSIDE = [
    "<K><A>1</A></K>",
    "<K><A>1</A><A>2</A></K>",
    "<K/>",
    "<K><A>abc</A><B>1</B></K>",
    "<K><A> 9 </A><B>9</B></K>",
    "<K><A/><B/></K>",
    "<K><A><!--x-->1</A><B>1<C>2</C></B></K>",
    "<K><A x='1'>1.0</A><B x=''>true</B></K>",
    "<K><E><A>1</A></E></K>",
    "<K><A>NaN</A><B>2026-11-21</B></K>",
    "<K><A>1</A></K><K><A>2</A><B>1</B></K>",
    "<L><A>1</A></L>",
]
OPERANDS = """
f:A
f:B
f:A/@x
f:A/text()
string(f:A)
number(f:A)
data(f:A)
f:E/f:A
//f:A
.//f:A
f:A[1]
f:A[last()]
(f:A, f:B)
f:A | f:B
f:A/..
*
@*
f:*
*:A
f:A/*
f:A[. = '1']
f:A[f:C]
f:A[@x]
../f:K/f:A
/f:Event/f:K/f:A
ancestor::f:Event//f:A
following-sibling::f:K/f:A
f:A/position()
f:A/string-length()
f:A ! string()
f:A ! 1
'1'
1
1.0
xs:double('1')
''
true()
()
('1', '2')
(1, 2)
xs:date('2026-11-21')
$p
$q
$r
count(f:A)
position()
last()
normalize-space(f:A)
upper-case(f:A)
head(f:A)
string-join(f:A, ',')
xs:integer(f:A)
f:A castable as xs:integer
local-name(f:A)
name()
sum(f:A)
max(f:A)
distinct-values(f:A)
reverse(f:A)
tokenize(f:A)
substring(f:A, 1, 1)
f:A + 1
-f:A
f:A * f:B
1 to 2
local:first(f:A)
(f:A, '0')[1]
xs:date(f:B)
if (f:B) then f:A else 1
for $x in f:A return string($x)
let $x := f:A return $x
f:A treat as node()*
f:A instance of element()
""".strip().splitlines()
OPERATORS = [
    *("=", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "is", "<<", "and", "or"),
    *("|", "intersect", "except", "to", "||", "+", "-", "*", "div", "idiv", "mod"),
]
OF_TWO = [
    "contains",
    "starts-with",
    "ends-with",
    "matches",
    "substring-after",
    "index-of",
    "deep-equal",
    "round",
]
OF_ONE = [
    *(
        "not",
        "empty",
        "exists",
        "boolean",
        "string-length",
        "zero-or-one",
        "exactly-one",
        "one-or-more",
        "min",
    ),
    *(
        "avg",
        "floor",
        "abs",
        "lower-case",
        "xs:string",
        "xs:boolean",
        "string-to-codepoints",
        "root",
        "nilled",
    ),
]
SIMPLE = """
f:A
f:B
f:A/text()
f:A/@x
f:E/f:A
.
string(f:A)
number(f:A)
count(f:A)
'1'
'abc'
1
9
()
('1', '2')
$p
$q
""".strip().splitlines()
BEGINNINGS = """
/f:Event/f:K
//f:K
/f:Event/*
/*/*
(/f:Event/f:K)
/f:Event/(f:K | f:L)
/f:Event/f:K/f:A
//f:A
.//f:K
./f:Event/f:K
""".strip().splitlines()
PAIRS = """
{0} | {1}
{0} or {1}
{0} and {1}
not({0}) or {1}
({0}, {1})
if ({0}) then {1} else 1
{0} = {1}
count(({0}, {1})) > 1
some $k in {0} satisfies $k[{2}]
every $k in {0} satisfies $k[{2}]
for $k in {0} where $k[{2}] return $k/f:A
let $k := {0} return exists($k[{2}])
""".strip().splitlines()
PLACES = """
/f:Event/f:K[{}]
not(/f:Event/f:K[{}])
/f:Event/f:K[not({})]
/f:Event/f:K[({}) or f:B]
/f:Event/f:K[f:B or ({})]
every $k in /f:Event/f:K satisfies $k[{}]
/f:Event/f:K/({})
for $k in /f:Event/f:K where $k[{}] return $k
(/f:Event/f:K)[{}]
//f:K[{}]/f:A
/f:Event[f:K[{}]]
/f:Event/f:K[if ({}) then f:A else f:B]
/f:Event/*[{}][f:A]
/f:Event/f:K[f:A][{}]
/f:Event/f:K ! ({})
some $x in /f:Event/f:K/f:A satisfies $x/..[{}]
empty(/f:Event/f:K[{}])
count(/f:Event/f:K[{}]) = 1
/f:Event/f:K[{}] = '1'
(/f:Event/f:K[{}], /f:Event/f:L)
/f:Event/f:K | /f:Event/f:K[{}]
/f:Event/f:K[{}] or /f:Event/f:K
/f:Event/(f:K | f:L)[{}]
/f:Event/f:K[{}][1]
let $e := ./f:Event return $e/f:K[{}]
let $k := /f:Event/f:K[{}] return exists($k)
/f:Event/f:K[1][{}]
for $k in /f:Event/f:K let $v := $k/({}) where $v return $v
switch (1) case 1 return /f:Event/f:K[{}] default return ()
try {{ /f:Event/f:K[{}] }} catch * {{ 'caught' }}
typeswitch (/f:Event/f:K/({})) case empty-sequence() return 1 default return 0
""".strip().splitlines()


def operand(choice: random.Random) -> str:
    """Draw an operand; the simple ones more often, or most comparisons are errors."""
    return choice.choice(SIMPLE if choice.random() < 0.6 else OPERANDS)


def leaf(choice: random.Random) -> str:
    """Draw a condition without conditions inside."""
    first, second, kind = operand(choice), operand(choice), choice.random()
    if kind < 0.65:
        return f"({first}) {choice.choice(OPERATORS)} ({second})"
    if kind < 0.85:
        return f"{choice.choice(OF_TWO)}({first}, {second})"
    return f"{choice.choice(OF_ONE)}({first})"


def condition(choice: random.Random, depth: int) -> str:
    """Draw a condition."""
    kind = choice.random()
    if depth == 0 or kind < 0.4:
        return leaf(choice)
    first, second = condition(choice, depth - 1), condition(choice, depth - 1)
    if kind < 0.7:
        return f"({first}) {choice.choice(('and', 'or'))} ({second})"
    if kind < 0.78:
        return f"not({first})"
    if kind < 0.9:
        word = choice.choice(("some", "every"))
        inner = choice.choice((first, f"$v {choice.choice(OPERATORS)} ({operand(choice)})"))
        return f"({word} $v in ({operand(choice)}) satisfies ({inner}))"
    if kind < 0.94:
        return f"(if ({first}) then ({second}) else ({leaf(choice)}))"
    return f"exists(f:A[{first}])" if kind < 0.97 else f"(let $v := ({operand(choice)}) return ({first}))"


def path(choice: random.Random) -> str:
    """Draw a path with predicates."""
    depth = choice.choice((0, 1, 1, 2))
    predicates = "".join(f"[{condition(choice, depth)}]" for _ in range(choice.choice((0, 1, 1, 1, 2))))
    further = choice.choice(("/f:A", "/f:A/text()", "/..", "/@x", "//f:A")) if choice.random() < 0.2 else ""
    return f"{choice.choice(BEGINNINGS)}{predicates}{further}"


def table() -> Iterator[str]:
    """Return each operator and each function with each two of the simple operands, in three places."""
    leaves = [f"{first} {sign} {second}" for first in SIMPLE for sign in OPERATORS for second in SIMPLE]
    leaves += [f"{name}({first}, {second})" for first in SIMPLE for name in OF_TWO for second in SIMPLE]
    for each in leaves:
        for place in ("/f:Event/f:K[{}]", "/f:Event/f:K[not({})]", "/f:Event/(f:K | f:K[{}])"):
            yield PROLOG + place.format(each)


def queries(seed: int) -> Iterator[str]:
    """Draw queries without end."""
    choice = random.Random(seed)
    while True:
        kind = choice.random()
        if kind < 0.4:
            query = choice.choice(PLACES).format(condition(choice, choice.choice((0, 1))))
        elif kind < 0.7:
            query = path(choice)
        else:
            query = choice.choice(PAIRS).format(path(choice), path(choice), condition(choice, 1))
        yield PROLOG + query


def disagreements(asked: Iterable[str]) -> Iterator[tuple[str, str, bool, bool, bool]]:
    """Ask those queries that compile about all events.

    Yields:
        Query, event, and what engine, index, and index in the ways of large events say, where they differ.
    """
    documents = [
        f"<Event xmlns='http://www.gonicus.de/Events'>{inside}</Event>".encode() for inside in INSIDE
    ]
    trees = [wrap(etree.fromstring(document)) for document in documents]
    for text in asked:
        try:
            query = compile_query(text)
        except QueryError:
            continue
        index = FilterIndex()
        index.add("key", text)
        for inside, document, tree in zip(INSIDE, documents, trees):
            alone = matches(query, tree)
            found = bool(index.match(document, PROPERTIES))
            with as_if_large():
                in_bulk = bool(index.match(document, PROPERTIES))
            if not alone == found == in_bulk:
                yield text, inside, alone, found, in_bulk


def matches(query: Any, tree: Any) -> bool:
    try:
        return bool(query.matches(tree, PROPERTIES))
    except QueryError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description="compare index and engine on queries from a grid")
    parser.add_argument("queries", type=int, help="how many are drawn, besides the whole table")
    parser.add_argument("--first", type=int, default=1, help="the seed")
    chosen = parser.parse_args()
    asked = [*table(), *islice(queries(chosen.first), chosen.queries)]
    wrong = 0
    for text, inside, alone, found, in_bulk in disagreements(asked):
        wrong += 1
        if wrong <= 20:
            print(
                f"{text.removeprefix(PROLOG)}\n  {inside}: engine {alone}, index {found}, in bulk {in_bulk}"
            )
    print(f"{len(asked):,} queries about {len(INSIDE)} events each, {wrong} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
