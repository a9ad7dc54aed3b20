"""Numbers, log and ``clacks top`` of services that run as processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clacks.common.exposition import parsed
from clacks.common.measured import Reading
from tests.cli.conftest import Ended
from tests.cli.processes import CLACKS, Service, clacks, environment, running
from tests.cli.test_up import until

pytestmark = [pytest.mark.slow, pytest.mark.net]
PHONE = ("PhoneStatus", "CallerId=1", "ReceiverId=2", "Status=busy")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("observed")


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Service]:
    free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0", "--metrics", "0")
    with running(
        "--debug", "up", *free, "--log-format", "json", "--node", "n1", "--user", "admin:secret", home=place
    ) as service:
        yield service


def login(up: Service) -> dict[str, str]:
    return {"CLACKS_URL": up.url("amqp", "admin"), "CLACKS_PASSWORD": "secret"}


def page(up: Service, name: str = "metrics=") -> str:
    """Return the URL of the page that ``--metrics`` serves, or that of the gateway."""
    if name == "metrics=":
        (line,) = [line for line in up.out if line.startswith(name)]
        return line.removeprefix(name)
    return f"{up.url('http')}metrics"


def read(url: str) -> Reading:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return parsed(answer.read().decode())


def value(reading: Reading, name: str, **labels: str) -> float:
    return reading.numbers.get((name, tuple(sorted(labels.items()))), 0.0)


@pytest.mark.parametrize("name", ["metrics=", "http"])
def test_one_page_shows_broker_agent_and_gateway_of_a_process(up: Service, place: Path, name: str) -> None:
    url = page(up, name)
    before = read(url)
    assert clacks("send", *PHONE, home=place, **login(up)).returncode == 0
    # The gateway subscribes to everything: the event comes out at its end as well.
    until(
        lambda: (
            value(read(url), "events_delivered", part="gateway", type="PhoneStatus")
            > value(before, "events_delivered", part="gateway", type="PhoneStatus")
        )
    )
    after = read(url)
    label = {"part": "broker", "type": "PhoneStatus"}
    assert value(after, "events_received", **label) == value(before, "events_received", **label) + 1
    routed = after.histograms["route_seconds", (("part", "broker"),)]
    assert routed.count > before.histograms["route_seconds", (("part", "broker"),)].count
    assert value(after, "connected", part="agent") == 1
    assert value(after, "nodes", part="agent") == 1
    assert value(after, "connections", part="broker") >= 2
    assert value(after, "subscriptions", part="broker") >= 2
    assert value(after, "process_resident_memory_bytes") > 1e7
    depths = [dict(labels)["queue"] for name, labels in after.numbers if name == "queue_messages"]
    assert {"answers", "org.clacks.command.core", "org.clacks.command.core.n1"} <= set(depths)
    waiting = [dict(labels)["user"] for name, labels in after.numbers if name == "subscription_waiting"]
    assert {"clacks:agent", "clacks:gateway"} <= set(waiting)


def test_agents_tell_their_numbers_by_a_command(up: Service, place: Path) -> None:
    told = json.loads(clacks("call", "getMetrics", home=place, **login(up)).stdout)
    reading = Reading.from_json(told["n1"]["result"])
    assert value(reading, "connected", part="agent") == 1
    assert value(reading, "connections", part="broker") >= 2
    assert value(reading, "commands_running", part="agent") == 1  # this one


def test_every_line_of_the_log_is_an_object_with_fields(up: Service, place: Path) -> None:
    assert clacks("send", *PHONE, home=place, **login(up)).returncode == 0

    def found(message: str, **fields: str) -> list[dict[str, object]]:
        logged = [json.loads(line) for line in up.err if line.startswith("{")]
        wanted = {"message": message, **fields}
        return [line for line in logged if wanted.items() <= line.items()]

    # In from who sent it, out to those who subscribed to everything.
    until(lambda: bool(found("< message", user="admin", subject="'PhoneStatus'")))
    until(lambda: bool(found("> message", user="clacks:gateway", subject="'PhoneStatus'")))
    (serving,) = found("agent serving", node="n1", queue="core")
    assert serving["level"] == "INFO"
    assert serving["logger"] == "clacks.agent.service"
    assert "secret" not in "".join(up.err).replace("--password-file", "")


def rows(text: str) -> dict[str, list[list[str]]]:
    """Return the lines that ``clacks top`` writes into a pipe, by the name of their table."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        name, *cells = line.split("\t")
        found.setdefault(name, []).append(cells)
    return found


