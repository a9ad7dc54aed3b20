"""The page ``/metrics`` of a service that has no web side of its own, and the way to read such pages.

On loopback everybody may read, as long as the request names this machine: a web page whose name somebody
points at 127.0.0.1 may not. Elsewhere only over TLS, and with a token.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from clacks.common.address import is_loopback
from clacks.common.errors import ConnectionFailed, ProtocolError, SettingsError
from clacks.common.limits import Limits
from clacks.common.metrics import Metrics
from clacks.dialects.exchange import Request, Response
from clacks.net.web import WebListener, WebServer

__all__ = ["MetricsServer", "fetch_page"]

Page = Callable[[str], tuple[bytes, str]]

_TIMEOUT: Final = 10.0  # as long as Prometheus waits for a page


class MetricsServer:
    """Serves one page of metrics. Use it as context manager, or `start` and `close`.

    Args:
        host, port: Where to listen; port 0 takes a free one.
        page: Makes the page and its content type for an ``Accept`` header; called on the loop.
        limits: Those of the web server.
        token: What ``Authorization: Bearer`` must say; None asks for nothing.
        tls: Context, or None.

    Raises:
        SettingsError: If others could read what is meant for this machine, or a token in the clear.

    Raises in `start`:
        ConnectionFailed: If the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        page: Page,
        limits: Limits,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not is_loopback(host) and (token is None or tls is None):
            raise SettingsError("metrics", f"{host} is not loopback: that needs TLS and metrics_token")
        self._page = page
        self._token = token
        self._tls = tls
        self._host = host
        # What it counts itself, refused connections, belongs to none of the parts that it shows.
        self._server = WebServer(
            [WebListener("metrics", host, port, tls=tls)], _Handler(page, token), limits, Metrics()
        )

    @property
    def url(self) -> str:
        """Where the page is, once it is started."""
        ((_, port),) = self._server.ports
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls is not None else ''}://{host}:{port}/metrics"

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def close(self) -> None:
        """Stop."""
        await self._server.close()

    async def __aenter__(self) -> MetricsServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Handler:
    """Decides who gets the page."""

    def __init__(self, page: Page, token: str | None) -> None:
        self._page = page
        self._token = None if token is None else f"Bearer {token}".encode()

    async def respond(self, kind: str, request: Request, uid: int | None) -> Response:
        """Answer one request."""
        if self._token is None:
            if not _names_loopback(request.headers.get("host", "")):
                return _words(421, "this page is for this machine")
        elif not hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token):
            return Response(401, b"a token is needed\n", "text/plain", {"WWW-Authenticate": "Bearer"})
        if request.path not in ("/metrics", "/metrics/"):
            return _words(404, "only /metrics is here")
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", "text/plain", {"Allow": "GET, HEAD"})
        body, content_type = self._page(request.headers.get("accept", ""))
        return Response(200, body, content_type, {"Cache-Control": "no-store"})


def _names_loopback(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _words(status: int, text: str) -> Response:
    return Response(status, f"{text}\n".encode(), "text/plain")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: a token is for the address that somebody named."""

    def redirect_request(self, *_: object) -> None:
        return None


async def fetch_page(
    url: str, limits: Limits, *, token: str | None = None, tls: ssl.SSLContext | None = None
) -> str:
    """Read a page of metrics.

    Args:
        url: ``http://`` or ``https://``; a token goes over ``http://`` only to this machine.
        limits: ``metrics_page``.
        token: Sent as ``Authorization: Bearer``.
        tls: Whom to trust; the system's authorities if None.

    Raises:
        SettingsError: If the URL cannot be used.
        ConnectionFailed: If nobody answers, or not with a page.
        ProtocolError: If the page is too large or no text.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("metrics URL", f"http://HOST:PORT/metrics expected, not {url!r}")
    if token is not None and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError("metrics URL", f"a token goes to {parts.hostname} over https only")
    headers = {"Accept": "text/plain;version=0.0.4"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    handlers: list[urllib.request.BaseHandler] = [_Stay()]
    if is_loopback(parts.hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    if parts.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=tls or ssl.create_default_context()))

    def read() -> bytes:
        with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT) as answer:
            found: bytes = answer.read(limits.metrics_page + 1)
            return found

    try:
        body = await asyncio.to_thread(read)
    except urllib.error.HTTPError as error:
        error.close()
        raise ConnectionFailed(f"{url}: status {error.code}") from error
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ConnectionRefusedError):
            reason = "nobody listens there (was the service started with --metrics? is the port right?)"
        raise ConnectionFailed(f"{url}: {reason}") from error
    except OSError as error:
        raise ConnectionFailed(f"{url}: {error}") from error
    if len(body) > limits.metrics_page:
        raise ProtocolError(f"{url}: more than {limits.metrics_page} bytes")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{url}: no text") from error
