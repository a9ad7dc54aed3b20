"""Spans of several processes, as a collector of OpenTelemetry gets them."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clacks.net.tracing import running_tracing
from tests.cli.processes import CLACKS, clacks, environment, running
from tests.cli.test_up import until

pytestmark = [pytest.mark.slow, pytest.mark.net]


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    failed: bool


@dataclass
class Collector:
    """Takes OTLP over HTTP."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def take(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {one.key: one.value.string_value for one in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [
                    Span(
                        told["service.name"],
                        span.name,
                        span.trace_id,
                        span.span_id,
                        span.parent_span_id,
                        span.status.code == 2,
                    )
                    for span in scope.spans
                ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def test_one_trace_goes_through_publisher_broker_and_listener(tmp_path: Path, collector: Collector) -> None:
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0", "--user", "admin:secret")
    with running("up", *free, home=tmp_path, **otel) as up:
        login = {"CLACKS_URL": up.url("amqp", "admin"), "CLACKS_PASSWORD": "secret", **otel}
        listener = subprocess.Popen(
            [*CLACKS, "listen", "-t", "PhoneStatus", "-n", "1"],
            env=environment(tmp_path, **login),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert listener.stderr is not None
            assert "listening" in listener.stderr.readline()
            sent = clacks(
                "send", "PhoneStatus", "CallerId=1", "ReceiverId=2", "Status=busy", home=tmp_path, **login
            )
            assert sent.returncode == 0, sent.stderr
            listener.communicate(timeout=30)
            assert listener.returncode == 0
        finally:
            listener.kill()
            listener.communicate()
        refused = clacks("call", "runNothing", home=tmp_path, **login)
        assert refused.returncode == 8
        document = '<Event xmlns="http://www.gonicus.de/Events"><NodeLeave><Id>n9</Id></NodeLeave></Event>'
        assert clacks("call", "sendEvent", document, home=tmp_path, **login).returncode == 0
        until(lambda: bool(collector.named("route NodeLeave")) and bool(collector.named("serve runNothing")))
    (publish,) = collector.named("publish PhoneStatus")
    (route,) = collector.named("route PhoneStatus")
    (callback,) = collector.named("callback PhoneStatus")
    assert publish.trace == route.trace == callback.trace
    assert route.parent == callback.parent == publish.id
    assert [publish.service, route.service, callback.service] == ["clacks-send", "clacks-up", "clacks-listen"]
    # A command, and what it publishes.
    (call,) = collector.named("call sendEvent")
    (serve,) = collector.named("serve sendEvent")
    (published,) = collector.named("publish NodeLeave")
    assert (serve.parent, published.parent) == (call.id, serve.id)
    assert {call.trace} == {span.trace for span in (serve, published, *collector.named("route NodeLeave"))}
    assert collector.named("serve runNothing")[0].failed


def test_spans_go_to_standard_error_where_that_is_asked_for(tmp_path: Path) -> None:
    free = ("--port", "0", "--tls-port", "0", "--user", "admin:secret")
    with running("broker", *free, home=tmp_path) as broker:
        login = {"CLACKS_URL": broker.url("amqp", "admin"), "CLACKS_PASSWORD": "secret"}
        console = {"OTEL_TRACES_EXPORTER": "console", **login}
        sent = clacks("send", "NodeLeave", "Id=1", home=tmp_path, **console)
        came = clacks("client", "--once", home=tmp_path, **console)
    assert (sent.returncode, sent.stdout, came.returncode) == (0, "", 0)
    assert span_names(sent.stderr) == ["publish NodeLeave"]
    assert {"publish ClientAnnounce", "publish ClientLeave"} <= set(span_names(came.stderr))


def span_names(text: str) -> list[str]:
    return [json.loads(line)["name"] for line in text.splitlines() if line.startswith("{")]


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path) -> None:
    free = ("--port", "0", "--tls-port", "0", "--user", "admin:secret")
    with running("broker", *free, home=tmp_path) as broker:
        login = {"CLACKS_URL": broker.url("amqp", "admin"), "CLACKS_PASSWORD": "secret"}
        away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
        ended = clacks("send", "NodeLeave", "Id=1", home=tmp_path, **login, **away)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}],
)
def test_who_did_not_ask_gets_no_spans(environ: dict[str, str]) -> None:
    with running_tracing("x", environ) as tracing:
        assert tracing is None
