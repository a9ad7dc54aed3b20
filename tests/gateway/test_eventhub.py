"""Eventhub over a real WebSocket: what its clients see."""

from __future__ import annotations

import pytest

from tests.gateway.served import gateway, scenario

pytestmark = [pytest.mark.net, pytest.mark.slow]


@scenario
async def test_a_message_reaches_its_subscribers_with_the_id_of_their_request() -> None:
    async with gateway() as served:
        reader, writer = await served.connect(), await served.connect()
        answer = await reader.ask("subscribe", topic="my/topic")
        assert answer == {
            "id": 1,
            "jsonrpc": "2.0",
            "result": {"action": "subscribe", "status": "ok", "topic": "my/topic"},
        }
        published = await writer.ask("publish", topic="my/topic", message="Grüße \u2028 \x00 <&>")
        message = await reader.message()
        assert published["result"]["status"] == "ok"
        assert message == {
            "id": 1,
            "jsonrpc": "2.0",
            "result": {
                "id": published["result"]["id"],
                "topic": "my/topic",
                "message": "Grüße \u2028 \x00 <&>",
                "origin": "ann",
            },
        }
