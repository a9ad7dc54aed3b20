"""What is answered before anything is known of who asks."""

from __future__ import annotations

import asyncio

from clacks.common.measured import Measured
from clacks.common.metrics import Metrics
from clacks.common.schema import SchemaRegistry
from clacks.dialects.exchange import Request, Response
from clacks.dialects.session import Hello, Knowledge
from clacks.gateway.options import Options
from clacks.gateway.reception import Reception


def answer(path: str, host: str = "localhost", *, connected: bool = True) -> Response:
    """Ask a gateway that still begins."""
    knowledge = Knowledge(SchemaRegistry(), "here", lambda: 0, lambda: False, False, {})
    reception = Reception(Options(), knowledge, Metrics(), Measured(), lambda: connected)
    headers = {"host": host}
    hello = Hello(path, headers=headers, address="127.0.0.1", secure=True)
    found = asyncio.run(reception.respond("http", Request("GET", path, {}, headers, b"", hello), None))
    assert isinstance(found, Response)
    return found


def test_a_gateway_that_begins_says_so() -> None:
    assert answer("/nodes").status == 503


def test_the_probe_is_answered_to_everybody_and_tells_whether_there_is_a_broker() -> None:
    assert answer("/healthz").status == 200
    assert answer("/healthz", connected=False).status == 503


def test_a_foreign_name_is_refused_first_and_the_answer_names_the_setting() -> None:
    found = answer("/healthz", "evil.example.com")
    assert found.status == 421
    assert b"hosts of [web]" in found.body
    assert found.headers["X-Content-Type-Options"] == "nosniff"
