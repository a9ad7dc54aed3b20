from __future__ import annotations

import gc
import logging

import pytest
from proton import Described, symbol, ulong

from clacks.amqp.messages import Message, encode
from clacks.common.limits import Limits
from clacks.xquery import Query
from tests.broker.world import NS, World, phone_status

PROLOG = f'declare default element namespace "{NS}"; '
SEVEN = PROLOG + "./Event/PhoneStatus/CallerId = '7'"
NUMBER, NAME = 0x0000_468C_0000_0005, "apache.org:xquery-filter:string"


@pytest.mark.parametrize("descriptor", [ulong(NUMBER), symbol(NAME)])
def test_only_matching_events_arrive_and_the_filter_is_echoed(descriptor):
    world = World()
    admin, reader = world.peer(), world.peer("joe")
    link = reader.receiver("org.clacks.event", filters={symbol("mine"): Described(descriptor, SEVEN)})
    sender = admin.sender("org.clacks.event.PhoneStatus")
    for caller in "678":
        admin.event(sender, caller)
    assert reader.bodies == [phone_status("7")]
    echo = link.link.remote_source.filter
    echo.rewind()
    echo.next()
    assert echo.get_object() == {symbol("mine"): Described(descriptor, SEVEN)}


def test_a_text_as_key_of_the_filter_is_tolerated():
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver("org.clacks.event", filters={"mine": Described(ulong(NUMBER), SEVEN)})
    sender = admin.sender("org.clacks.event.PhoneStatus")
    admin.event(sender, "6")
    admin.event(sender, "7")
    assert reader.bodies == [phone_status("7")]


def test_a_query_that_does_not_compile_is_refused_with_code_line_and_column():
    world = World()
    reader = world.peer()
    reader.receiver("org.clacks.event", query="\n\n  for $x in")
    condition, description = reader.errors[0]
    assert condition == "amqp:invalid-field"
    assert "XPST0003" in description
    assert "line 3, column" in description
    assert len(world.broker.topics) == 0


def test_an_undeclared_variable_is_refused():
    world = World()
    reader = world.peer()
    reader.receiver("org.clacks.event", query="$nobody = 1")
    assert reader.condition == "amqp:invalid-field"
    assert "XPST0008" in reader.errors[0][1]


@pytest.mark.parametrize(
    "filters",
    [
        {symbol("s"): Described(symbol("apache.org:selector-filter:string"), "a = 1")},
        {symbol("s"): Described(ulong(0x0000_468C_0000_0004), "a = 1")},
        {symbol("n"): Described(symbol("apache.org:no-local-filter:list"), [])},
        {symbol("x"): Described(symbol("somebody:else"), SEVEN)},
        {symbol("x"): SEVEN},
        {
            symbol("a"): Described(ulong(NUMBER), SEVEN),
            symbol("b"): Described(ulong(NUMBER), SEVEN),
        },
    ],
)
def test_a_filter_that_is_not_applied_refuses_the_link(filters):
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver("org.clacks.event", filters=filters)
    assert reader.condition == "amqp:not-implemented"
    admin.event(admin.sender("org.clacks.event.PhoneStatus"), "7")
    assert reader.got == []


@pytest.mark.parametrize("value", [b"binary", 7, None, ["list"]])
def test_an_xquery_filter_that_is_no_text_refuses_the_link(value):
    world = World()
    reader = world.peer()
    reader.receiver("org.clacks.event", filters={symbol("x"): Described(ulong(NUMBER), value)})
    assert reader.condition == "amqp:invalid-field"


def test_a_filter_has_a_largest_size():
    world = World(Limits(filter_size=100))
    reader = world.peer()
    reader.receiver("org.clacks.event", query=SEVEN + " " * 100)
    assert reader.condition == "amqp:invalid-field"


def test_queues_and_dynamic_nodes_have_no_filters():
    world = World()
    agent = world.peer("agent")
    agent.receiver("org.clacks.command.core", query="true()")
    agent.receiver(None, query="true()")
    assert [name for name, _ in agent.errors] == ["amqp:not-implemented"] * 2
    assert not world.broker._queues


def test_properties_of_the_message_are_variables_of_the_query():
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver(
        "org.clacks.event",
        query="declare variable $cloudEvents_source external; $cloudEvents_source = 'here'",
    )
    sender = admin.sender("org.clacks.event.PhoneStatus")
    for caller, source in (("1", "here"), ("2", "there"), ("3", None)):
        message = Message(body=phone_status(caller), subject="PhoneStatus")
        message.properties = {} if source is None else {"cloudEvents_source": source}
        admin.send(sender, message)
    assert reader.bodies == [phone_status("1")]


def test_an_error_while_evaluating_is_no_match_for_that_subscription_only(caplog):
    world = World()
    admin, failing, well = world.peer(), world.peer(), world.peer()
    failing.receiver("org.clacks.event", query="xs:integer(string(.)) = error()")
    well.receiver("org.clacks.event", query=SEVEN)
    sender = admin.sender("org.clacks.event.PhoneStatus")
    with caplog.at_level(logging.WARNING, "clacks.broker.topics"):
        admin.event(sender, "7")
        admin.event(sender, "7")
    assert failing.got == []
    assert len(well.got) == 2
    assert world.metrics.value("filter_errors") == 2
    assert len(caplog.records) == 1


