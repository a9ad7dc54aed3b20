from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from clacks.common.components import AMQPEventConsumer, AMQPEventProducer
from clacks.common.errors import (
    ConnectionFailed,
    ConnectionLost,
    LinkRefused,
    LoginRefused,
    QuerySyntaxError,
    SettingsError,
)
from clacks.common.event import EventMaker
from clacks.common.rights import parse_rights
from tests.common.components.world import World, clacks_threads, wait_for

pytestmark = pytest.mark.net

e = EventMaker()
PHONES = """
    declare namespace f='http://www.gonicus.de/Events';
    let $e := ./f:Event
    return $e/f:PhoneStatus
"""


def phone(status: str = "busy", caller: str = "012345") -> etree._Element:
    return e.event("PhoneStatus", CallerId=caller, ReceiverId="12343424", Status=status)


class Collected:
    """A callback that keeps what it gets."""

    def __init__(self) -> None:
        self.data: list[Any] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, data: Any) -> None:
        self.threads.add(threading.current_thread())
        self.data.append(data)

    @property
    def states(self) -> list[str]:
        return [str(data.PhoneStatus.Status) for data in self.data]


def test_an_event_sent_after_the_constructor_arrives(world: World) -> None:
    got = Collected()
    with (
        AMQPEventConsumer(world.url(), xquery=PHONES, callback=got),
        AMQPEventProducer(world.url()) as producer,
    ):
        producer.send(phone())
        wait_for(lambda: len(got.data) == 1)
    (data,) = got.data
    assert data.tag == "{http://www.gonicus.de/Events}Event"
    assert data.PhoneStatus.CallerId == "012345"
    assert etree.tostring(data) == etree.tostring(phone())


def test_the_query_chooses(world: World) -> None:
    got = Collected()
    query = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus[f:Status='free']"
    with (
        AMQPEventConsumer(world.url(), xquery=query, callback=got),
        AMQPEventProducer(world.url()) as producer,
    ):
        producer.send(phone("busy"))
        producer.send(e.event("NodeLeave", Id="n1"))
        producer.send(phone("free"))
        wait_for(lambda: len(got.data) == 1)
    assert got.states == ["free"]


def test_callbacks_run_in_order_on_one_thread_of_their_own(world: World) -> None:
    got = Collected()
    with (
        AMQPEventConsumer(world.url(), xquery=PHONES, callback=got),
        AMQPEventProducer(world.url()) as producer,
    ):
        for number in range(500):
            producer.send(phone(str(number)))
        wait_for(lambda: len(got.data) == 500)
    assert got.states == [str(number) for number in range(500)]
    (thread,) = got.threads
    assert thread.name == "clacks-consumer"


