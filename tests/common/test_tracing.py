from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from clacks.common.tracing import Tracing
from tests.broker.world import World


class Spans:
    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.tracing = Tracing(provider)

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._memory.get_finished_spans())


@pytest.fixture
def spans() -> Spans:
    return Spans()


def test_route_and_callback_belong_to_the_trace_of_the_publisher(spans: Spans) -> None:
    with spans.tracing.publish("A", "d.event.A") as properties:
        pass
    with spans.tracing.route("A", "d.event.A", properties):
        pass
    with spans.tracing.callback("A", "d.event.A", properties):
        pass
    publish, route, callback = spans.ended
    assert {span.context.trace_id for span in spans.ended} == {publish.context.trace_id}
    assert route.parent is not None
    assert callback.parent is not None
    assert route.parent.span_id == callback.parent.span_id == publish.context.span_id
    assert [span.name for span in spans.ended] == ["publish A", "route A", "callback A"]
    assert [span.kind for span in spans.ended] == [SpanKind.PRODUCER, SpanKind.INTERNAL, SpanKind.CONSUMER]
    assert publish.attributes is not None
    assert publish.attributes["messaging.destination.name"] == "d.event.A"


@pytest.mark.parametrize(
    "foreign", [{}, {"traceparent": "rubbish"}, {"traceparent": 7}, {"tracestate": "a=b"}]
)
def test_a_context_that_is_none_begins_a_new_trace(spans: Spans, foreign: dict[str, object]) -> None:
    with spans.tracing.callback("A", "d.event.A", foreign):
        pass
    (span,) = spans.ended
    assert span.parent is None


def test_a_callback_that_raises_marks_its_span(spans: Spans) -> None:
    with pytest.raises(ValueError), spans.tracing.callback("A", "d.event.A", {}):
        raise ValueError("on purpose")
    (span,) = spans.ended
    assert span.status.status_code is StatusCode.ERROR


def test_a_broker_spans_what_it_routes(spans: Spans) -> None:
    world = World(tracing=spans.tracing)
    admin, reader = world.peer(), world.peer("joe")
    reader.receiver("org.clacks.event")
    sender = admin.sender("org.clacks.event.PhoneStatus")
    with spans.tracing.publish("PhoneStatus", "org.clacks.event.PhoneStatus") as properties:
        admin.event(sender, "1", properties=dict(properties))
    route, publish = spans.ended
    assert route.name == "route PhoneStatus"
    assert route.context.trace_id == publish.context.trace_id
    assert reader.messages[0].properties == properties


def test_nobody_who_does_not_trace_imports_opentelemetry() -> None:
    code = "import sys, clacks.bus, clacks.broker.broker; print('opentelemetry' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
