"""The same answers as SaxonC: filter queries of every style on generated events, compared as sequences."""

from __future__ import annotations

import random
import re
from itertools import product

import pytest
from lxml import etree

from clacks.common.errors import QueryError
from clacks.xquery import compile_query, wrap

saxonche = pytest.importorskip("saxonche")

NS = "http://www.gonicus.de/Events"
PROLOG = (
    f"declare namespace f='{NS}';"
    "declare function local:fact($n as xs:integer) as xs:integer"
    "{ if ($n le 1) then 1 else $n * local:fact($n - 1) };"
    "declare function local:busy($e as element()?) as xs:boolean { $e/f:Status = 'busy' };"
)
# Every item as one string that says what it is: nodes by path and value, atomic values by type and value.
SHOW = (
    "string-join(for $item in ({body}) return typeswitch ($item) case document-node() return "
    "'document' case node() return concat('node ', path($item), ' ', string($item)) case xs:integer "
    "return concat('integer ', $item) case xs:decimal return concat('decimal ', $item) case "
    "xs:double return concat('double ', $item) case xs:boolean return concat('boolean ', $item) case "
    "xs:untypedAtomic return concat('untyped ', $item) case xs:string return concat('string ', "
    "$item) case xs:QName return concat('name ', $item) case array(*) return concat('array ', "
    "array:size($item)) case map(*) return concat('map ', map:size($item)) case function(*) return "
    "'function' default return concat('other ', $item), '|') "
)

KINDS = {"PhoneStatus": ("CallerId", "ReceiverId", "Status"), "NodeStatus": ("Id", "Load", "Status")}
WORDS = ("busy", "idle", "ringing", "012345", "200", "17", "3.5", "", "Ä ö", "a&b")


def events(seed):
    """Generate one event document."""
    chance = random.Random(seed)
    root = etree.Element(f"{{{NS}}}Event", nsmap={None: NS, "x": "urn:x"})
    for _ in range(chance.randint(0, 4)):
        kind = chance.choice(list(KINDS))
        event = etree.SubElement(
            root, f"{{{NS}}}{kind}", {"n": str(chance.randint(1, 9)), "{urn:x}t": chance.choice(WORDS)}
        )
        for name in KINDS[kind]:
            for _ in range(chance.choice((0, 1, 1, 1, 2))):
                etree.SubElement(event, f"{{{NS}}}{name}").text = chance.choice(WORDS)
        if chance.random() < 0.3:
            event.append(etree.Comment("note"))
            event[-1].tail = " text "
        if chance.random() < 0.3:
            event.append(etree.ProcessingInstruction("go", "there"))
    return etree.ElementTree(root)