def test_filters_of_a_broker_are_counted_for_each_filter():
    world = World()
    admin, one, two = world.peer(), world.peer(), world.peer()
    failing = one.receiver("org.clacks.event", query="//*:CallerId[xs:integer(string(.)) = 7]")
    two.receiver("org.clacks.event", query="for $c at $i in //*:CallerId return $c")
    sender = admin.sender("org.clacks.event.PhoneStatus")
    admin.event(sender, "7")
    admin.event(sender, "x")
    metrics = world.metrics
    assert (metrics.value("filters"), metrics.value("filters_exact")) == (2, 1)
    assert (metrics.value("filter_evaluations"), metrics.value("filter_evaluations_by_engine")) == (4, 2)
    (series,) = [labels for name, labels in metrics.snapshot() if name == "filter_errors_by_filter"]
    assert metrics.value("filter_errors_by_filter", **dict(series)) == 1
    one.close(failing)
    assert (metrics.value("filters"), metrics.value("filters_exact")) == (1, 0)


def test_a_broker_keeps_no_compiled_tree_of_an_exact_filter():
    world = World()
    reader = world.peer()
    reader.receiver("org.clacks.event", query=SEVEN)
    gc.collect()
    (subscription,) = world.broker.topics
    assert isinstance(subscription.query, str)
    assert not [held for held in gc.get_objects() if isinstance(held, Query) and held.text == SEVEN]


def test_a_query_that_never_ends_is_stopped_and_others_go_on():
    world = World()
    admin, hostile, well = world.peer(), world.peer(), world.peer()
    hostile.receiver(
        "org.clacks.event", query="count(for $a in 1 to 99999, $b in 1 to 99999 return $a * $b) = 0"
    )
    well.receiver("org.clacks.event")
    sender = admin.sender("org.clacks.event.PhoneStatus")
    admin.event(sender, "7")
    assert len(well.got) == 1
    assert hostile.got == []
    assert world.metrics.value("filter_errors") == 1


def test_the_right_to_read_is_asked_before_the_filter():
    world = World()
    admin, jane = world.peer(), world.peer("jane")
    jane.receiver("org.clacks.event", query="error()")
    leave = f'<Event xmlns="{NS}"><NodeLeave><Id>n1</Id></NodeLeave></Event>'.encode()
    admin.send(admin.sender("org.clacks.event.NodeLeave"), Message(body=leave, subject="NodeLeave"))
    assert world.metrics.value("filter_errors") == 0
    admin.event(admin.sender("org.clacks.event.PhoneStatus"))
    assert world.metrics.value("filter_errors") == 1


def test_a_filter_on_another_topic_reads_xml_and_drops_the_rest():
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver("weather.x", query="/rain > 3")
    sender = admin.sender("weather.x")
    for body in (b"<rain>5</rain>", b"<rain>1</rain>", b"no xml", b"<!DOCTYPE rain><rain>5</rain>"):
        admin.send(sender, Message(body=body))
    assert reader.bodies == [b"<rain>5</rain>"]
    assert world.metrics.value("filter_errors") == 2


def test_a_detached_filter_is_gone_and_an_equal_one_stays():
    world = World()
    admin, one, other = world.peer(), world.peer(), world.peer()
    link = one.receiver("org.clacks.event", query=SEVEN)
    other.receiver("org.clacks.event", query=SEVEN)
    one.close(link)
    admin.event(admin.sender("org.clacks.event.PhoneStatus"), "7")
    assert one.got == []
    assert len(other.got) == 1


def test_an_event_as_text_or_in_several_sections_is_checked_and_filtered_as_well():
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver("org.clacks.event", query=SEVEN)
    sender = admin.sender("org.clacks.event.PhoneStatus")
    subject = b"\x00\x53\x73\xc0\x11\x04\x40\x40\x40\xa1\x0bPhoneStatus"
    for caller in "67":
        body = phone_status(caller)
        text = b"\x00\x53\x77\xa1" + bytes((len(body),)) + body
        half = len(body) // 2
        pieces = b"".join(
            b"\x00\x53\x75\xa0" + bytes((len(part),)) + part for part in (body[:half], body[half:])
        )
        admin.send(sender, subject + text, context=1)
        admin.send(sender, subject + pieces, context=2)
    assert [outcome.name for _, outcome in admin.outcomes] == ["accepted"] * 4
    assert reader.bodies == [phone_status("7")] * 2


def test_properties_that_cannot_be_read_match_no_filter_and_reach_those_without():
    world = World()
    admin, filtered, plain = world.peer(), world.peer(), world.peer()
    filtered.receiver("org.clacks.event", query="true()")
    plain.receiver("org.clacks.event")
    sender = admin.sender("org.clacks.event.PhoneStatus")
    raw = encode(Message(body=phone_status(), subject="PhoneStatus"))
    at = raw.index(b"\x00\x53\x75")
    admin.send(sender, raw[:at] + b"\x00\x53\x74\xc1\x04\x02\x53\x01\x41" + raw[at:])
    assert filtered.got == []
    assert len(plain.got) == 1
    assert world.metrics.value("filter_errors") == 1


def test_the_filters_of_all_connections_and_users_with_equal_rights_are_in_one_index():
    world = World()
    admin = world.peer()
    readers = [world.peer("joe") for _ in range(5)]
    links = [
        reader.receiver("org.clacks.event", query=SEVEN.replace("7", str(n)))
        for reader in readers
        for n in range(6, 9)
    ]
    groups = {id(group): group for group in world.broker.topics._route("org.clacks.event.PhoneStatus")}
    (index,) = [group.index for group in groups.values()]
    assert len(index) == len(links) == 15
    assert index.statistics.distinct == 3  # equal queries of five users are one
    sender = admin.sender("org.clacks.event.PhoneStatus")
    admin.event(sender, "7")
    assert [reader.bodies for reader in readers] == [[phone_status("7")]] * 5
    assert index.statistics.events == 1
