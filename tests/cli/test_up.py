from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.processes import CLACKS, Service, clacks, environment, running
from tests.cli.test_events import GOOD

pytestmark = [pytest.mark.slow, pytest.mark.net]
FREE = ("--port", "0", "--tls-port", "0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Service]:
    (place / "events").mkdir()
    with running("up", *FREE, "--user", "admin:secret", "--events", "events", home=place) as service:
        yield service


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; half a minute is more than it ever takes."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def login(up: Service, scheme: str = "amqps") -> dict[str, str]:
    return {"CLACKS_URL": up.url(scheme, "admin"), "CLACKS_PASSWORD": "secret"}


class Listener:
    """``clacks listen`` in the background, connected when the block begins."""

    def __init__(self, up: Service, place: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*CLACKS, "listen", *arguments],
            env=environment(place, **login(up)),
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Listener:
        assert self.process.stderr is not None
        assert "listening" in self.process.stderr.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, out


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_an_event_comes_through(up: Service, place: Path, scheme: str) -> None:
    with Listener(up, place, "--type", "PhoneStatus", "--count", "1") as listener:
        sent = clacks(
            "send",
            "PhoneStatus",
            "CallerId=1",
            "ReceiverId=2",
            "Status=busy",
            home=place,
            **login(up, scheme),
        )
        assert (sent.returncode, sent.stdout) == (0, "")
        assert sent.stderr.startswith(f"sent PhoneStatus to {scheme}://admin@localhost:")
        code, out = listener.end()
    assert code == 0
    assert "    <CallerId>1</CallerId>\n" in out


def test_only_what_was_asked_for_comes(up: Service, place: Path) -> None:
    query = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus[f:Status='busy']"
    with (
        Listener(up, place, "--xquery", query, "-n", "1", "--format", "json") as by_query,
        Listener(up, place, "--type", "NodeLeave", "-n", "1", "--format", "json") as by_type,
    ):
        for arguments in (
            ("PhoneStatus", "CallerId=1", "ReceiverId=2", "Status=idle"),
            ("NodeLeave", "Id=n7"),
            ("-",),
        ):
            assert clacks("send", *arguments, home=place, stdin=GOOD, **login(up)).returncode == 0
        assert json.loads(by_query.end()[1])["PhoneStatus"]["Status"] == "busy"
        assert json.loads(by_type.end()[1]) == {"NodeLeave": {"Id": "n7"}}


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--count", "5"), 130)])
def test_ctrl_c_ends_a_listener(up: Service, place: Path, arguments: tuple[str, ...], code: int) -> None:
    with Listener(up, place, *arguments) as listener:
        listener.process.send_signal(signal.SIGINT)
        _, err = listener.process.communicate(timeout=30)
        assert listener.process.returncode == code
        assert err == "0 events\n"


def test_commands_are_called_and_their_errors_told(up: Service, place: Path) -> None:
    assert clacks("call", "getSessionUser", home=place, **login(up)).stdout == '"admin"\n'
    methods = json.loads(clacks("call", "getMethods", home=place, **login(up)).stdout)
    assert {"getMethods", "getNodes", "getSessionUser", "sendEvent", "getSchemas"} <= set(methods)
    unknown = clacks("call", "noSuchMethod", home=place, **login(up))
    assert (unknown.returncode, unknown.stdout) == (8, "")
    assert "noSuchMethod" in unknown.stderr
    with Listener(up, place, "-t", "PhoneStatus", "-n", "1", "-f", "json") as listener:
        assert clacks("call", "sendEvent", GOOD, home=place, **login(up)).returncode == 0
        assert "PhoneStatus" in listener.end()[1]


def test_an_invalid_event_is_refused_by_the_agent_with_its_place(up: Service, place: Path) -> None:
    bad = GOOD.replace("<Status>busy</Status>", "")
    ended = clacks("call", "sendEvent", bad, home=place, **login(up))
    assert ended.returncode == 8
    assert "/Event/PhoneStatus" in ended.stderr


def test_the_doctor_finds_nothing_to_mend(up: Service, place: Path) -> None:
    ended = clacks("doctor", "--events", "events", home=place, **login(up))
    assert ended.returncode == 0, ended.stdout
    for words in ("connected to", "broker profile clacks", "nobody comes in", "sees admin", "knows all"):
        assert words in ended.stdout


@pytest.mark.parametrize(
    "command", [("send", "NodeLeave", "Id=1"), ("call", "getNodes"), ("listen", "-n", "1")]
)
def test_a_wrong_password_is_told_in_one_line(up: Service, place: Path, command: tuple[str, ...]) -> None:
    ended = clacks(*command, home=place, **{**login(up), "CLACKS_PASSWORD": "wrong"})
    assert ended.returncode == 7
    assert ended.stderr.count("\n") == 1
    assert "wrong" in ended.stderr


def test_nobody_there_is_told_in_one_line(place: Path) -> None:
    ended = clacks("send", "NodeLeave", "Id=1", "--url", "amqp://localhost:1", home=place)
    assert ended.returncode == 6
    assert "localhost:1" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_authority_that_is_not_ours_is_not_trusted(up: Service, tmp_path: Path) -> None:
    ended = clacks("call", "getNodes", home=tmp_path, **login(up))  # another home, so another local authority
    assert ended.returncode == 6
    assert "certificate" in ended.stderr


def test_a_new_event_type_is_known_without_a_restart_and_can_be_pulled(
    up: Service, place: Path, tmp_path: Path
) -> None:
    made = clacks("events", "new", "DoorOpened", "--folder", "events", home=place)
    assert made.returncode == 0
    until(lambda: "DoorOpened" in clacks("call", "getSchemas", home=place, **login(up)).stdout)
    other = tmp_path / "pulled"
    pulled = clacks("events", "pull", "--folder", str(other), home=place, **login(up))
    assert pulled.stdout == f"{other}/DoorOpened.xsd\n", pulled.stderr
    assert (other / "DoorOpened.xsd").read_bytes() == (place / "events" / "DoorOpened.xsd").read_bytes()
    with Listener(up, place, "-t", "DoorOpened", "-n", "1", "-f", "json", "--events", "events") as listener:
        sent = clacks(
            "send",
            "DoorOpened",
            "Id=front",
            "Timestamp=2024-05-01T08:30:00Z",
            "--events",
            str(other),
            home=place,
            **login(up),
        )
        assert sent.returncode == 0, sent.stderr
        assert json.loads(listener.end()[1])["DoorOpened"]["Id"] == "front"


def test_a_user_that_is_added_may_come_in_and_do_what_its_role_says(up: Service, place: Path) -> None:
    assert (
        clacks("users", "add", "jane", "--role", "reader", home=place, CLACKS_PASSWORD="pw").returncode == 0
    )
    jane = {"CLACKS_URL": up.url("amqps", "jane"), "CLACKS_PASSWORD": "pw"}
    until(lambda: clacks("call", "getSessionUser", home=place, **jane).stdout == '"jane"\n')
    refused = clacks("send", "NodeLeave", "Id=1", home=place, **jane)
    assert refused.returncode == 7, refused.stderr
    forbidden = clacks("call", "sendEvent", GOOD, home=place, **jane)
    assert forbidden.returncode in (7, 8)
    assert clacks("users", "remove", "jane", home=place).returncode == 0
    until(lambda: clacks("call", "getSessionUser", home=place, **jane).returncode == 7)


def test_an_agent_of_its_own_shares_the_commands(up: Service, place: Path) -> None:
    # The rights of admin are those of a guest of "clacks up"; another process knows the file alone.
    assert clacks("users", "add", "boss", "--role", "admin", home=place, CLACKS_PASSWORD="pw").returncode == 0
    boss = {"CLACKS_URL": up.url("amqps", "boss"), "CLACKS_PASSWORD": "pw"}
    until(lambda: clacks("call", "getSessionUser", home=place, **boss).stdout == '"boss"\n')
    with running("agent", "--node", "second", home=place, **boss) as agent:
        done = clacks("call", "getSessionUser", "--node", "second", home=place, **boss)
        assert (done.stdout, done.stderr) == ('"boss"\n', "")
        assert agent.stop() == 0
    assert not any("Traceback" in line for line in agent.err)


def test_up_stops_cleanly(tmp_path: Path) -> None:
    with running("up", *FREE, "--user", "admin:secret", home=tmp_path) as service:
        assert service.stop(signal.SIGTERM) == 0
    assert "stopping" in service.err
    assert not any("Traceback" in line or "ERROR" in line for line in service.err)
