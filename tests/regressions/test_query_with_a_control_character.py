"""Found by fuzzing: a subscription to an element whose namespace held a control character.

It compiled, and the index asked libxml2 for that name at every event: a ValueError in the connection of
whoever published. One subscriber could stop all publishers.
"""

from __future__ import annotations

import pytest

from clacks.common.errors import QuerySyntaxError
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query
from tests.broker.world import World

QUERY = "declare namespace f = 'http://www.goni\x02us.de/Events';\n//f:TopicMessage[f:Message = '1']"


@pytest.mark.parametrize("sign", ["\x00", "\x02", "\x0b", "\x1f", "\ufffe", "\ud800"])
def test_a_query_consists_of_characters_of_xml(sign: str) -> None:
    with pytest.raises(QuerySyntaxError) as error:
        compile_query(f"//a,\n '{sign}'")
    assert (error.value.code, error.value.line, error.value.column) == ("XPST0003", 2, 3)
    with pytest.raises(QuerySyntaxError):
        FilterIndex().add(1, f"//*[. = '{sign}']")


def test_the_subscriber_is_refused_and_publishers_go_on() -> None:
    world = World()
    hostile, publisher = world.peer(), world.peer()
    hostile.receiver("org.clacks.event", query=QUERY)
    assert "XPST0003" in hostile.errors[0][1]
    good = world.peer()
    good.receiver("org.clacks.event", query="true()")
    publisher.event(publisher.sender("org.clacks.event.PhoneStatus"))
    assert len(good.got) == 1
