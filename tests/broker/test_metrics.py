from __future__ import annotations

from tests.broker.world import NS, World

SEVEN = f'declare default element namespace "{NS}"; ./Event/PhoneStatus/CallerId = "7"'


def test_events_are_counted_by_type_as_they_come_and_as_they_are_wanted():
    world = World()
    admin, one, other = world.peer(), world.peer("joe"), world.peer()
    one.receiver("org.clacks.event")
    other.receiver("org.clacks.event", query=SEVEN)
    sender = admin.sender("org.clacks.event.PhoneStatus")
    for caller in "677":
        admin.event(sender, caller)
    metrics = world.broker.metrics
    assert metrics.value("events_received", type="PhoneStatus") == 3
    assert metrics.value("events_routed", type="PhoneStatus") == 5
    assert metrics.value("messages_delivered") == 5
    assert metrics.histogram("route_seconds").count == 3


def test_an_event_that_nobody_asked_for_is_counted():
    world = World()
    admin, one = world.peer(), world.peer("joe")
    one.receiver("org.clacks.event", query=SEVEN)
    sender = admin.sender("org.clacks.event.PhoneStatus")
    for caller in "67":
        admin.event(sender, caller)
    assert world.broker.metrics.value("events_unheard", type="PhoneStatus") == 1


def test_a_refused_event_is_not_counted_as_received_by_type():
    world = World()
    admin = world.peer()
    sender = admin.sender("org.clacks.event.PhoneStatus")
    admin.event(sender, "1", subject="NodeLeave")
    metrics = world.broker.metrics
    assert metrics.value("events_received", type="PhoneStatus") == 0
    assert metrics.total("messages_dropped") == 1