PATHS = (
    "/f:Event/f:PhoneStatus",
    "//f:Status",
    "/*/*[last()]",
    "//*[@n > 4]",
    "//f:CallerId[1]",
    "(//f:CallerId)[1]",
    "/f:Event/*/f:Id/..",
    "//@n",
    "//@*:t",
    "//comment()",
    "//processing-instruction(go)",
    "//text()[normalize-space()]",
    "//f:Load/preceding-sibling::*",
    "//f:Id/following-sibling::f:Status",
    "//f:Status/ancestor::*",
    "/descendant::*[3]",
    "//f:Status/following::f:Status",
    "//f:Status[2]/preceding::*",
    "/f:Event/f:*[f:Status][position() < 3]",
    "//*[not(*)]/local-name()",
    "(//f:Status, //f:Id)/string()",
    "//f:NodeStatus/(f:Id | f:Load)",
    "//f:PhoneStatus except //*[f:Status]",
    "/f:Event/(f:PhoneStatus, f:NodeStatus)/@n/number()",
    "//*[f:Status = 'busy']/@n",
    "//f:Status[. = ../f:Id]",
    "/",
    "//*[self::f:PhoneStatus or self::f:NodeStatus]",
    "//f:PhoneStatus//f:Status",
    "//*[last() - 1]",
    "/*/*/*[2][. != '']",
)
WRAPS = (
    "{p}", "count({p})", "exists({p})", "({p}) ! (if (. instance of node()) then name() else ())",
    "distinct-values(({p}) ! string())", "reverse({p})", "({p})[1]",
    "for $x at $i in {p} return concat($i, string($x))", "string-join(({p}) ! string(), ',')",
)  # fmt: skip
OTHERS = (
    "let $e := ./f:Event return $e/f:PhoneStatus",
    "some $s in //f:Status satisfies $s = 'busy'",
    "every $s in //f:Status satisfies string-length($s) > 3",
    "//f:Status = ('busy', 'idle')",
    "//f:Load > 3",
    "//f:Load < '3'",
    "//f:Load != 17",
    "max(//f:Load[. castable as xs:double]/xs:double(.))",
    "sum(//@n)",
    "round(avg(//@n/xs:double(.)), 3)",
    "min(//f:Status)",
    "for $e in /f:Event/* order by number($e/@n), $e/f:Status[1] descending return $e/@n",
    "for $e in /f:Event/* group by $k := local-name($e) order by $k return ($k, count($e), sum($e/@n))",
    (
        "for $e in /f:Event/* let $s := $e/f:Status where exists($s) and local:busy($e[count(f:Status) "
        "= 1]) return $e/@n"
    ),
    "for tumbling window $w in //@n start at $p when $p mod 2 = 1 return sum($w)",
    (
        "for sliding window $w in //f:Status start at $a when true() only end at $b when $b - $a = 1 "
        "return string-join($w, '-')"
    ),
    "for $e in //f:Status count $c where $c mod 2 = 0 return $c",
    "matches((//f:CallerId)[1], '^0\\d+$')",
    "tokenize('a b  c')",
    "replace(string((//f:CallerId)[1]), '(\\d)(\\d)', '$2$1')",
    "//f:CallerId[starts-with(., '0')] ! substring(., 2)",
    "map:merge(//f:Status ! map:entry(string(.), 1), map{'duplicates': 'use-first'}) => map:keys() => sort()",
    "map{'a': 1, 'b': (1, 2)}?b",
    "[1, (2, 3), [4]]?2",
    "array:flatten([1, (2, 3), [4]])",
    "array:size([//f:Status])",
    "for-each(1 to 3, function($x) { $x * count(//*) })",
    "filter(//@n, function($n) { $n > 4 })",
    "fold-left(//@n ! xs:integer(.), 0, function($a, $b) { $a + $b })",
    "let $c := count(//*) let $f := function($x) { $x + $c } return $f(1) + $f(2)",
    "(1 to 5) ! local:fact(.)",
    "sort(//@n ! number(.))",
    "sort(('b', 'C', 'a'))",
    "<s n='{count(//*)}'>{//f:Status ! string()}</s>",
    "<a>{//f:PhoneStatus}</a>/f:PhoneStatus/@n ! string()",
    "element r { attribute a { 1 }, //f:Status[1] }",
    "(<a/>, <b/>)/name()",
    "switch (string((//f:Status)[1])) case 'busy' return 1 case 'idle' return 2 default return 3",
    (
        "typeswitch ((/f:Event/*)[1]) case element(f:PhoneStatus) return 'phone' case element() return "
        "'node' default return 'none'"
    ),
    "try { xs:integer(string((//f:CallerId)[1])) } catch err:FORG0001 { -1 }",
    "xs:integer((//f:CallerId)[1])",
    "1 div count(//f:Nothing)",
    "//f:Status + 1",
    "(1, 2) = (2, 3)",
    "'a' < 1",
    "number('x')",
    "1 to 3",
    "(1, 2)[3]",
    "1 idiv 0",
    "-7 mod 3",
    "7.5 idiv 2",
    "5 div 2",
    "1e0 div 0",
    "xs:decimal('1.10')",
    "1.0 + 2",
    "2e0 * 3",
    "10 div 4",
    "xs:float('1.1') + 1",
    "xs:double('1e6')",
    "0.1 + 0.2",
    "1e-7",
    "123456789012",
    "string(1e15)",
    "string(xs:float('1e7'))",
    "round(2.5)",
    "round(-2.5)",
    "round-half-to-even(2.5)",
    "floor(-1.5)",
    "abs(-3)",
    "3 eq 3.0",
    "xs:date('2026-01-31') + xs:yearMonthDuration('P1M')",
    "xs:dateTime('2026-01-02T03:04:05Z') - xs:dateTime('2026-01-01T00:00:00Z')",
    "year-from-date(xs:date('2026-01-02'))",
    "xs:dayTimeDuration('PT90M')",
    "xs:duration('P1Y2M3DT4H')",
    "xs:time('10:00:00') + xs:dayTimeDuration('PT15H')",
    "deep-equal(//f:Status[1], //f:Status[1])",
    "index-of((1, 2, 1), 1)",
    "insert-before((1, 3), 2, 2)",
    "remove((1, 2, 3), 2)",
    "subsequence(1 to 10, 3, 2)",
    "head(//f:Status)",
    "tail((1, 2, 3))",
    "upper-case('straße')",
    "normalize-space('  a  b ')",
    "translate('abc', 'ab', 'x')",
    "string-to-codepoints('aÄ')",
    "codepoints-to-string((97, 196))",
    "contains('abc', 'b')",
    "substring-before('a=b', '=')",
    "substring('12345', 0, 3)",
    "concat(1, 'a', true())",
    "string-length('Äö')",
    "boolean(//f:Nothing)",
    "boolean((1, 2))",
    "not(//f:Status)",
    "empty(//f:Status)",
    "root(//f:Status[1]) is /",
    "name((//f:Status)[1])",
    "namespace-uri((//f:Status)[1])",
    "QName('u', 'p:a')",
    "node-name(/*)",
    "lang('en', /*)",
    "generate-id(/*) = generate-id(/f:Event)",
    "path((//f:Status)[1])",
    "``[a`{1 + 1}`b]``",
    "'a' || 1 || 'b'",
    "'x' => concat('y')",
    "function-arity(concat#3)",
    "let $f := substring(?, 2, 1) return $f('abc')",
    "if (//f:Status) then 'yes' else 'no'",
    "xs:QName('f:a')",
    "1 instance of xs:decimal",
    "'1' cast as xs:integer",
    "'x' castable as xs:integer",
    "(1, 'a') instance of item()+",
    "/f:Event treat as element(f:Event)",
    "/ treat as element()",
    "()",
    "parse-json('{\"a\": [1, 2.5, null, true]}')?a?*",
    "let $x := 1 let $x := $x + 1 return $x",
    "error(xs:QName('f:bad'))",
    "error()",
    "trace(1)",
    "nilled(/*)",
    "//f:Status/string-length()",
    "data(//@n)",
    "//f:Status ! data() instance of xs:untypedAtomic*",
    "(//f:Status/data()) = 'busy'",
    "unordered((1, 2))",
    "exactly-one((1, 2))",
    "count(//*) = count(distinct-values(//*/generate-id()))",
    "format-number(1234.5, '#,##0.00')",
    "format-integer(7, 'w')",
    "format-date(xs:date('2026-01-02'), '[D01].[M01].[Y]')",
)
QUERIES = [wrap_.format(p=path) for path, wrap_ in product(PATHS, WRAPS)] + list(OTHERS)


