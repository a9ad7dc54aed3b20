from __future__ import annotations

import pytest
from lxml import etree

from clacks.common.errors import QuerySyntaxError
from clacks.filters.index import FilterIndex, event_kinds
from clacks.xquery import compile_query

PROLOG = "declare namespace f='http://www.gonicus.de/Events'; "
EVENT = (
    b"<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus><CallerId>7</CallerId>"
    b"<ReceiverId>12</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)

# Query; whether it matches EVENT; whether the facts decide alone; the event types it can match.
STYLES = [
    ("let $e := ./f:Event return $e/f:PhoneStatus", True, True, {"PhoneStatus"}),
    ("let $e := ./f:Event return $e/f:PhoneStatus[f:CallerId='7']", True, True, {"PhoneStatus"}),
    ("/f:Event/f:PhoneStatus[f:Status='busy' and f:CallerId='8']", False, False, {"PhoneStatus"}),
    ("//f:CallerId = '7'", True, True, None),
    ("/f:Event/f:PhoneStatus/f:CallerId > 5", True, True, {"PhoneStatus"}),
    ("for $p in /f:Event/f:PhoneStatus where $p/f:Status='busy' return $p", True, True, {"PhoneStatus"}),
    ("some $x in /f:Event/* satisfies $x/f:Status = ('busy','idle')", True, True, None),
    ("not(/f:Event/f:PhoneStatus/f:Status = 'busy')", False, False, None),
    ("contains(/f:Event/f:PhoneStatus/f:Status, 'us')", True, True, {"PhoneStatus"}),
    ("/f:Event/*[local-name()='PhoneStatus']", True, True, {"PhoneStatus"}),
    ("/f:Event/*[self::f:PhoneStatus][f:CallerId='7']", True, True, {"PhoneStatus"}),
    ("if (/f:Event/f:PhoneStatus) then true() else false()", True, True, {"PhoneStatus"}),
    ("/f:Event/f:NodeStatus or /f:Event/f:NodeLeave", False, True, {"NodeStatus", "NodeLeave"}),
    ("matches(/f:Event/f:PhoneStatus/f:Status, '^b.s')", True, False, {"PhoneStatus"}),
    ("/f:Event/f:PhoneStatus/f:CallerId/text() = '7'", True, True, {"PhoneStatus"}),
    ("//f:Status[matches(., '^b.s')]", True, False, None),
    ("/f:Event/f:PhoneStatus/f:Status > 5", False, True, {"PhoneStatus"}),
]


@pytest.mark.parametrize(("query", "matches", "decides", "kinds"), STYLES, ids=[row[0] for row in STYLES])
def test_style_is_understood(query: str, matches: bool, decides: bool, kinds: set[str] | None) -> None:
    index = FilterIndex()
    index.add("key", PROLOG + query)
    explained = index.explain("key")
    assert index.match(EVENT) == ({"key"} if matches else set())
    assert explained.exactness == "exact"
    assert explained.decides is decides
    assert explained.kinds == kinds == event_kinds(PROLOG + query)


def test_what_is_not_understood_is_left_to_the_engine() -> None:
    index = FilterIndex()
    index.add("key", PROLOG + "for $p at $i in /f:Event/f:PhoneStatus where $i = 1 return $p/f:Status")
    explained = index.explain("key")
    assert explained.exactness == "not indexed"
    assert explained.unknown == ("for with 'at' or 'allowing empty'",)
    assert index.match(EVENT) == {"key"}
    assert index.statistics.engine == 1


def test_equal_queries_share_one_entry() -> None:
    index = FilterIndex()
    index.add(1, PROLOG + "let $e := ./f:Event return $e/f:PhoneStatus")
    index.add(
        2, "declare namespace x='http://www.gonicus.de/Events';let $y:=/x:Event  return $y/x:PhoneStatus"
    )
    assert index.statistics.distinct == 1
    assert index.explain(1).shared == 2
    index.remove(1)
    assert index.match(EVENT) == {2}


def test_removed_filter_matches_no_more_and_leaves_nothing_behind() -> None:
    index = FilterIndex()
    for number in range(100):
        index.add(number, f"{PROLOG}/f:Event/f:PhoneStatus[f:CallerId='{number}']")
    for number in range(100):
        index.remove(number)
    assert index.match(EVENT) == set()
    assert len(index) == 0
    assert list(index._paths._top.children) == []


def test_key_that_is_added_again_stands_for_the_new_query() -> None:
    index = FilterIndex()
    index.add("key", PROLOG + "/f:Event/f:NodeStatus")
    index.add("key", PROLOG + "/f:Event/f:PhoneStatus")
    assert index.match(EVENT) == {"key"}
    assert len(index) == 1


def test_query_that_does_not_compile_changes_nothing() -> None:
    index = FilterIndex()
    index.add("key", PROLOG + "/f:Event")
    with pytest.raises(QuerySyntaxError):
        index.add("key", "let $e :=")
    assert index.match(EVENT) == {"key"}


def test_properties_of_the_message_are_external_variables() -> None:
    index = FilterIndex()
    index.add("key", "declare variable $source external; $source = 'pbx'")
    assert index.match(EVENT, {"source": "pbx"}) == {"key"}
    assert index.match(EVENT, {"source": "other"}) == set()
    assert index.match(EVENT) == set()


def test_element_tree_and_compiled_query_are_taken() -> None:
    index = FilterIndex()
    index.add("key", compile_query(PROLOG + "/f:Event/f:PhoneStatus"))
    root = etree.fromstring(EVENT)
    assert index.match(root) == index.match(root.getroottree()) == {"key"}


def test_errors_are_no_match_and_are_reported() -> None:
    failed: list[object] = []
    index = FilterIndex(on_error=lambda key, error: failed.append(key))
    index.add("key", PROLOG + "/f:Event[f:PhoneStatus/f:Status > 5 or true()]")
    assert index.match(EVENT) == set()
    assert failed == ["key"]
    assert index.statistics.errors == 1


def test_error_in_the_first_part_of_an_or_hides_the_second() -> None:
    index = FilterIndex()
    index.add("key", PROLOG + "/f:Event/f:K[f:A eq () or f:A]")
    assert index.match(b"<Event xmlns='http://www.gonicus.de/Events'><K><A/><A/></K></Event>") == set()
    assert index.match(b"<Event xmlns='http://www.gonicus.de/Events'><K><A/></K></Event>") == {"key"}


def test_thresholds_wake_the_filters_below_the_value() -> None:
    index = FilterIndex()
    for number in range(20):
        index.add(number, f"{PROLOG}/f:Event/f:PhoneStatus/f:CallerId > {number}")
        index.add(100 + number, f"{PROLOG}/f:Event/f:PhoneStatus/f:CallerId <= {number}")
    assert index.match(EVENT) == {*range(7), *range(107, 120)}
    assert index.statistics.evaluations == 0
