from __future__ import annotations

import logging
import threading
import time

import pytest

from clacks.common.components import AMQPEventConsumer, AMQPServiceProxy
from clacks.common.errors import CommandRefused, CommandTimeout, SettingsError
from clacks.common.jsonrpc import FORBIDDEN, INVALID_EVENT
from tests.common.components.world import RIGHTS, World, wait_for

pytestmark = pytest.mark.net

NS = "http://www.gonicus.de/Events"
LEAVE = f"<Event xmlns='{NS}'><NodeLeave><Id>n</Id></NodeLeave></Event>"
CALL = (
    f"<Event xmlns='{NS}'><PhoneStatus><CallerId>1</CallerId><ReceiverId>2</ReceiverId>"
    "<Status>busy</Status></PhoneStatus></Event>"
)
BELL = f"<Event xmlns='{NS}'><Bell><Door>front</Door></Bell></Event>"
BELL_SCHEMA = f"""<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="{NS}"
  elementFormDefault="qualified"><element name="Bell"><complexType><sequence>
  <element name="Door" type="string"/></sequence></complexType></element></schema>"""


def forbidden(proxy: AMQPServiceProxy) -> bool:
    try:
        proxy.sendEvent(CALL)
    except CommandRefused as error:
        return error.code == FORBIDDEN
    return False


@pytest.mark.slow
def test_two_agents_share_the_queue_and_each_has_its_own(world: World) -> None:
    world.agent("one", workers=1)
    world.agent("two", workers=1)
    with AMQPServiceProxy(world.url()) as shared:
        # Both are needed: the first is busy when the second call comes.
        slow = threading.Thread(target=lambda: shared.wait(1.0))
        slow.start()
        begin = time.monotonic()
        shared.add(1, 2)
        assert time.monotonic() - begin < 0.9
        slow.join(10)
    for name in ("one", "two"):
        with AMQPServiceProxy(world.url(), f"org.clacks.command.core.{name}") as proxy:
            assert proxy.whoami() == name


@pytest.mark.slow
def test_an_agent_that_left_takes_no_calls(world: World) -> None:
    agent = world.agent()
    with AMQPServiceProxy(world.url(), timeout=0.3) as proxy:
        assert proxy.add(1, 2) == 3
        world.run(agent.close())
        with pytest.raises(CommandTimeout):
            proxy.add(1, 2)


@pytest.mark.slow
def test_a_call_that_runs_is_finished_before_the_agent_leaves(world: World) -> None:
    agent = world.agent()
    with AMQPServiceProxy(world.url()) as proxy:
        done: list[None] = []
        call = threading.Thread(target=lambda: done.append(proxy.wait(0.5)))
        call.start()
        wait_for(lambda: any(service.running for service in agent._services))
        world.run(agent.close())
        call.join(10)
        assert done == [None]


def test_an_event_sent_through_the_agent_is_delivered(world: World) -> None:
    world.agent()
    got: list[str] = []
    with (
        AMQPEventConsumer(world.url("reader"), callback=lambda data: got.append(str(data.NodeLeave.Id))),
        AMQPServiceProxy(world.url()) as proxy,
    ):
        proxy.sendEvent(LEAVE)
        wait_for(lambda: got == ["n"])


@pytest.mark.slow
def test_new_rights_count_soon_after_their_file_changed(world: World) -> None:
    world.agent()
    with AMQPServiceProxy(world.url("reader")) as proxy:
        assert forbidden(proxy)
        world.rights.write_text(RIGHTS.replace('roles = ["reader"]', 'roles = ["reader", "publisher"]'))
        wait_for(lambda: not forbidden(proxy))
        world.rights.write_text(RIGHTS)
        wait_for(lambda: forbidden(proxy))


@pytest.mark.slow
def test_a_rights_file_that_cannot_be_read_leaves_the_old_rights(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.agent()
    with AMQPServiceProxy(world.url()) as proxy:
        world.rights.write_text("[users.admin\n")
        wait_for(lambda: "rights not read again" in caplog.text)
        assert proxy.getSessionUser() == "admin"
        with pytest.raises(CommandRefused, match="stays as it was"):
            proxy.reload()


def test_an_agent_does_not_start_with_a_broken_rights_file(world: World) -> None:
    world.rights.write_text("[users.admin\n")
    with pytest.raises(SettingsError, match=r"rights\.toml"):
        world.agent()


@pytest.mark.slow
def test_a_new_schema_is_picked_up_without_a_restart(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.agent()
    with AMQPServiceProxy(world.url()) as proxy:
        with pytest.raises(CommandRefused) as error:
            proxy.sendEvent(BELL)
        assert error.value.code == INVALID_EVENT
        (world.folder / "events" / "Bell.xsd").write_text(BELL_SCHEMA)

        def known() -> bool:
            try:
                proxy.sendEvent(BELL)
            except CommandRefused:
                return False
            return True

        wait_for(known)
        assert "Bell" in proxy.getSchemas()


def test_reload_reads_everything_now_and_tells_what_is_refused(world: World) -> None:
    world.agent()
    with AMQPServiceProxy(world.url()) as proxy:
        assert proxy.reload() == {"rights": False, "schemas": False, "refused": []}
        (world.folder / "events" / "Bell.xsd").write_text(BELL_SCHEMA)
        (world.folder / "events" / "Broken.xsd").write_text("<schema")
        found = proxy.reload()
        assert found["schemas"] is True
        assert [(entry["file"], entry["line"]) for entry in found["refused"]] == [("Broken.xsd", 1)]
        proxy.sendEvent(BELL)
    with AMQPServiceProxy(world.url("reader")) as proxy, pytest.raises(CommandRefused) as error:
        proxy.reload()
    assert error.value.code == FORBIDDEN


def test_who_needs_to_know_is_told_of_changes(world: World) -> None:
    agent = world.agent()
    told: list[str] = []
    agent.on_rights = lambda rights: told.append("rights")
    agent.on_schemas = lambda: told.append("schemas")
    with AMQPServiceProxy(world.url()) as proxy:
        (world.folder / "events" / "Bell.xsd").write_text(BELL_SCHEMA)
        world.rights.write_text(RIGHTS + '[users.jane]\nroles = ["reader"]\n')
        proxy.reload()
        wait_for(lambda: sorted(told) == ["rights", "schemas"])
