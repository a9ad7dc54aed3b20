"""Traces: who published an event, how it was routed, what its callback took, as spans of OpenTelemetry;
and of commands the call and what was done for it.

The context of a trace travels with the message, in the application properties ``traceparent`` and
``tracestate`` (W3C Trace Context, the AMQP binding): a query sees them as any other property, and a consumer
in another language joins the trace. Spans follow OpenTelemetry's conventions for messaging.

Nothing here runs unless somebody makes a `Tracing` and hands it down, which needs the extra ``clacks[otel]``.
Without one, an event costs one comparison more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from clacks.common.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind, TracerProvider

__all__ = ["TRACE_PROPERTIES", "Tracing"]

TRACE_PROPERTIES = ("traceparent", "tracestate")
"""The application properties that carry the context of a trace."""


class Tracing:
    """Makes the spans of one process.

    Args:
        provider: Where spans go; the provider that the program set for OpenTelemetry if None.

    Raises:
        SettingsError: If OpenTelemetry is not installed.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> tracing = Tracing(TracerProvider())
        >>> with tracing.publish("PhoneStatus", "org.clacks.event.PhoneStatus") as properties:
        ...     sorted(properties)
        ['traceparent']
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise SettingsError("tracing", "OpenTelemetry is missing: pip install 'clacks[otel]'") from error
        self._kinds = trace.SpanKind
        self._tracer = trace.get_tracer("clacks", tracer_provider=provider)
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def publish(self, kind: str, address: str) -> Iterator[Mapping[str, str]]:
        """Span the sending of an event; yields the properties that the message carries."""
        with self._span(f"publish {kind}", self._kinds.PRODUCER, "send", address, _event(kind), None):
            properties: dict[str, str] = {}
            self._propagator.inject(properties)
            yield properties

    @contextlib.contextmanager
    def route(self, kind: str, address: str, properties: Mapping[str, Any]) -> Iterator[None]:
        """Span what a broker does with an event, as part of the trace that its properties name."""
        with self._span(f"route {kind}", self._kinds.INTERNAL, "process", address, _event(kind), properties):
            yield

    @contextlib.contextmanager
    def callback(self, kind: str, address: str, properties: Mapping[str, Any]) -> Iterator[None]:
        """Span the callback that an event is given to; an exception that leaves it marks the span."""
        with self._span(
            f"callback {kind}", self._kinds.CONSUMER, "process", address, _event(kind), properties
        ):
            yield

    @contextlib.contextmanager
    def call(self, method: str, address: str) -> Iterator[Mapping[str, str]]:
        """Span a call of a command until its answer; yields the properties that the message carries."""
        with self._span(f"call {method}", self._kinds.CLIENT, "send", address, _command(method), None):
            properties: dict[str, str] = {}
            self._propagator.inject(properties)
            yield properties

    @contextlib.contextmanager
    def serve(self, method: str, address: str, properties: Mapping[str, Any]) -> Iterator[None]:
        """Span what an agent or client does for a call; a refusal that leaves it marks the span."""
        with self._span(
            f"serve {method}", self._kinds.SERVER, "process", address, _command(method), properties
        ):
            yield

    @contextlib.contextmanager
    def _span(
        self,
        name: str,
        span_kind: SpanKind,
        operation: str,
        address: str,
        about: Mapping[str, str],
        properties: Mapping[str, Any] | None,
    ) -> Iterator[None]:
        context = None
        if properties is not None:
            # What a stranger wrote there is text or nothing; the propagator passes over what it cannot read.
            carrier: MutableMapping[str, str] = {
                key: value for key in TRACE_PROPERTIES if isinstance(value := properties.get(key), str)
            }
            context = self._propagator.extract(carrier) if carrier else None
        attributes = {
            "messaging.system": "clacks",
            "messaging.operation.type": operation,
            "messaging.destination.name": address,
            **about,
        }
        with self._tracer.start_as_current_span(name, context, span_kind, attributes):
            yield


def _event(kind: str) -> dict[str, str]:
    return {"cloudevents.event_type": kind}


def _command(method: str) -> dict[str, str]:
    return {"rpc.system": "jsonrpc", "rpc.method": method}