def test_a_callback_that_raises_is_logged_and_the_next_event_is_delivered(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def process(data: Any) -> None:
        seen.append(str(data.PhoneStatus.Status))
        if len(seen) == 1:
            raise ZeroDivisionError("on purpose")

    with (
        AMQPEventConsumer(world.url(), xquery=PHONES, callback=process),
        AMQPEventProducer(world.url()) as producer,
    ):
        producer.send(phone("busy"))
        producer.send(phone("free"))
        wait_for(lambda: len(seen) == 2)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "callback failed kind=PhoneStatus" in record.getMessage()
    assert record.exc_text is not None
    assert "on purpose" in record.exc_text


def test_no_callback_is_no_error(world: World) -> None:
    with (
        AMQPEventConsumer(world.url()) as consumer,
        AMQPEventProducer(world.url()) as producer,
    ):
        producer.send(phone())
        producer.flush()
        consumer.join(0.05)
        assert not consumer.closed


# -- how it ends


def test_del_ends_link_and_threads_within_a_second(world: World) -> None:
    consumer = AMQPEventConsumer(world.url(), xquery=PHONES, callback=print)
    wait_for(lambda: world.connections() == 1)
    assert clacks_threads() == {"clacks-loop", "clacks-consumer"}
    gone = weakref.ref(consumer)
    begin = time.monotonic()
    del consumer
    assert gone() is None, "something refers to the consumer"
    wait_for(lambda: not clacks_threads() and world.connections() == 0)
    assert time.monotonic() - begin < 1.0


def test_del_ends_it_in_the_middle_of_handling_ctrl_c(world: World) -> None:
    """As the reference document does: the error of Ctrl-C must not keep the consumer alive."""
    consumer = AMQPEventConsumer(world.url(), xquery=PHONES, callback=print)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    try:
        while True:
            consumer.join()
    except KeyboardInterrupt:
        assert time.monotonic() - begin < 1.0
        gone = weakref.ref(consumer)
        del consumer
        assert gone() is None
        wait_for(lambda: not clacks_threads())


def test_a_circle_with_the_consumer_in_it_is_collected(world: World) -> None:
    class Owner:
        def __init__(self) -> None:
            self.circle = self
            self.consumer = AMQPEventConsumer(world.url(), callback=print)

    Owner()
    gc.collect()
    wait_for(lambda: not clacks_threads() and world.connections() == 0)


def test_a_callback_may_close_its_consumer(world: World) -> None:
    def process(data: Any) -> None:
        consumer.close()

    consumer = AMQPEventConsumer(world.url(), xquery=PHONES, callback=process)
    with AMQPEventProducer(world.url()) as producer:
        producer.send(phone())
        producer.flush()
        with contextlib.suppress(ConnectionLost):  # where the callback was done before the call
            consumer.join(10)
    assert consumer.closed
    wait_for(lambda: not clacks_threads())


def test_close_may_be_called_twice_and_waits_for_the_running_callback(world: World) -> None:
    began, done = threading.Event(), threading.Event()

    def process(data: Any) -> None:
        began.set()
        time.sleep(0.1)
        done.set()

    consumer = AMQPEventConsumer(world.url(), xquery=PHONES, callback=process)
    with AMQPEventProducer(world.url()) as producer:
        producer.send(phone())
        assert began.wait(10)
    consumer.close()
    assert done.is_set()
    assert consumer.closed
    consumer.close()
    assert not clacks_threads()


def test_join_returns_after_its_time_or_when_another_thread_closes(world: World) -> None:
    with AMQPEventConsumer(world.url()) as consumer:
        consumer.join(0.01)
        assert not consumer.closed
        threading.Timer(0.05, consumer.close).start()
        consumer.join()
        assert consumer.closed


@pytest.mark.slow
def test_a_loop_around_join_does_not_run_hot(world: World) -> None:
    consumer = AMQPEventConsumer(world.url())
    threading.Timer(0.5, consumer.close).start()
    before = time.thread_time()

    def forever() -> None:
        while True:
            consumer.join()

    with pytest.raises(ConnectionLost, match="closed"):
        forever()
    assert time.thread_time() - before < 0.1


def test_two_consumers_share_one_loop_and_end_by_themselves(world: World) -> None:
    one, two = Collected(), Collected()
    first = AMQPEventConsumer(world.url(), xquery=PHONES, callback=one)
    with (
        AMQPEventConsumer(world.url(), xquery=PHONES, callback=two),
        AMQPEventProducer(world.url()) as producer,
    ):
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("clacks-loop") == 1
        assert names.count("clacks-consumer") == 2
        producer.send(phone("busy"))
        wait_for(lambda: len(one.data) == len(two.data) == 1)
        first.close()
        producer.send(phone("free"))
        wait_for(lambda: len(two.data) == 2)
    assert one.states == ["busy"]


# -- what goes wrong


def test_a_query_that_does_not_compile_is_refused_with_its_place(world: World) -> None:
    with pytest.raises(QuerySyntaxError) as error:
        AMQPEventConsumer(world.url(), xquery="for $x in\n  return", callback=print)
    assert error.value.code == "XPST0003"
    assert error.value.line == 2
    wait_for(lambda: not clacks_threads() and world.connections() == 0)


def test_wrong_credentials_are_refused(world: World) -> None:
    with pytest.raises(LoginRefused) as error:
        AMQPEventConsumer(world.url(password="wrong-word"))
    assert "wrong-word" not in str(error.value)
    assert not clacks_threads()


def test_nobody_there_is_a_clear_error_at_once() -> None:
    begin = time.monotonic()
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"):
        AMQPEventConsumer("amqp://admin:secret@127.0.0.1:1/org.clacks")
    assert time.monotonic() - begin < 5
    assert not clacks_threads()


def test_a_url_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError) as error:
        AMQPEventConsumer("http://admin:secret@localhost/")
    assert "secret" not in str(error.value)