def saxon_code(text):
    """Return the error code that is in SaxonC's message."""
    codes = [code for code in re.findall(r"\b[A-Z]{4}\d{4}\b", text) if not code.startswith("SX")]
    return codes[0] if codes else "made up"


def of_saxon(processor, document, query):
    engine = processor.new_xquery_processor()
    engine.set_query_content(query)
    engine.set_context(xdm_item=document)
    try:
        return engine.run_query_to_value().item_at(0).string_value
    except saxonche.PySaxonApiError as error:
        return f"error {saxon_code(str(error))}"


def of_ours(query, document):
    try:
        return str(query.evaluate(document)[0])
    except QueryError as error:
        return f"error {'made up' if error.code.startswith('Q{') else error.code}"


def test_there_are_enough_queries_of_every_style():
    assert len(set(QUERIES)) >= 300


@pytest.mark.slow
def test_filter_queries_answer_as_saxon_does():
    processor = saxonche.PySaxonProcessor(license=False)
    texts = [PROLOG + SHOW.replace("{body}", body) for body in QUERIES]
    compiled = []
    for text in texts:
        try:
            compiled.append(compile_query(text))
        except QueryError as error:
            compiled.append(error)
    different = []
    for seed in range(6):
        tree = events(seed)
        theirs = processor.parse_xml(xml_text=etree.tostring(tree, encoding="unicode"))
        ours = wrap(tree)
        for body, text, query in zip(QUERIES, texts, compiled):
            wanted = of_saxon(processor, theirs, text)
            found = f"error {query.code}" if isinstance(query, QueryError) else of_ours(query, ours)
            if found != wanted:
                different.append((seed, body, found, wanted))
    told = [f"{body}: {found!r}, SaxonC {wanted!r}" for _, body, found, wanted in different]
    assert different == [], "\n".join(told)
