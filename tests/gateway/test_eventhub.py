"""Eventhub over a real WebSocket: what its clients see."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from clacks.common.limits import DEFAULT_LIMITS
from clacks.gateway.service import Gateway, Options
from clacks.net.web import WebListener
from tests.gateway.served import KEY, REGISTRY, Client, Served, gateway, scenario, until

pytestmark = [pytest.mark.net, pytest.mark.slow]


async def texts(client: Client, count: int) -> list[str]:
    return [(await client.message())["result"]["message"] for _ in range(count)]


@scenario
async def test_a_message_reaches_its_subscribers_with_the_id_of_their_request() -> None:
    async with gateway() as served:
        reader, writer = await served.connect(), await served.connect()
        answer = await reader.ask("subscribe", topic="my/topic")
        assert answer["result"] == {"action": "subscribe", "status": "ok", "topic": "my/topic"}
        published = await writer.ask("publish", topic="my/topic", message="Grüße \u2028 \x00 \r <&> ]]>")
        assert published["result"]["status"] == "ok"
        assert await reader.message() == {
            "id": 1,
            "jsonrpc": "2.0",
            "result": {
                "id": published["result"]["id"],
                "topic": "my/topic",
                "message": "Grüße \u2028 \x00 \r <&> ]]>",
                "origin": "ann",
            },
        }


@scenario
async def test_each_matching_subscription_gets_its_copy_and_the_order_is_kept() -> None:
    async with gateway() as served:
        client = await served.connect()
        for topic in ("a/b", "a/+", "a/#", "#", "x"):
            await client.ask("subscribe", topic=topic)
        sent = [f"{number}" for number in range(60)]
        for text in sent:
            await client.ask("publish", topic="a/b", message=text)
        heard: dict[int, list[str]] = {}
        for _ in range(4 * len(sent)):
            message = await client.message()
            heard.setdefault(message["id"], []).append(message["result"]["message"])
        assert heard == {1: sent, 2: sent, 3: sent, 4: sent}


@scenario
async def test_messages_of_every_awkward_size_arrive() -> None:
    async with gateway() as served:
        client = await served.connect()
        await client.ask("subscribe", topic="a")
        for size in (1, 60, 126, 65_400, 65_535, 65_536, 98_303, 131_071, 1_000_000):
            assert "result" in await client.ask("publish", topic="a", message="x" * size)
            assert await texts(client, 1) == ["x" * size]
        too_large = await client.ask("publish", topic="a", message="x" * 5_000_000)
        assert too_large["error"]["code"] == -32602


@scenario
async def test_a_replay_goes_on_live_without_gap_and_double_while_others_publish() -> None:
    async with gateway(recording=True) as served:
        writer, reader = await served.connect(), await served.connect()
        total, published = 120, 0

        async def publish() -> None:
            nonlocal published
            for number in range(total):
                await writer.ask("publish", topic="a", message=str(number))
                published += 1

        publishing = asyncio.create_task(publish())
        while published < 40:
            await asyncio.sleep(0.001)
        await reader.ask("subscribe", topic="a", since=-60_000)
        heard = await texts(reader, total)
        await publishing
        assert heard == [str(number) for number in range(total)]
        assert (await reader.ask("ping"))["result"]
        assert not reader.heard


@scenario
async def test_the_log_gives_the_newest_in_order_and_goes_on_after_an_id() -> None:
    async with gateway(recording=True) as served:
        client = await served.connect()
        ids = [
            (await client.ask("publish", topic=f"t/{n % 2}", message=str(n)))["result"]["id"]
            for n in range(150)
        ]
        assert len(set(ids)) == 150

        async def log(**params: object) -> list[str]:
            answer = await client.ask("eventlog", **params)
            return [item["message"] for item in answer["result"]["items"]]

        assert await log(topic="t/0", since=-60_000, limit=3) == ["144", "146", "148"]
        assert await log(topic="t/0", since=-60_000, limit=0) == []
        assert await log(topic="t/0", sinceEventId=ids[140]) == ["142", "144", "146", "148"]
        assert await log(topic="t/0", sinceEventId="nonsense") == []
        both = await log(topic="t/+", since=-60_000, limit=2)
        assert sorted(both) == ["146", "147", "148", "149"]
        assert await log(topic="t/0", since=int(time.time() * 1000) + 60_000) == []


@scenario
async def test_ids_never_repeat_whatever_the_timestamp() -> None:
    async with gateway() as served:
        client = await served.connect()
        ids = [
            (await client.ask("publish", topic="a", message="m", timestamp=5))["result"]["id"]
            for _ in range(20)
        ]
        assert len(set(ids)) == 20
        assert all(one.startswith("5-") for one in ids)


@scenario
async def test_keys_are_kept_apart_by_the_filters_of_the_token() -> None:
    async with gateway(recording=True) as served:
        ann = await served.connect(read=["k/#"], write=["k/a"])
        assert (await ann.ask("set", key="k/a", value="v"))["result"]["success"] is True
        assert (await ann.ask("get", key="k/a"))["result"]["value"] == "v"
        assert (await ann.ask("set", key="k/b", value="v"))["error"][
            "data"
        ] == "You are not allowed to write key k/b"
        assert (await ann.ask("get", key="x"))["error"]["data"] == "You are not allowed to read key x"
        assert (await ann.ask("del", key="k/a"))["result"]["success"] is True
        assert (await ann.ask("del", key="k/a"))["result"]["success"] is False


@scenario
async def test_disconnect_gets_an_empty_close_frame() -> None:
    async with gateway() as served:
        client = await served.connect()
        await client.send({"jsonrpc": "2.0", "id": 1, "method": "disconnect"})
        message = await client.socket.receive()
        assert (message.type, message.data) == (
            aiohttp.WSMsgType.CLOSE,
            0,
        )  # no code: what others show as 1005


async def block(answer: aiohttp.ClientResponse) -> str:
    return (await answer.content.readuntil(b"\n\n")).decode()


@scenario
async def test_server_sent_events_go_on_after_the_last_one() -> None:
    async with gateway(recording=True) as served:
        client = await served.connect()
        first = (await client.ask("publish", topic="s/a", message="one"))["result"]["id"]
        await client.ask("publish", topic="s/a", message="two\nlines")
        headers = {"Accept": "text/event-stream", "Authorization": served.token(), "Last-Event-ID": first}
        async with served.http.get(served.url("/eventhub/s/%2B"), headers=headers) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            assert await block(answer) == ":ok\n\n"
            replayed = await block(answer)
            assert replayed.endswith("\ndata: two\ndata: lines\n\n")
            third = (await client.ask("publish", topic="s/b", message="three"))["result"]["id"]
            assert await block(answer) == f"id: {third}\ndata: three\n\n"


async def second_gateway(served: Served) -> Gateway:
    from clacks.dialects.eventhub import EVENTHUB

    made = Gateway(
        served.bus,
        REGISTRY,
        Options(paths={"/eventhub": EVENTHUB}, token_key=KEY),
        [WebListener("http", "127.0.0.1", 0)],
        limits=DEFAULT_LIMITS,
        credentials=served.gateway._credentials,
        rights=lambda: served.rights[0],
    )
    return await served.stack.enter_async_context(made)


@scenario
async def test_several_gateways_on_one_broker_are_one_system() -> None:
    async with gateway() as served:
        other = await second_gateway(served)
        here = await served.connect()
        url = f"http://127.0.0.1:{other.server.ports[0][1]}/eventhub"
        socket = await served.http.ws_connect(url, headers={"Authorization": served.token()})
        there = Client(socket)
        await here.ask("subscribe", topic="a")
        await there.ask("subscribe", topic="a")
        await there.ask("publish", topic="a", message="from there")
        await here.ask("publish", topic="a", message="from here")
        assert await texts(here, 2) == await texts(there, 2) == ["from there", "from here"]


@scenario
async def test_what_others_publish_on_the_bus_reaches_eventhub() -> None:
    async with gateway() as served:
        client = await served.connect()
        await client.ask("subscribe", topic="a")
        fields = {"Id": "5-0", "Topic": "a", "Message": "by AMQP", "Timestamp": 5}
        await served.bus.publish(REGISTRY.from_dict("TopicMessage", fields))
        assert (await client.message())["result"] == {"id": "5-0", "topic": "a", "message": "by AMQP"}
        assert json.dumps(fields)


@scenario
async def test_who_comes_and_goes_gets_nothing_of_the_others_and_disturbs_nobody() -> None:
    """The system gives the number of a socket that was closed to the next one at once."""
    async with gateway() as served:
        steady = [await served.connect() for _ in range(20)]
        for client in steady:
            await client.ask("subscribe", topic="many")
        writer = await served.connect()
        over = False

        async def come_and_go(number: int) -> int:
            rounds = 0
            while not over:
                headers = {"Authorization": served.token()}
                socket = await served.http.ws_connect(served.url("/eventhub"), headers=headers)
                client = Client(socket)
                await client.ask("subscribe", topic="many" if rounds % 3 == 0 else f"own/{number}")
                if rounds % 3:
                    await client.ask("publish", topic=f"own/{number}", message=f"{rounds}")
                    assert (await client.message())["result"]["message"] == f"{rounds}"
                    assert not client.heard
                if rounds % 2:
                    socket._response.connection.transport.abort()  # type: ignore[union-attr]
                await socket.close()
                rounds += 1
            return rounds

        others = [asyncio.create_task(come_and_go(number)) for number in range(6)]
        for number in range(100):
            await writer.ask("publish", topic="many", message=f"{number}")
        over = True
        assert min(await asyncio.gather(*others)) > 0
        for client in steady:
            heard = [(await client.message())["result"]["message"] for _ in range(100)]
            assert heard == [f"{number}" for number in range(100)]
        outbox = served.gateway.server.outbox
        await until(lambda: len(served.gateway.server._links) == 21)
        assert not outbox.busy


@scenario
async def test_a_link_hears_from_its_connection_what_must_not_be_written_blindly() -> None:
    async with gateway() as served:
        outbox = served.gateway.server.outbox
        client = await served.connect()
        ((link, protocol),) = served.gateway.server._links.items()
        assert link.descriptor is not None
        sent = 0
        while not link.waiting:  # until the kernel takes no more
            link.send(b'"%s"' % (b"x" * 100_000))
            outbox.flush()
            sent += 1
            assert sent < 1000
        assert link in outbox.busy
        for _ in range(sent):
            await client.hear()
        await until(lambda: link not in outbox.busy)
        assert not link.waiting
        assert protocol.transport is not None
        protocol.transport.abort()
        await asyncio.sleep(0)
        # The socket is closed by now; whoever comes next may have its number.
        assert link in outbox.busy
        assert link.closed
        await until(lambda: not served.gateway.server._links)
        assert not outbox.busy
