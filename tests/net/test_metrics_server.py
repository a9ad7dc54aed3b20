from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clacks.common.errors import ConnectionFailed, ProtocolError, SettingsError
from clacks.common.limits import Limits
from clacks.net.certificates import ensure_local_certificates
from clacks.net.metrics_server import MetricsServer, fetch_page
from clacks.net.tls import server_context

pytestmark = [pytest.mark.net, pytest.mark.slow]
LIMITS = Limits()


def page(accept: str) -> tuple[bytes, str]:
    return f"# asked {accept}\nclacks_a_total 1\n".encode(), "text/plain"


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1", token: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[MetricsServer]:
    async with MetricsServer(host, 0, page, LIMITS, token=token, tls=tls) as server:
        yield server


async def status(url: str, request: str) -> int:
    host, port = url.removeprefix("http://").removesuffix("/metrics").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.replace("\n", "\r\n").encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


def test_the_page_is_read() -> None:
    async def scenario() -> None:
        async with serving() as server:
            assert "clacks_a_total 1\n" in await fetch_page(server.url, LIMITS)

    asyncio.run(scenario())


def test_only_what_names_this_machine_reads_it() -> None:
    async def scenario() -> None:
        async with serving() as server:
            for host, wanted in (
                ("127.0.0.1:1", 200),
                ("localhost", 200),
                ("[::1]:9", 200),
                ("evil.example", 421),
                ("127.0.0.1.evil.example", 421),
                ("[", 421),
            ):
                assert await status(server.url, f"GET /metrics HTTP/1.1\nHost: {host}\n\n") == wanted, host
            assert await status(server.url, "GET / HTTP/1.1\nHost: localhost\n\n") == 404
            assert await status(server.url, "POST /metrics HTTP/1.1\nHost: localhost\n\n") == 405

    asyncio.run(scenario())


def test_a_token_is_asked_for_where_there_is_one() -> None:
    async def scenario() -> None:
        async with serving(token="geheim") as server:
            assert await fetch_page(server.url, LIMITS, token="geheim")
            for token in (None, "geheimer", "ä"):
                with pytest.raises((ConnectionFailed, UnicodeEncodeError)) as failed:
                    await fetch_page(server.url, LIMITS, token=token)
                assert "geheim" not in str(failed.value)

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_it_does_not_listen_for_others_without_token_and_tls(host: str, tmp_path: Path) -> None:
    context = server_context(ensure_local_certificates(tmp_path).server, None)
    for token, tls in ((None, None), ("geheim", None), (None, context)):
        with pytest.raises(SettingsError, match="not loopback"):
            MetricsServer(host, 0, page, LIMITS, token=token, tls=tls)


def test_beyond_loopback_it_speaks_tls_and_wants_the_token(tmp_path: Path) -> None:
    certificates = ensure_local_certificates(tmp_path)

    async def scenario() -> None:
        async with serving("0.0.0.0", "geheim", server_context(certificates.server, None)) as server:
            url = server.url.replace("0.0.0.0", "localhost")
            trusted = ssl.create_default_context(cafile=str(certificates.authority))
            assert url.startswith("https://")
            assert await fetch_page(url, LIMITS, token="geheim", tls=trusted)
            with pytest.raises(ConnectionFailed, match="401"):
                await fetch_page(url, LIMITS, tls=trusted)
            with pytest.raises(ConnectionFailed, match="CERTIFICATE"):
                await fetch_page(url, LIMITS, token="geheim")

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/", "localhost:9464", "http://"])
def test_a_page_is_read_over_http_only(url: str) -> None:
    with pytest.raises(SettingsError):
        asyncio.run(fetch_page(url, LIMITS))


def test_a_token_does_not_go_over_the_network_in_the_clear() -> None:
    with pytest.raises(SettingsError, match="https"):
        asyncio.run(fetch_page("http://example.org/metrics", LIMITS, token="geheim"))


def test_a_page_that_is_too_large_is_refused() -> None:
    async def scenario() -> None:
        async with serving() as server:
            with pytest.raises(ProtocolError, match="more than 10"):
                await fetch_page(server.url, Limits(metrics_page=10))

    asyncio.run(scenario())


def test_nobody_there_is_told() -> None:
    with pytest.raises(ConnectionFailed, match=r"nobody listens there .*--metrics"):
        asyncio.run(fetch_page("http://127.0.0.1:1/metrics", LIMITS))
