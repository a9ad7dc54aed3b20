from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from clacks.amqp.connection import BusConnection, LinkClosed, LinkOpened, MessageReceived
from clacks.amqp.messages import Message, encode
from clacks.amqp.termini import SELECTOR_FILTER_CODE
from clacks.bus.subscribing import Subscriber
from clacks.bus.subscription import Subscription
from clacks.common.errors import LinkRefused
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.metrics import Metrics
from tests.amqp.brokers import Script
from tests.bus.house import PHONE, REGISTRY, caller_of, phone, scenario
from tests.bus.test_links import PumpedLine

ONE = "/topic/org.clacks.event.PhoneStatus"
ALL = "/topic/org.clacks.event.#"
RABBIT = ("RabbitMQ", "3.10.8", ())
FILTER_METRICS = ("filters", "filters_exact", "filter_evaluations", "filter_evaluations_by_engine")
LEAVE = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:ClientLeave"


class World(PumpedLine):
    """A subscriber and a small broker."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.metrics = Metrics()
        self.subscriber = Subscriber(self, REGISTRY, DEFAULT_LIMITS, self.metrics)

    def hand_on(self) -> None:
        for event in self.whole.events():
            if isinstance(event, (LinkOpened, LinkClosed, MessageReceived)):
                event.owner.on_link(event)

    async def subscribe(self, text: str = ".", kinds: Any = None) -> Subscription:
        task = asyncio.ensure_future(self.subscriber.subscribe(text, kinds, None, None))
        while not task.done():
            await asyncio.sleep(0)
            self.pump()
        return await task

    def send(self, address: str, message: Message) -> None:
        self.broker.senders[address].send(encode(message))
        self.pump()

    def dropped(self, reason: str) -> int:
        return self.metrics.value("events_dropped", reason=reason)


def rabbit(**options: Any) -> World:
    return World(Script(*RABBIT, **options))


def message(caller: str = "1", **options: Any) -> Message:
    event = phone(caller)
    return Message(**{"body": event.xml, "subject": event.kind, "content_type": "application/xml", **options})


@scenario
async def test_the_types_of_a_query_become_topics_where_the_broker_knows_no_queries() -> None:
    world = rabbit()
    await world.subscribe(PHONE)
    await world.subscribe(f"{PHONE} = '1'")
    assert set(world.broker.senders) == {ONE}
    assert world.broker.filters == [()]
    await world.subscribe("//*[. = 'x']")
    assert set(world.broker.senders) == {ONE, ALL}


@scenario
async def test_every_subscription_gets_what_its_query_lets_through_and_once() -> None:
    world = rabbit()
    everything = await world.subscribe()
    phones = await world.subscribe(PHONE)
    none = await world.subscribe(f"{PHONE}[f:CallerId = '2']")
    # A topic exchange gives a copy to each link.
    world.send(ALL, message())
    world.send(ONE, message())
    assert (everything.waiting, phones.waiting, none.waiting) == (1, 1, 0)


@scenario
async def test_a_broker_that_repeats_filters_without_applying_them_is_not_believed() -> None:
    world = World(Script(*RABBIT, echo=True))
    events = await world.subscribe(f"{PHONE}[f:CallerId = '2']")
    world.send(ONE, message("1"))
    world.send(ONE, message("2"))
    assert events.waiting == 1
    assert caller_of(await anext(events)) == "2"


@scenario
async def test_a_broker_that_does_not_confirm_the_filter_leaves_the_work_to_us() -> None:
    world = World(Script(echo=False))
    events = await world.subscribe(f"{PHONE}[f:CallerId = '2']")
    assert len(world.broker.filters[0]) == 1
    world.send("org.clacks.event.PhoneStatus", message("1"))
    world.send("org.clacks.event.PhoneStatus", message("2"))
    assert events.waiting == 1


@scenario
async def test_a_confirmed_filter_is_not_evaluated_again() -> None:
    world = World(Script(echo=True))
    events = await world.subscribe(f"{PHONE}[f:CallerId = '2']")
    world.send("org.clacks.event.PhoneStatus", message("1"))
    assert events.waiting == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (message(subject="ClientLeave"), "address, subject and document do not agree"),
        (message(subject=None), "address, subject and document do not agree"),
        (message(body=b"<Event"), "malformed message"),
        (message(body=b"<!DOCTYPE x [<!ENTITY e 'x'>]><x>&e;</x>"), "malformed message"),
        (message(body=b"<Event xmlns='http://www.gonicus.de/Events'><Nothing/></Event>"), "invalid event"),
        (message(body=phone().xml.replace(b"busy</", b"busy</x")), "malformed message"),
        (message(absolute_expiry_time=int(time.time() * 1000) - 1), "expired"),
    ],
)
def test_what_comes_from_a_broker_that_checks_nothing_is_checked(bad: Message, reason: str) -> None:
    @scenario
    async def run() -> None:
        world = rabbit()
        events = await world.subscribe()
        world.send(ALL, bad)
        assert world.dropped(reason) == 1
        world.send(ALL, message("good"))
        assert events.waiting == 1

    run()


@scenario
async def test_an_event_of_another_type_than_its_topic_is_dropped() -> None:
    world = rabbit()
    events = await world.subscribe(kinds=["ClientLeave"])
    world.send("/topic/org.clacks.event.ClientLeave", message())
    assert events.waiting == 0
    assert world.dropped("address, subject and document do not agree") == 1


@scenario
async def test_an_event_of_a_newer_schema_is_delivered_and_flagged() -> None:
    world = rabbit()
    events = await world.subscribe()
    newer = phone().xml.replace(b"</PhoneStatus>", b"<Mood>good</Mood></PhoneStatus>")
    world.send(ALL, message(body=newer))
    event = await anext(events)
    assert event.newer == ("/Event/PhoneStatus/Mood",)


@scenario
async def test_bytes_that_are_no_message_are_dropped() -> None:
    world = rabbit()
    await world.subscribe()
    world.broker.senders[ALL].send(b"\x00\x53")
    world.pump()
    assert world.dropped("malformed message") == 1


@scenario
async def test_drops_are_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    world = rabbit()
    await world.subscribe()
    for _ in range(20):
        world.send(ALL, message(subject="x"))
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    assert world.dropped("address, subject and document do not agree") == 20


@scenario
async def test_a_query_that_fails_on_an_event_counts_as_no_match_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = rabbit()
    failing = await world.subscribe("xs:integer(//*:CallerId) = 1")
    good = await world.subscribe()
    for _ in range(3):
        world.send(ALL, message("no number"))
    assert (failing.waiting, good.waiting) == (0, 3)
    assert world.metrics.value("filter_errors") == 3
    assert len([record for record in caplog.records if "a filter failed" in record.message]) == 1
    again = await world.subscribe("xs:integer(//*:CallerId) = 1")
    world.send(ALL, message("no number"))
    assert again.waiting == 0
    assert len([record for record in caplog.records if "a filter failed" in record.message]) == 2


@scenario
async def test_filters_of_a_consumer_are_counted() -> None:
    world = rabbit()
    exact = await world.subscribe("starts-with(//*:CallerId, 'no') and xs:integer(//*:CallerId) = 1")
    await world.subscribe("for $c at $i in //*:CallerId return $c")
    world.send(ALL, message("no number"))
    counted = {name: world.metrics.value(name) for name in FILTER_METRICS}
    assert counted == {
        "filters": 2,
        "filters_exact": 1,
        "filter_evaluations": 2,
        "filter_evaluations_by_engine": 1,
    }
    assert world.metrics.total("filter_errors_by_filter") == 1
    exact.end()
    assert (world.metrics.value("filters"), world.metrics.value("filters_exact")) == (1, 0)


@scenario
async def test_a_refused_subscription_leaves_nothing_behind() -> None:
    world = rabbit(refuse={ALL: "amqp:not-found"}, end_session=True)
    with pytest.raises(LinkRefused) as caught:
        await world.subscribe()
    assert caught.value.condition == "amqp:not-found"
    assert not world.subscriber._parts
    assert not world.subscriber._taps


@scenario
async def test_a_link_that_was_taken_away_for_good_ends_the_subscription() -> None:
    world = rabbit()
    events = await world.subscribe()
    world.broker.engine.close_link(world.broker.senders[ALL], "amqp:unauthorized-access", "no more")
    world.pump()
    with pytest.raises(LinkRefused, match="no more"):
        await anext(events)


@scenario
async def test_a_link_that_was_taken_away_for_now_comes_back_with_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clacks.bus.subscribing._RETRY", 0.01)
    world = rabbit()
    events = await world.subscribe()
    world.broker.engine.close_link(world.broker.senders[ALL], "amqp:internal-error", "oops")
    world.pump()
    while not events.gaps:
        await asyncio.sleep(0.005)
        world.pump()
    world.send(ALL, message())
    assert events.waiting == 1


@scenario
async def test_another_broker_after_a_loss_gets_links_as_it_wants_them() -> None:
    world = rabbit()
    events = await world.subscribe(f"{PHONE}[f:CallerId = '2']")
    assert world.subscriber._indexed
    world.whole.lost("gone")
    world.hand_on()
    world.subscriber.lost("gone", 0.0)
    world.begin(Script("clacks", "1"))
    assert isinstance(world.connection, BusConnection)
    world.subscriber.restore()
    world.pump()
    assert len(events.gaps) == 1
    assert not world.subscriber._indexed
    assert world.broker.filters[0][0].is_xquery
    world.send("org.clacks.event.PhoneStatus", message("2"))
    assert events.waiting == 1


@scenario
async def test_where_each_type_needs_a_link_all_types_get_one() -> None:
    world = World(Script("qpid-cpp", "1.39"))
    await world.subscribe()
    assert len(world.broker.filters) == len(REGISTRY.kinds)
    subjects = {filters[0].value for filters in world.broker.filters}
    assert subjects == REGISTRY.kinds


ACTIVE = ("ActiveMQ", "5.17.2", ())
TOPIC = "topic://org.clacks.event.PhoneStatus"
SOURCE = "declare variable $cloudEvents_source external; declare variable $room external;"


def from_source(condition: str) -> str:
    return PHONE.replace(";", f"; {SOURCE}", 1) + f"[{condition}]"


@scenario
async def test_conditions_on_properties_become_a_selector_where_the_broker_applies_them() -> None:
    world = World(Script(*ACTIVE))
    events = await world.subscribe(from_source("$room = ('red', 'blue') and f:CallerId = '2'"))
    ((asked,),) = world.broker.filters
    assert (asked.descriptor, asked.value) == (SELECTOR_FILTER_CODE, "(room = 'red' OR room = 'blue')")
    # Whatever the broker makes of it, the whole query decides.
    for caller, room in (("2", "red"), ("2", "green"), ("3", "red")):
        world.send(TOPIC, message(caller, _properties={"room": room}))
    assert events.waiting == 1
    assert caller_of(await anext(events)) == "2"


@scenario
async def test_no_selector_is_sent_where_it_would_not_be_applied() -> None:
    world = rabbit()
    await world.subscribe(from_source("$room = 'red'"))
    assert world.broker.filters == [()]


@scenario
async def test_equal_selectors_share_a_link_and_all_subscriptions_one_index() -> None:
    world = World(Script(*ACTIVE))
    ones = [await world.subscribe(from_source(f"$room = 'red' and f:CallerId = '{n}'")) for n in range(3)]
    plain = [await world.subscribe(f"{PHONE}[f:CallerId = '{n}']") for n in range(3)]
    assert [len(filters) for filters in world.broker.filters] == [1, 0]
    assert len(world.subscriber._index or ()) == 6
    world.send(TOPIC, message("1", _properties={"room": "red"}))  # over the link without selector
    assert [events.waiting for events in (*ones, *plain)] == [0, 0, 0, 0, 1, 0]


@scenario
async def test_many_different_selectors_become_one_link_without() -> None:
    world = World(Script(*ACTIVE))
    for number in range(40):
        await world.subscribe(from_source(f"$room = 'r{number}'"))
    selectors = [filters for filters in world.broker.filters if filters]
    assert len(selectors) == 16
    assert len(world.broker.filters) == 17


@scenario
async def test_a_selector_that_the_broker_refuses_is_done_without() -> None:
    world = World(Script(*ACTIVE, no_selectors=True))
    events = await world.subscribe(from_source("$room = 'red'"))
    assert [len(filters) for filters in world.broker.filters] == [1, 0]
    world.send(TOPIC, message(_properties={"room": "red"}))
    world.send(TOPIC, message(_properties={"room": "blue"}))
    assert events.waiting == 1
