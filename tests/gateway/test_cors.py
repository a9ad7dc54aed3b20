"""Pages of other origins: those that the settings name may read answers, all others may not."""

from __future__ import annotations

import asyncio

import pytest

from clacks.dialects.exchange import Response
from clacks.dialects.http import http_routes
from clacks.gateway.cors import preflight, shared_with
from clacks.gateway.guard import Guard
from tests.gateway.served import LIMIT, gateway, phone, scenario

OURS = "https://app.example"
FOREIGN = "https://evil.example"
GUARD = Guard.of((), (OURS,))
ALLOW = "Access-Control-Allow-Origin"


def asked(origin: str, headers: str = "", method: str = "POST") -> Response:
    return preflight(
        GUARD,
        {
            "origin": origin,
            "host": "localhost:8080",
            "access-control-request-method": method,
            "access-control-request-headers": headers,
        },
        {"POST", "GET"},
    )


def test_a_named_origin_is_told_methods_and_headers() -> None:
    answer = asked(OURS, "authorization, content-type,ce-id,x-forwarded-for,cookie")
    assert answer.status == 204
    assert answer.headers[ALLOW] == OURS
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type, ce-id"
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "https://app.example.evil.example", "http://app.example"]
)
def test_another_origin_is_told_nothing(origin: str) -> None:
    answer = asked(origin, "authorization")
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert shared_with(GUARD, {"origin": origin, "host": "localhost:8080"}) == {}


def test_a_request_without_an_origin_gets_no_headers() -> None:
    assert shared_with(Guard.of((), ("*",)), {"host": "localhost:8080"}) == {}


@pytest.mark.net
@scenario
async def test_a_page_of_a_named_origin_reads_answers_refusals_and_streams() -> None:
    async with gateway(options={"guard": GUARD, "routes": http_routes}) as served:
        bearer = {"Authorization": f"Bearer {served.token('ann')}", "Origin": OURS}
        ask = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
        async with served.http.options(served.url("/events"), headers=ask) as answer:
            assert answer.status == 204
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        async with served.http.post(
            served.url("/events"), headers={**bearer, "Content-Type": "application/xml"}, data=phone("1").xml
        ) as answer:
            assert (answer.status, answer.headers[ALLOW]) == (202, OURS)
        async with served.http.get(served.url("/nodes"), headers={"Origin": OURS}) as answer:
            assert (answer.status, answer.headers[ALLOW]) == (401, OURS)
        async with served.http.get(
            served.url("/events?type=PhoneStatus"), headers={**bearer, "Accept": "text/event-stream"}
        ) as answer:
            assert (answer.status, answer.headers[ALLOW]) == (200, OURS)
            assert answer.headers["Vary"] == "Origin"
            await served.bus.publish(phone("77"))
            async with asyncio.timeout(LIMIT):
                while b"77" not in await answer.content.readline():
                    pass
        # Eventhub's own stream of a topic.
        token = served.token("ann")
        async with served.http.get(
            served.url(f"/eventhub/a/b?auth={token}"), headers={"Origin": OURS, "Accept": "text/event-stream"}
        ) as answer:
            assert (answer.status, answer.headers[ALLOW]) == (200, OURS)


@pytest.mark.net
@scenario
async def test_a_page_of_another_origin_reads_nothing_and_changes_nothing() -> None:
    async with gateway(options={"guard": GUARD, "routes": http_routes}) as served:
        bearer = {"Authorization": f"Bearer {served.token('ann')}", "Origin": FOREIGN}
        ask = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}
        async with served.http.options(served.url("/events"), headers=ask) as answer:
            assert (answer.status, ALLOW in answer.headers) == (403, False)
        async with served.http.post(
            served.url("/events"), headers={**bearer, "Content-Type": "application/xml"}, data=phone("1").xml
        ) as answer:
            assert (answer.status, ALLOW in answer.headers) == (403, False)
        async with served.http.get(served.url("/healthz"), headers=bearer) as answer:
            assert (answer.status, ALLOW in answer.headers) == (200, False)
