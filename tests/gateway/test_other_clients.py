"""Clients of TrueNAS and SysAdm against a real ``clacks up``.

aiotruenas-client is somebody else's, from PyPI, and unmodified. The Qt client of SysAdm is not packaged for
any system: here its steps are taken one by one, as its source has them, over TLS and with its Origin.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from aiotruenas_client.websockets.protocol import (
    TrueNASWebSocketClientProtocol,
    truenas_password_auth_protocol_factory,
)
from websockets.client import WebSocketClientProtocol, connect

from tests.cli.processes import Service, running

pytestmark = [pytest.mark.slow, pytest.mark.net]

SETTINGS = """
[jobs.count]
command = ["/bin/sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"]
"""
PHONE = {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}
SNAPSHOT = {"Message": "made", "Priority": 0, "Class": "snapshot"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    place = tmp_path_factory.mktemp("clients")
    settings = place / "settings.toml"
    settings.write_text(SETTINGS)
    listeners = ("http=127.0.0.1:0", "sysadm=127.0.0.1:0", "sysadm-bridge=127.0.0.1:0")
    arguments = [word for one in listeners for word in ("--listen", one)]
    free = ("--port", "0", "--tls-port", "0", "--user", "ann:secret")
    with running("up", *free, *arguments, home=place, CLACKS_SETTINGS=str(settings)) as service:
        yield service


def port(up: Service, kind: str) -> str:
    """Return where a listener of a dialect's own is."""
    (found,) = [line for line in up.out if line.startswith(f"{kind}=")]
    return found.partition("=")[2]


async def truenas(up: Service, password: str = "secret") -> TrueNASWebSocketClientProtocol:
    url = up.url("http").replace("http://", "ws://") + "websocket"
    made = truenas_password_auth_protocol_factory("ann", password)
    found = await connect(url, create_protocol=made)
    assert isinstance(found, TrueNASWebSocketClientProtocol)
    return found


def test_a_client_of_truenas_logs_in_subscribes_and_publishes(up: Service) -> None:
    async def scenario() -> None:
        client = await truenas(up)
        assert await client.invoke_method("core.ping") == "pong"
        events = await client.subscribe("PhoneStatus")
        await client.invoke_method("core.event_send", ["PhoneStatus", "ADDED", {"fields": PHONE}])
        event = await asyncio.wait_for(events.get(), 20)
        assert (event["msg"], event["fields"]) == ("added", PHONE)
        await client.close()

    asyncio.run(scenario())


def test_a_client_of_truenas_follows_a_job_to_its_end(up: Service) -> None:
    async def scenario() -> None:
        client = await truenas(up)
        events = await client.subscribe("core.get_jobs")
        number = await client.invoke_method("clacks.runJob", ["count"])
        states = []
        while "SUCCESS" not in states:
            event = await asyncio.wait_for(events.get(), 20)
            if event["fields"]["id"] == number:
                states.append(event["fields"]["state"])
        assert states[0] == "WAITING"
        assert "RUNNING" in states
        (job,) = await client.invoke_method("core.get_jobs", [[["id", "=", number]]])
        assert (job["state"], job["method"]) == ("SUCCESS", "count")
        await client.close()

    asyncio.run(scenario())


def test_a_client_of_truenas_with_a_wrong_password_is_not_let_in(up: Service) -> None:
    with pytest.raises(Exception, match="authenticate"):
        asyncio.run(truenas(up, "wrong"))


# -- SysAdm


def insecure() -> ssl.SSLContext:
    """As the Qt client: it lets self-signed certificates pass."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class SysAdm:
    def __init__(self, line: WebSocketClientProtocol) -> None:
        self._line = line

    async def send(self, namespace: str, name: str, number: str, args: Any) -> None:
        await self._line.send(json.dumps({"namespace": namespace, "name": name, "id": number, "args": args}))

    async def hear(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self._line.recv(), 20)
        assert isinstance(text, str)
        assert text.startswith("{")
        found: dict[str, Any] = json.loads(text)
        return found

    async def ask(self, namespace: str, name: str, number: str, args: Any) -> dict[str, Any]:
        await self.send(namespace, name, number, args)
        while (answer := await self.hear())["id"] != number:
            pass
        return answer

    async def log_in(self, kind: str) -> None:
        answer = await self.ask("rpc", "identify", "sysadm_client_identify", "")
        assert answer["args"]["type"] == kind
        login = {"username": "ann", "password": "secret"}
        answer = await self.ask("rpc", "auth", "sysadm-client-auth-auto", login)
        assert answer["name"] == "response"
        assert len(answer["args"]) == 2


def sysadm(place: str, origin: str = "sysadm-client") -> connect:
    return connect(f"wss://{place}/", ssl=insecure(), origin=origin)  # type: ignore[arg-type]


def test_the_steps_of_the_qt_client(up: Service) -> None:
    async def scenario() -> None:
        async with sysadm(port(up, "sysadm")) as line:
            client = SysAdm(line)
            await client.log_in("server")
            answer = await client.ask("events", "subscribe", "sysadm-client-event-auto", "life-preserver")
            assert answer["args"] == {"subscribe": "life-preserver"}
            other = await truenas(up)
            await other.invoke_method("core.event_send", ["LifePreserver", "ADDED", {"fields": SNAPSHOT}])
            event = await client.hear()
            assert event["name"] == "life-preserver"
            assert event["args"] == {"message": "made", "priority": "0 - Information", "class": "snapshot"}
            await other.close()

    asyncio.run(scenario())


def test_peers_of_the_bridge_hear_of_each_other_and_frames_go_on(up: Service) -> None:
    async def scenario() -> None:
        place = port(up, "sysadm-bridge")
        async with sysadm(place) as one, sysadm(place, "sysadm-server") as two:
            client, server = SysAdm(one), SysAdm(two)
            await client.log_in("bridge")
            await server.log_in("bridge")
            seen: list[str] = []
            while not seen:
                heard = await client.hear()
                seen = heard["args"]["available_connections"] if heard["name"] == "bridge" else []
            await one.send(f"{seen[0]}\n" + '{"namespace":"rpc","name":"x","id":"1","args":""}')
            while (text := await asyncio.wait_for(two.recv(), 20)).startswith("{"):
                pass
            assert text.partition("\n")[2] == '{"namespace":"rpc","name":"x","id":"1","args":""}'

    asyncio.run(scenario())


def test_a_page_of_another_site_does_not_reach_sysadm(up: Service) -> None:
    async def scenario() -> None:
        async with sysadm(port(up, "sysadm"), "https://evil.example"):
            pass

    with pytest.raises(Exception, match="403"):
        asyncio.run(scenario())
