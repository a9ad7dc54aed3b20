"""Serialization: the six methods, their parameters, and what they refuse."""

from __future__ import annotations

import pytest

from clacks.common.errors import QueryEvaluationError
from clacks.xquery import compile_query
from clacks.xquery.serialize import Parameters, serialize


def text(query, **parameters):
    items = compile_query(query).sequence(None)
    return serialize(items, {name.replace("_", "-"): value for name, value in parameters.items()})


HTML = "<html><head/><body><br/><p/><script>a&lt;b</script><input checked='checked'/></body></html>"


@pytest.mark.parametrize(
    ("query", "parameters", "result"),
    [
        ("<a b='&lt;&quot;&#9;'>&amp;&#13;</a>", {}, '<a b="&lt;&quot;&#x9;">&amp;&#xD;</a>'),
        ("<a/>", {"omit_xml_declaration": False}, '<?xml version="1.0" encoding="UTF-8"?><a/>'),
        ("<a>é</a>", {"encoding": "us-ascii"}, "<a>&#233;</a>"),
        ("<a>x]]>y</a>", {"cdata_section_elements": ["a"]}, "<a><![CDATA[x]]]]><![CDATA[>y]]></a>"),
        ("<a><b/><c>t<d/></c></a>", {"indent": True}, "<a>\n  <b/>\n  <c>t<d/></c>\n</a>"),
        ("<a><b/></a>", {"indent": True, "suppress_indentation": ["a"]}, "<a><b/></a>"),
        ("<a xml:space='preserve'><b/></a>", {"indent": True}, '<a xml:space="preserve"><b/></a>'),
        ("<a/>", {"doctype_system": "a.dtd"}, '<!DOCTYPE a SYSTEM "a.dtd"><a/>'),
        ("'abc'", {"use_character_maps": {"b": "<b>"}}, "a<b>c"),
        ("'e&#x301;'", {"normalization_form": "NFC"}, "é"),
        ("(1, 'a', <b/>, 2, 3)", {}, "1 a<b/>2 3"),
        ("(1, [2, 3])", {"item_separator": "|"}, "1|2|3"),
        ("<a>x<b>y</b><!--c--></a>", {"method": "text"}, "xy"),
        (HTML, {"method": "html", "include_content_type": False},
         "<!DOCTYPE html><html><head></head><body><br><p></p><script>a<b</script><input checked>"
         "</body></html>"),
        ("<a xmlns='http://www.w3.org/1999/xhtml'><br/><p/></a>", {"method": "xhtml"},
         '<a xmlns="http://www.w3.org/1999/xhtml"><br /><p></p></a>'),
        ("map{'a': [1, (), true(), 'x/']}", {"method": "json"}, '{"a":[1,null,true,"x\\/"]}'),
        ("map{'a': 1}", {"method": "json", "indent": True}, '{\n  "a": 1\n}'),
        ("('é')", {"method": "json", "encoding": "us-ascii"}, '"\\u00E9"'),
        ("('a\"b', 1, 2e0, true(), [1, (2, 3)], map{1: ()}, name#1)", {"method": "adaptive"},
         '"a""b"\n1\n2.0e0\ntrue()\n[1,(2,3)]\nmap{1:()}\nfn:name#1'),
        ("attribute a {'x'}, xs:dayTimeDuration('PT1S')", {"method": "adaptive"},
         'a="x"\nxs:duration("PT1S")'),
    ],
)  # fmt: skip
def test_sequence_becomes_text(query, parameters, result):
    assert text(query, **parameters) == result


@pytest.mark.parametrize(
    ("query", "parameters", "code"),
    [
        ("attribute a {1}", {}, "SENR0001"),
        ("map{}", {}, "SENR0001"),
        ("true#0", {"method": "json"}, "SERE0021"),
        ("(1, 2)", {"method": "json"}, "SERE0023"),
        ("xs:double('NaN')", {"method": "json"}, "SERE0020"),
        ("map{'1': 1, 1: 2}", {"method": "json"}, "SERE0022"),
        ("<a/>", {"encoding": "nope"}, "SESU0007"),
        ("<a/>", {"version": "2.0"}, "SESU0013"),
        ("<a/>", {"standalone": True}, "SEPM0009"),
        ("(<a/>, <b/>)", {"doctype_system": "x"}, "SEPM0004"),
        ("<a/>", {"undeclare_prefixes": True}, "SEPM0010"),
        ("<a/>", {"normalization_form": "X"}, "SESU0011"),
        ("<a/>", {"method": "nope"}, "SEPM0016"),
        ("<a/>", {"nope": "nope"}, "SEPM0017"),
        ("<é/>", {"encoding": "us-ascii"}, "SERE0008"),
        ("<?p a>b?>", {"method": "html"}, "SERE0015"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_code(query, parameters, code):
    with pytest.raises(QueryEvaluationError) as caught:
        text(query, **parameters)
    assert caught.value.code == code


def test_element_below_a_default_namespace_undeclares_it():
    query = "<a xmlns='u'><b xmlns=''/></a>"
    assert text(query) == '<a xmlns="u"><b xmlns=""/></a>'


def test_parameters_take_the_words_of_a_prolog():
    chosen = Parameters.of({"indent": "yes", "standalone": "omit", "method": "html"})
    assert (chosen.indent, chosen.standalone, chosen.method) == (True, None, "html")
