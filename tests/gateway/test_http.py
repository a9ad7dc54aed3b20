"""Plain HTTP against a real ``clacks up``: the parts together, over real sockets."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import resource
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.cli.processes import Service, running

pytestmark = [pytest.mark.slow, pytest.mark.net]
NS = "http://www.gonicus.de/Events"
PHONE = {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    place = tmp_path_factory.mktemp("http")
    free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1000), hard))  # as systems give it
    with contextlib.ExitStack() as stack:
        try:
            service = stack.enter_context(running("up", *free, "--user", "ann:secret", home=place))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        yield service


def ask(
    up: Service, method: str, path: str, body: Any = None, login: str = "ann:secret", **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(up.url("http")).netloc, timeout=30)
    sent = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    media = {"Content-Type": "application/json"} if data is not None else {}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, data, {**sent, **media, **names})
    return connection.getresponse()


def answer(response: http.client.HTTPResponse) -> tuple[int, Any]:
    body = response.read()
    return response.status, json.loads(body) if body else None


def blocks(response: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    """Read a stream block by block."""
    found: dict[str, str] = {}
    for line in response:
        text = line.decode().rstrip("\n")
        if not text and found:
            yield found
            found = {}
        name, colon, value = text.partition(": ")
        if colon and name:
            found[name] = value


def test_a_service_may_have_as_many_connections_as_the_system_allows(up: Service) -> None:
    found, _ = resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE)
    assert found == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_an_event_goes_in_and_comes_out_of_a_stream(up: Service) -> None:
    query = f"declare namespace f='{NS}'; ./f:Event/f:PhoneStatus[f:CallerId = '77']"
    stream = ask(up, "GET", f"/events?xquery={quote(query)}")
    assert stream.status == 200
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    assert stream.readline() == b": subscribed\n"
    for caller in ("76", "77"):
        event = {"type": "PhoneStatus", "data": {**PHONE, "CallerId": caller}}
        assert answer(ask(up, "POST", "/events", event))[0] == 202
    block = next(blocks(stream))
    assert block["event"] == "PhoneStatus"
    assert json.loads(block["data"])["data"]["CallerId"] == "77"


def test_a_stored_event_has_a_log_id_and_is_replayed_from_there(up: Service) -> None:
    ids = []
    for status in ("a", "b"):
        event = {"type": "PhoneStatus", "data": {**PHONE, "CallerId": "stored", "Status": status}}
        status_code, body = answer(ask(up, "POST", "/events?stored=true", event))
        assert status_code == 202, body
        ids.append(body["id"])
    # What others published before may be recorded after these.
    query = f"declare namespace f='{NS}'; ./f:Event/f:PhoneStatus[f:CallerId = 'stored']"
    stream = ask(up, "GET", f"/events?xquery={quote(query)}&format=xml", Last_Event_ID=ids[0])
    block = next(blocks(stream))
    assert block["id"] == ids[1]
    assert "<Status>b</Status>" in block["data"]


def test_a_cloud_event_goes_in_and_comes_out(up: Service) -> None:
    stream = ask(up, "GET", "/events?type=PhoneStatus&format=cloudevents")
    stream.readline()
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/test", "ce-type": "PhoneStatus"}
    connection = http.client.HTTPConnection(urlsplit(up.url("http")).netloc, timeout=30)
    login = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
    connection.request(
        "POST", "/events", json.dumps(PHONE), {**headers, **login, "Content-Type": "application/json"}
    )
    assert connection.getresponse().status == 202
    found = json.loads(next(blocks(stream))["data"])
    assert (found["specversion"], found["type"], found["data"]) == ("1.0", "PhoneStatus", PHONE)


def test_the_list_of_events_is_served_to_programs_and_to_browsers(up: Service) -> None:
    text = ask(up, "GET", "/api/docs/events").read().decode()
    page = ask(up, "GET", "/api/docs/events", Accept="text/html").read().decode()
    assert "## PhoneStatus\n" in text
    assert "This event cannot be subscribed to with the wildcard `*`" in text
    assert page.count("<h2") == text.count("\n## ") > 20
    assert (
        "none that you may read"
        in ask(up, "GET", "/api/docs/events", login="", Accept="text/html").read().decode()
    )


def test_commands_are_called(up: Service) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "getSessionUser"}
    assert answer(ask(up, "POST", "/rpc", call)) == (200, {"jsonrpc": "2.0", "id": 1, "result": "ann"})


def test_the_best_node_is_the_one_that_has_a_gateway(up: Service) -> None:
    deadline = time.monotonic() + 30
    while (found := answer(ask(up, "GET", "/nodes/best")))[0] != 200:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    assert found[1]["gateway"] == up.url("http")


@pytest.mark.parametrize("path", ["/nodes", "/clients", "/log"])
def test_strangers_see_nothing(up: Service, path: str) -> None:
    response = ask(up, "GET", path, login="")
    assert response.status == 401
    assert "WWW-Authenticate" in response.headers


def test_a_wrong_password_is_401(up: Service) -> None:
    assert ask(up, "GET", "/nodes", login="ann:wrong").status == 401


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}],
)
def test_a_page_of_another_site_publishes_nothing(up: Service, headers: dict[str, str]) -> None:
    event = {"type": "PhoneStatus", "data": PHONE}
    assert ask(up, "POST", "/events", event, **headers).status in (400, 403, 421)


def test_a_token_ends_when_the_page_logs_out(up: Service) -> None:
    _, session = answer(ask(up, "POST", "/session", b""))
    bearer = {"login": "", "Authorization": f"Bearer {session['token']}"}
    assert answer(ask(up, "GET", "/session", **bearer))[1]["user"] == "ann"
    assert ask(up, "DELETE", "/session", **bearer).status == 204
    assert ask(up, "GET", "/session", **bearer).status == 401
