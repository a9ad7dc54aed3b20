"""``--metrics`` of a service: its page of numbers, for Prometheus and for ``clacks top``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from clacks.cli import output
from clacks.cli.files import audit_to
from clacks.common.address import is_loopback
from clacks.common.errors import SettingsError
from clacks.common.measured import Measured
from clacks.common.settings import Settings
from clacks.gateway.listeners import Listen, parse_listen

if TYPE_CHECKING:
    from clacks.bus import Bus
    from clacks.net.metrics_server import MetricsServer

__all__ = ["as_service", "measured_bus", "running_metrics"]


def as_service(
    settings: Settings, metrics: str | None, log_format: str | None, *, goes_on: bool = True
) -> Settings:
    """Return the settings with what ``--metrics`` and ``--log-format`` say, and log as a service does.

    Args:
        goes_on: Whether it is one: what does its work and ends shows warnings alone.

    Raises:
        SettingsError: If there is no such format, or the page cannot be where ``metrics`` says.
    """
    if log_format not in (None, "text", "json"):
        raise SettingsError("--log-format", f"text or json expected, not {log_format!r}")
    settings = settings.changed(metrics=metrics, log_format=log_format)
    if settings.metrics:
        _place(settings)  # said now, not when half of the service is there
    output.log_as_service(json=settings.log_format == "json", goes_on=goes_on)
    if settings.audit_log is not None and goes_on:
        audit_to(settings.audit_log)
    return settings


def _place(settings: Settings) -> Listen:
    """Return where the page is to be."""
    try:
        found = parse_listen(f"http={settings.metrics}")
    except SettingsError as error:
        raise SettingsError("metrics", error.reason) from error
    if found.path is not None:
        raise SettingsError("metrics", "HOST:PORT or PORT expected")
    if not is_loopback(found.host) and settings.metrics_token is None:
        raise SettingsError("metrics", f"{found.host} is not loopback: that needs metrics_token, a file")
    return found


def measured_bus(part: str, bus: Bus) -> Measured:
    """Return what a service that is only a client of a bus measures."""
    measured = Measured()
    measured.add(part, bus.metrics, lambda: [("connected", {}, int(bus.connection is not None))])
    return measured


@contextlib.asynccontextmanager
async def running_metrics(settings: Settings, measured: Measured) -> AsyncIterator[MetricsServer | None]:
    """Serve the page where the setting ``metrics`` says; nowhere if it says nothing.

    Raises:
        SettingsError: If the place or the token cannot be used, or others could read the page.
        ConnectionFailed: If the port cannot be had.
    """
    if not settings.metrics:
        yield None
        return
    from clacks.cli.connection import read_password_file
    from clacks.cli.web import Certificates
    from clacks.common.exposition import exposed
    from clacks.net.metrics_server import MetricsServer

    place = _place(settings)
    token = None if settings.metrics_token is None else read_password_file(settings.metrics_token)
    certificates = None if is_loopback(place.host) else Certificates(settings)
    server = MetricsServer(
        place.host,
        place.port,
        lambda accept: exposed(measured.read(), accept),
        settings.limits,
        token=token,
        tls=None if certificates is None else certificates.context,
    )
    watching = None if certificates is None else asyncio.create_task(certificates.watch())
    try:
        async with server:
            output.line(f"metrics={server.url}")
            yield server
    finally:
        if watching is not None:
            watching.cancel()
