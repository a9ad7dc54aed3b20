"""Spans of a process on their way to a collector, as the variables of OpenTelemetry say.

``OTEL_TRACES_EXPORTER`` names where they go (``otlp``, ``console``, ``none``, or several with commas), and
``OTEL_EXPORTER_OTLP_ENDPOINT`` where a collector takes OTLP over HTTP; one of the two must be set, or nothing
is imported and nothing spanned. The other variables are read by OpenTelemetry itself: ``OTEL_SERVICE_NAME``,
``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_BSP_...``.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from clacks.common.errors import SettingsError
from clacks.common.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["running_tracing"]

_log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_LAST: Final = 2000  # milliseconds for the last spans; a collector that is away must not keep a service alive


def _exporters(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters that the variables ask for."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    named = environ.get("OTEL_TRACES_EXPORTER", "")
    if not named and any(environ.get(name) for name in _ENDPOINTS):
        named = "otlp"
    return [name for one in named.split(",") if (name := one.strip()) and name != "none"]


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        # Standard output is for results; one line a span, so that programs can read it.
        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
    if name != "otlp":
        raise SettingsError("OTEL_TRACES_EXPORTER", f"otlp, console or none expected, not {name!r}")
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        raise SettingsError("OTEL_EXPORTER_OTLP_PROTOCOL", f"http/protobuf is spoken here, not {protocol!r}")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


@contextlib.contextmanager
def running_tracing(service: str, environ: Mapping[str, str]) -> Iterator[Tracing | None]:
    """Yield what makes the spans of this process, or None if nobody asked for any; at the end the last spans
    go out.

    Args:
        service: The name of the service if ``OTEL_SERVICE_NAME`` says nothing.

    Raises:
        SettingsError: If a variable has a value that is not known here.
    """
    names = _exporters(environ)
    if not names:
        yield None
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporters = [_exporter(name, environ) for name in names]
    except ImportError as error:
        # These variables are often set for a whole machine: no reason not to start.
        _log.warning("no traces: %s is missing: pip install 'clacks[otel]'", error.name)
        yield None
        return
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": service}))
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracing(provider)
    finally:
        provider.force_flush(_LAST)
        provider.shutdown()