@pytest.mark.parametrize("way", ["agents", "pages"])
def test_top_shows_what_goes_through_the_bus(up: Service, place: Path, way: str) -> None:
    assert clacks("send", *PHONE, home=place, **login(up)).returncode == 0
    pages = (page(up),) if way == "pages" else ()
    ended = clacks("top", "--once", "--interval", "0.2", *pages, home=place, **login(up))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = rows(ended.stdout)
    parts = {row[1]: row for row in found["process"]}
    assert set(parts) == {"broker", "agent", "gateway"}
    assert parts["broker"][2].endswith(" in")
    assert parts["agent"][2] == parts["gateway"][2] == "up"
    (phones,) = [row for row in found["type"] if row[0] == "PhoneStatus"]
    assert int(phones[-1]) >= 1


def test_top_says_in_a_line_that_nobody_is_there(place: Path) -> None:
    ended = clacks("top", "--once", "http://127.0.0.1:1/metrics", home=place)
    assert (ended.returncode, ended.stdout) == (6, "")
    assert ended.stderr.count("\n") == 1
    assert "127.0.0.1:1" in ended.stderr


def test_top_draws_its_tables_again_on_a_terminal(up: Service, place: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*CLACKS, "top", "--interval", "0.2", page(up)],
        env=environment(place, TERM="xterm", COLUMNS="200", LINES="50"),
        cwd=place,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = b""
    try:
        while shown.count(b"gateway") < 3:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while select.select([ours], [], [], 30)[0] and process.poll() is None:
            with contextlib.suppress(OSError):
                shown += os.read(ours, 65536)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
    assert b"\x1b[?1049l" in shown  # the screen that was there before is back


def test_each_service_shows_its_own_part(tmp_path: Path) -> None:
    (tmp_path / "state" / "clacks").mkdir(parents=True)
    (tmp_path / "state" / "clacks" / "rights.toml").write_text('[users.admin]\nroles = ["admin"]\n')
    (tmp_path / "token").write_text("geheim\n")
    (tmp_path / "token").chmod(0o600)
    far = {"CLACKS_METRICS_TOKEN": str(tmp_path / "token")}
    free = ("--port", "0", "--tls-port", "0", "--metrics", "0.0.0.0:0", "--user", "admin:secret")
    with running("broker", *free, home=tmp_path, **far) as broker:
        assert page(broker).startswith("https://0.0.0.0:")
        at = page(broker).replace("0.0.0.0", "localhost")
        log = {"CLACKS_URL": broker.url("amqp", "admin"), "CLACKS_PASSWORD": "secret", "CLACKS_METRICS": "0"}
        with (
            running("agent", "--node", "n2", home=tmp_path, **log) as agent,
            running("client", home=tmp_path, **log) as client,
            running("source", "host", "--no-status", home=tmp_path, **log) as source,
        ):
            for service, part in ((agent, "agent"), (client, "client"), (source, "source")):
                reading = read(page(service))
                assert {dict(labels).get("part", part) for _, labels in reading.numbers} == {part}
                assert value(reading, "connected", part=part) == 1
            assert value(read(page(client)), "events_published", part="client", type="ClientAnnounce") >= 1
            until(lambda: value(read(page(agent)), "clients", part="agent") == 1)
            command = ("top", "--once", "--interval", "0.1", at)
            refused = clacks(*command, home=tmp_path)
            assert (refused.returncode, "401" in refused.stderr) == (6, True)
            ended = clacks(*command, "--token-file", "token", page(agent), home=tmp_path)
            assert (ended.returncode, ended.stderr) == (0, "")
            found = {row[1]: row for row in rows(ended.stdout)["process"]}
            assert set(found) == {"broker", "agent"}
            assert int(found["broker"][2].removesuffix(" in")) >= 3
            # What agents tell is their own process alone.
            told = clacks("top", "--once", "--interval", "0.1", home=tmp_path, **log)
            assert [row[:3] for row in rows(told.stdout)["process"]] == [["n2", "agent", "up"]]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (("--metrics", "0.0.0.0:0"), "not loopback"),
        (("--metrics", "nowhere:x"), "metrics"),
        (("--metrics", "unix:/x"), "metrics"),
        (("--log-format", "xml"), "log-format"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_begins(
    run: Callable[..., Ended], what: tuple[str, str], words: str
) -> None:
    ended = run("broker", "--port", "0", "--tls-port", "0", *what, "--user", "a:b")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.count("\n") == 1
    assert words in ended.err
