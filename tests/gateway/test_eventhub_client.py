"""The real client of Eventhub, unmodified, from npm."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.gateway.served import gateway, scenario

pytestmark = [pytest.mark.net, pytest.mark.slow, pytest.mark.tool]

ROOT = Path(__file__).parent.parent.parent


@scenario
async def test_the_javascript_client_works_unmodified() -> None:
    async with gateway(recording=True) as served:
        token = served.token("ann", ["#"], ["#"])
        process = await asyncio.create_subprocess_exec(
            "node",
            str(Path(__file__).parent / "eventhub_client.cjs"),
            str(ROOT / ".tools"),
            served.url("/eventhub", "ws"),
            token,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        saw = json.loads(out)
    assert saw == {
        "subscribed": {"action": "subscribe", "status": "ok", "topic": "my/topic"},
        "list": ["my/#", "my/topic"],
        "live": ["one", "two", '{"three":3}'],
        "sameIds": True,
        "log": ["one", "two", '{"three":3}'],
        "after": ["two", '{"three":3}'],
        "replay": ['{"three":3}', "four", "five"],
        "set": {"action": "set", "key": "my/key", "success": True},
        "get": "value",
        "del": True,
        "missing": "KVStore: key not found",
        "refused": saw["refused"],
        "afterUnsubscribe": 3,
        "wide": ["one", "two", '{"three":3}', "four", "five"],
    }
