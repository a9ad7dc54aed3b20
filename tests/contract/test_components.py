"""The blocking classes, on every broker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from lxml import objectify

from clacks.common import jsonrpc
from clacks.common.components import AMQPEventConsumer, AMQPEventProducer, AMQPServiceProxy
from clacks.common.errors import CommandRefused, LoginRefused
from tests.contract.brokers import ContractBroker
from tests.contract.words import CALLS, LIMIT, agent_on, node_status, phone


@pytest.fixture
def agent(broker: ContractBroker, rights_file: Path) -> Iterator[None]:
    """Run an agent on a thread of its own."""
    running, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with broker.bus("agent") as bus, agent_on(bus, broker, "n1", rights_file):
            running.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert running.wait(LIMIT)
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(LIMIT)
    loop.close()


def test_what_a_producer_sends_reaches_the_callback_of_a_consumer(broker: ContractBroker) -> None:
    got: SimpleQueue[objectify.ObjectifiedElement] = SimpleQueue()
    with (
        AMQPEventConsumer(broker.url("ann"), xquery=CALLS, callback=got.put),
        AMQPEventProducer(broker.url()) as producer,
    ):
        producer.send(node_status())
        for number in range(10):
            producer.send(phone(f"0{number}"))
        producer.flush()
        for number in range(10):
            assert got.get(timeout=LIMIT).PhoneStatus.CallerId.text == f"0{number}"
    assert got.empty()


@pytest.mark.usefixtures("agent")
def test_a_proxy_calls_commands_and_sends_events(broker: ContractBroker) -> None:
    got: SimpleQueue[objectify.ObjectifiedElement] = SimpleQueue()
    proxy = AMQPServiceProxy(broker.url("ann"))
    with AMQPEventConsumer(broker.url("ann"), xquery=CALLS, callback=got.put):
        assert proxy.add(1, 2) == 3
        assert proxy.getSessionUser() == "ann"
        assert "sendEvent" in proxy.getMethods()
        proxy.sendEvent(phone("by proxy"))
        assert got.get(timeout=LIMIT).PhoneStatus.CallerId.text == "by proxy"
        with pytest.raises(CommandRefused) as caught:
            proxy.fly()
        assert caught.value.code == jsonrpc.METHOD_NOT_FOUND
    proxy.close()


@pytest.mark.usefixtures("agent")
def test_threads_share_a_proxy(broker: ContractBroker) -> None:
    answers: SimpleQueue[tuple[int, int]] = SimpleQueue()
    proxy = AMQPServiceProxy(broker.url("ann"))

    def work(number: int) -> None:
        for _ in range(5):
            answers.put((number, proxy.add(number, 1000)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    proxy.close()
    got = [answers.get(timeout=LIMIT) for _ in range(40)]
    assert all(answer == number + 1000 for number, answer in got)


def test_wrong_credentials_show_when_the_consumer_is_made(broker: ContractBroker) -> None:
    with pytest.raises(LoginRefused):
        AMQPEventConsumer(broker.url(password="wrong"), xquery=CALLS)
