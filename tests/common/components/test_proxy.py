from __future__ import annotations

import copy
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lxml import etree

from clacks.common.components import AMQPEventConsumer, AMQPServiceProxy
from clacks.common.errors import (
    CommandError,
    CommandRefused,
    CommandTimeout,
    ConnectionFailed,
    ConnectionLost,
    LoginRefused,
)
from clacks.common.event import EventMaker
from clacks.common.jsonrpc import FORBIDDEN, INVALID_EVENT, INVALID_PARAMS, METHOD_NOT_FOUND
from tests.common.components.world import World, clacks_threads, wait_for

pytestmark = pytest.mark.net

e = EventMaker()


def test_attributes_are_remote_methods(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        assert proxy.getSessionUser() == "admin"
        assert "sendEvent" in proxy.getMethods()
        assert list(proxy.getNodes()) == ["node-1"]


def test_arguments_stand_by_position_or_by_name(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        assert proxy.add(2, 3) == 5
        assert proxy.add(one=2, other=4) == 6
        with pytest.raises(CommandError, match="not both") as error:
            proxy.add(2, other=4)
        assert error.value.code == INVALID_PARAMS


def test_a_name_with_a_dot_is_two_attributes(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        assert proxy.lamp.twice("ab") == "abab"


def test_an_event_sent_by_an_agent_arrives(agent_world: World) -> None:
    got: list[Any] = []
    status = e.event("PhoneStatus", CallerId="012345", ReceiverId="2", Status="busy")
    with (
        AMQPEventConsumer(agent_world.url(), callback=got.append),
        AMQPServiceProxy(agent_world.url()) as proxy,
    ):
        for form in (
            etree.tostring(status, pretty_print=True),
            etree.tostring(status, encoding="utf-16"),
            etree.tostring(status, encoding="unicode"),
            status,
        ):
            assert proxy.sendEvent(form) is None
        proxy.sendEvent(data=etree.tostring(status))
        wait_for(lambda: len(got) == 5)
    assert {str(data.PhoneStatus.CallerId) for data in got} == {"012345"}


def test_errors_of_the_remote_side_have_code_message_and_data(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        with pytest.raises(CommandRefused) as error:
            proxy.sendEvent("<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus/></Event>")
        assert error.value.code == INVALID_EVENT
        assert isinstance(error.value.data, dict)
        assert error.value.data["path"] == "/Event/PhoneStatus"
        assert "/Event/PhoneStatus" in error.value.message
        with pytest.raises(CommandRefused) as error:
            proxy.noSuchThing()
        assert error.value.code == METHOD_NOT_FOUND
        with pytest.raises(CommandRefused) as error:
            proxy.add("two", 3)
        assert error.value.code == INVALID_PARAMS


def test_a_command_that_the_rights_do_not_cover_is_forbidden(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url("reader")) as proxy:
        assert proxy.getSessionUser() == "reader"
        with pytest.raises(CommandRefused) as error:
            proxy.getNodes()
        assert error.value.code == FORBIDDEN


def test_one_agent_can_be_asked_by_its_own_address(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url(), serviceAddress="org.clacks.command.core.node-1") as proxy:
        assert list(proxy.getNodes()) == ["node-1"]


def test_calls_of_many_threads_go_side_by_side_on_one_connection(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        before = agent_world.connections()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda n: proxy.add(n, n), range(64))) == [2 * n for n in range(64)]
        assert agent_world.connections() == before + 1


@pytest.mark.slow
def test_a_slow_call_does_not_hold_up_others(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        slow = threading.Thread(target=lambda: proxy.wait(1.0))
        slow.start()
        begin = time.monotonic()
        assert proxy.add(1, 1) == 2
        assert time.monotonic() - begin < 0.9
        slow.join(10)


@pytest.mark.slow
def test_a_call_that_nobody_takes_times_out_as_not_carried_out(world: World) -> None:
    with AMQPServiceProxy(world.url(), timeout=0.3) as proxy, pytest.raises(CommandTimeout):
        proxy.getNodes()


def test_it_connects_at_its_first_call(world: World) -> None:
    proxy = AMQPServiceProxy("amqp://admin:secret@127.0.0.1:1/org.clacks")
    assert not clacks_threads()
    with pytest.raises(ConnectionFailed):
        proxy.getNodes()
    assert not clacks_threads()
    with pytest.raises(LoginRefused):
        AMQPServiceProxy(world.url(password="wrong")).getNodes()


def test_a_closed_proxy_says_so(agent_world: World) -> None:
    proxy = AMQPServiceProxy(agent_world.url())
    proxy.getSessionUser()
    proxy.close()
    proxy.close()
    with pytest.raises(ConnectionLost, match="closed"):
        proxy.getSessionUser()
    assert not clacks_threads()


def test_del_ends_the_connection(agent_world: World) -> None:
    before = agent_world.connections()
    proxy = AMQPServiceProxy(agent_world.url())
    proxy.getSessionUser()
    gone = weakref.ref(proxy)
    del proxy
    assert gone() is None
    wait_for(lambda: not clacks_threads() and agent_world.connections() == before)


@pytest.mark.slow
def test_calls_go_on_after_the_broker_came_back(agent_world: World) -> None:
    with AMQPServiceProxy(agent_world.url()) as proxy:
        assert proxy.add(1, 2) == 3
        agent_world.stop()
        agent_world.start()
        assert proxy.add(3, 4) == 7


def test_a_method_keeps_its_proxy(agent_world: World) -> None:
    add = AMQPServiceProxy(agent_world.url()).add
    assert add(1, 2) == 3
    del add
    wait_for(lambda: not clacks_threads())


def test_names_that_python_asks_for_are_no_commands() -> None:
    proxy = AMQPServiceProxy("amqp://localhost/org.clacks")
    for name in ("__deepcopy__", "_ipython_display_", "__array__"):
        assert not hasattr(proxy, name)
        assert not hasattr(proxy.lamp, name)
    assert repr(proxy.lamp.dim) == "<remote method lamp.dim>"
    assert copy.copy(proxy.lamp)._name == "lamp"