def test_a_subscription_that_the_broker_takes_away_ends_the_waiting_with_the_reason(world: World) -> None:
    consumer = AMQPEventConsumer(world.url("reader"), callback=print)

    async def forbid() -> None:
        world.broker.set_rights(parse_rights(""))

    threading.Timer(0.05, world.run, (forbid(),)).start()
    with pytest.raises(LinkRefused) as error:
        consumer.join(15)
    assert error.value.condition == "amqp:unauthorized-access"
    with pytest.raises(LinkRefused):
        consumer.join()
    assert consumer.closed
    wait_for(lambda: not clacks_threads())


@pytest.mark.slow
def test_a_slow_callback_loses_the_oldest_events_and_they_are_counted(world: World) -> None:
    go, got = threading.Event(), Collected()

    def process(data: Any) -> None:
        go.wait(30)
        got(data)

    total = 1500
    with AMQPEventConsumer(world.url(), xquery=PHONES, callback=process) as consumer:
        with AMQPEventProducer(world.url()) as producer:
            for number in range(total):
                producer.send(phone(str(number)))
            producer.flush()
        # A thousand wait in the queue, some more are with the worker.
        wait_for(lambda: consumer.dropped + world.dropped() + 1200 >= total)
        go.set()
        wait_for(lambda: len(got.data) + consumer.dropped + world.dropped() == total)
    assert got.states[-1] == str(total - 1), "the newest are kept"
    assert got.states == sorted(got.states, key=int)
    # On a busy machine the broker's queue for this consumer overflows first, and counts there.
    assert consumer.dropped + world.dropped() > 0


@pytest.mark.slow
def test_a_broker_that_comes_back_is_found_again_and_the_gap_is_told(world: World) -> None:
    got = Collected()
    with AMQPEventConsumer(world.url(), xquery=PHONES, callback=got) as consumer:
        world.stop()
        world.start()
        wait_for(lambda: len(consumer.gaps) == 1, 30)
        with AMQPEventProducer(world.url()) as producer:
            producer.send(phone("after"))
            wait_for(lambda: got.states == ["after"])
        (gap,) = consumer.gaps
        assert gap.start <= gap.end


# -- whole processes

RECEIVER = """
import sys
from clacks.common.components import AMQPEventConsumer
def process(data):
    print(data.PhoneStatus.Status, flush=True)
consumer = AMQPEventConsumer(sys.argv[1], callback=process)
print("ready", flush=True)
try:
    while True:
        consumer.join()
except KeyboardInterrupt:
    del consumer
    exit(0)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_program_at_once_and_without_noise(world: World, tmp_path: Path) -> None:
    program = tmp_path / "receiver.py"
    program.write_text(RECEIVER)
    running = subprocess.Popen(
        [sys.executable, "-W", "default", str(program), world.url()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        with AMQPEventProducer(world.url()) as producer:
            producer.send(phone("ringing"))
            producer.flush()
        assert running.stdout.readline() == "ringing\n"
        begin = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
        assert (running.returncode, out, err) == (0, "", "")
        assert time.monotonic() - begin < 3
    finally:
        running.kill()
    wait_for(lambda: world.connections() == 0)


FORKING = """
import os, sys
from clacks.common.components import AMQPEventConsumer, AMQPEventProducer, AMQPServiceProxy
from clacks.common.errors import ConnectionLost
url = sys.argv[1]
got = []
phones = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus"
def called(data):
    got.append(str(data.PhoneStatus.Status))
consumer = AMQPEventConsumer(url, xquery=phones, callback=called)
producer, proxy = AMQPEventProducer(url), AMQPServiceProxy(url)
text = ("<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus><CallerId>1</CallerId>"
        "<ReceiverId>2</ReceiverId><Status>{}</Status></PhoneStatus></Event>")
producer.send(text.format("parent"))
producer.flush()
assert proxy.getSessionUser() == "admin"
child = os.fork()
if child == 0:
    try:
        consumer.join()
    except ConnectionLost as error:
        assert "fork" in str(error)
    producer.send(text.format("child"))
    producer.flush()
    assert proxy.getSessionUser() == "admin"
    producer.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
producer.send(text.format("parent again"))
producer.flush()
assert proxy.getSessionUser() == "admin"
import time
end = time.monotonic() + 10
while len(got) < 3 and time.monotonic() < end:
    time.sleep(0.01)
print(got)
"""


@pytest.mark.slow
def test_a_forked_child_has_connections_of_its_own(agent_world: World, tmp_path: Path) -> None:
    program = tmp_path / "forking.py"
    program.write_text(FORKING)
    done = subprocess.run(
        [sys.executable, str(program), agent_world.url()],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "['parent', 'child', 'parent again']"
