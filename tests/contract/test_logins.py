"""Who gets in and as whom, on every broker."""

from __future__ import annotations

import asyncio

import pytest

from clacks.amqp.profiles import UserTrust
from clacks.bus import Bus
from clacks.common.address import BusURL
from clacks.common.errors import (
    ClacksError,
    CommandError,
    CommandRefused,
    CommandTimeout,
    ConnectionFailed,
    LoginRefused,
    OutcomeUnknown,
)
from clacks.common.jsonrpc import Request
from clacks.net.client import TcpConnector
from clacks.net.probe import lets_in_without_login, offered_mechanisms
from clacks.net.tls import client_context
from tests.contract.brokers import USERS, ContractBroker, Forged
from tests.contract.table import Cell
from tests.contract.words import LIMIT, caller_of, hello, next_event, phone, until


class Impostor(TcpConnector):
    """Logs in as one user and writes another into its messages."""

    def __init__(self, url: BusURL, claims: str) -> None:
        super().__init__(url)
        self._claims = claims

    @property
    def user(self) -> str | None:
        return self._claims


def impostor(broker: ContractBroker) -> Bus:
    """Return a client that is logged in as ann and says that it is admin."""
    url = broker.url("ann")
    connector = Impostor(BusURL.parse(url), "admin")
    return Bus(url, registry=broker.site.registry, connector=connector, name="impostor")


async def test_a_wrong_password_is_refused(broker: ContractBroker) -> None:
    bus = Bus(broker.url(password="wr0ng"), registry=broker.site.registry)
    with pytest.raises(LoginRefused) as caught:
        await bus.start()
    assert "wr0ng" not in str(caught.value)


async def test_an_unknown_user_is_refused(broker: ContractBroker) -> None:
    url = broker.url().replace("//admin:", "//nobody:")
    with pytest.raises(LoginRefused):
        await Bus(url, registry=broker.site.registry).start()


async def test_nobody_gets_in_without_a_login(broker: ContractBroker) -> None:
    url = f"amqp://127.0.0.1:{broker.port}/{broker.domain}"
    with pytest.raises(LoginRefused):
        await Bus(url, registry=broker.site.registry).start()
    offered = await offered_mechanisms("127.0.0.1", broker.port)
    assert ("ANONYMOUS" in offered) == broker.facts.offers_anonymous
    assert not await lets_in_without_login("127.0.0.1", broker.port)


async def test_an_event_in_the_name_of_another_is_refused_or_corrected(
    broker: ContractBroker, cell: Cell
) -> None:
    """Or the broker does not look, and its profile says that nobody should believe ``user``."""
    async with broker.bus() as honest, broker.bus() as receiver, impostor(broker) as liar:
        events = await receiver.subscribe()
        await hello(honest, events, mark="before")
        assert await liar.publish(phone("forged"))
        if broker.facts.forged is Forged.REFUSED:
            await until(
                lambda: liar.metrics.total("links_lost") or (broker.counts_drops and broker.dropped())
            )
        else:
            async with asyncio.timeout(LIMIT):
                received = await anext(events.messages())
            assert caller_of(received.event) == "forged"
            assert received.user == ("ann" if broker.facts.forged is Forged.CORRECTED else "admin")
            assert liar.profile is not None
            assert liar.profile.user_id is UserTrust.UNTRUSTED
        await hello(honest, events, mark="after")
        cell({Forged.CORRECTED: "gets the login"}.get(broker.facts.forged, broker.facts.forged.value))


async def test_nobody_calls_in_the_name_of_another(broker: ContractBroker, cell: Cell) -> None:
    seen: list[str] = []

    def note(request: Request, user: str, on_behalf_of: str | None) -> str:
        seen.append(user)
        return "done"

    open_to_lies = broker.facts.forged is Forged.PASSED_ON
    async with (
        # Where the broker does not look the operator must not tell agents to believe it.
        broker.bus("agent", trust_users=broker.facts.told and not open_to_lies) as agent,
        broker.bus("ann") as honest,
        impostor(broker) as liar,
    ):
        await agent.serve(note)
        if broker.facts.forged is Forged.CORRECTED:
            assert await liar.call("note", timeout=3) == "done"
            assert seen == ["ann"]
            cell("gets the login")
            return
        with pytest.raises(CommandError) as caught:
            await liar.call("note", timeout=30)
        # At once, by who found out, not by waiting.
        assert not isinstance(caught.value, CommandTimeout | OutcomeUnknown)
        if open_to_lies:
            with pytest.raises(CommandRefused, match="the broker must vouch"):
                await honest.call("note")
            assert seen == []
            cell("refused by agents, as all calls")
        else:
            assert await honest.call("note") == "done"
            assert seen == ["ann"]
            cell("refused")


async def test_tls_works_with_a_certificate_of_a_known_authority(broker: ContractBroker) -> None:
    url, ca = broker.tls_url("localhost"), str(broker.site.authority.file)
    async with (
        Bus(url, registry=broker.site.registry, ca=ca) as sender,
        Bus(url, registry=broker.site.registry, ca=ca) as receiver,
    ):
        events = await receiver.subscribe()
        await hello(sender, events, mark="in private")
        assert await sender.publish(phone("x" * 300_000))
        assert (await next_event(events)).kind == "PhoneStatus"
    context = client_context("localhost", ca=broker.site.authority.file)
    offered = await offered_mechanisms("localhost", broker.tls_port, tls=context)
    assert ("ANONYMOUS" in offered) == broker.facts.offers_anonymous


@pytest.mark.parametrize("trust", ["another authority", "the system's authorities"])
async def test_a_certificate_of_an_unknown_authority_is_refused(broker: ContractBroker, trust: str) -> None:
    ca = str(broker.site.stranger.file) if trust == "another authority" else None
    bus = Bus(broker.tls_url("localhost"), registry=broker.site.registry, ca=ca)
    with pytest.raises(ConnectionFailed) as caught:
        await bus.start()
    assert "authority" in str(caught.value)
    assert USERS["admin"] not in str(caught.value)


async def test_a_certificate_for_another_host_is_refused(broker: ContractBroker) -> None:
    url, ca = broker.tls_url("127.0.0.1"), str(broker.site.authority.file)
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1"):
        await Bus(url, registry=broker.site.registry, ca=ca).start()


async def test_tls_where_there_is_none_fails_with_a_word_about_it(broker: ContractBroker) -> None:
    url = broker.tls_url("localhost").replace(f":{broker.tls_port}/", f":{broker.port}/")
    with pytest.raises(ConnectionFailed):
        async with asyncio.timeout(LIMIT):
            await Bus(url, registry=broker.site.registry, ca=str(broker.site.authority.file)).start()


async def test_no_tls_where_it_is_needed_fails(broker: ContractBroker) -> None:
    url = broker.url(port=broker.tls_port)
    with pytest.raises(ClacksError):
        async with asyncio.timeout(LIMIT):
            await Bus(url, registry=broker.site.registry).start()
