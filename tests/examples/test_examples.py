"""Every example runs as it stands in its folder, in processes of their own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from tests.examples.processes import EXAMPLES, Program, environment, running_bus

ROOT = EXAMPLES.parent

NODE_MODULES = ROOT / ".tools" / "node_modules"


class House:
    """A running bus and the environment for its users."""

    def __init__(self, home: Path, bus: Program) -> None:
        self.env = environment(home, NODE_PATH=str(NODE_MODULES))
        urls = [line for line in bus.out if line.startswith("amqp://")]
        self.url = urls[0].replace("//", "//admin:secret@")
        self.tls_url = next(line for line in bus.out if line.startswith("amqps://")).replace(
            "//", "//admin:secret@"
        )
        match = re.search(r":(\d+)/", urls[0])
        assert match is not None
        self.port = match[1]
        self.env |= {"CLACKS_HOST": "localhost", "CLACKS_PORT": self.port}

    def python(self, example: str, *arguments: str) -> Program:
        return Program(sys.executable, EXAMPLES / example, *arguments, env=self.env)

    def node(self, example: str, *arguments: str | Path) -> Program:
        return Program("node", EXAMPLES / "javascript" / example, *arguments, env=self.env)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    options = ("--port", "0", "--tls-port", "0", "--events", str(EXAMPLES / "own_event"))
    with running_bus(home, *options) as bus:
        yield House(home, bus)


def finished(program: Program) -> list[str]:
    """Wait for a program that ends by itself; return its lines."""
    with program:
        assert program.wait() == 0, str(program)
        assert program.err == [], str(program)
        return program.out


# -- the reference document

# What its two code blocks say, to the letter.
WORD_FOR_WORD = {
    "receiver.py": "f225ffd70c1d6e86c73d2cdfb8f4b06abf49b5cf58d828d767e067b61510cb2b",
    "sender.py": "c64e46a9726ebd67dc9b8171f21573300904e9e10bb99aa84c4208670b4c4f41",
}


@pytest.mark.parametrize("name", WORD_FOR_WORD)
def test_the_programs_of_the_reference_document_are_unchanged(name: str) -> None:
    assert hashlib.sha256((EXAMPLES / name).read_bytes()).hexdigest() == WORD_FOR_WORD[name]


def own_network() -> list[str] | None:
    """Return what runs a command in a network namespace of its own, or None if that cannot be had here."""
    for options in (["--net"], ["--net", "--map-root-user"]):
        command = ["unshare", *options, "--"]
        try:
            tried = subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True)
        except OSError:
            return None
        if tried.returncode == 0:
            return command
    return None


@pytest.mark.net
@pytest.mark.slow
def test_the_programs_of_the_reference_document_work_on_the_default_ports(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.examples.reference_document", str(tmp_path)]
    namespace = own_network() if shutil.which("ip") else None
    if namespace is not None:
        inside = [*namespace, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *program]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=120, cwd=ROOT)
    else:
        # Whoever else runs this test on this machine waits for the ports.
        with (Path(tempfile.gettempdir()) / "clacks-default-ports.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(
                program, capture_output=True, text=True, timeout=120, cwd=ROOT, env=os.environ
            )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()[0]
    # "print" of bytes, as the program does it.
    assert printed.startswith('b\'<Event xmlns="http://www.gonicus.de/Events">')
    for text in ("<CallerId>012345</CallerId>", "<ReceiverId>12343424</ReceiverId>", "<Status>busy</Status>"):
        assert text in printed


# -- the others


@pytest.mark.net
@pytest.mark.slow
def test_asynchronous_receiver_and_sender(house: House) -> None:
    with house.python("async_receiver.py", house.url) as receiver:
        receiver.wait_for("listening")
        assert finished(house.python("async_sender.py", house.url)) == []
        receiver.wait_for("012345 talks to 12343424")
        assert receiver.interrupt() == 0
        assert receiver.out == ["listening", "012345 talks to 12343424"]
        assert receiver.err == []


@pytest.mark.net
@pytest.mark.slow
def test_an_event_type_of_ones_own(house: House) -> None:
    with house.python("own_event/listen.py", house.url) as listener:
        listener.wait_for("listening")
        (refused,) = finished(house.python("own_event/ring.py", house.url))
        assert refused.startswith("DoorBell: /Event/DoorBell/Rings: ")
        listener.wait_for("2 rings at the front door, 20")
        assert listener.interrupt() == 0
        assert len(listener.out) == 2
        assert listener.err == []


@pytest.mark.net
@pytest.mark.slow
def test_a_service_with_commands(house: House) -> None:
    with house.python("service/lamp_service.py", house.url) as service:
        service.wait_for("serving")
        assert finished(house.python("service/lamp_client.py", house.url)) == [
            "it was at 0",
            "it was at 30",
            "admin, the lamp is at 75 per cent",
            "1: the lamp cannot be 101 per cent bright",
            "-32602: the argument 'percent' must be integer, not 'bright'",
            "dim(percent: integer) -> integer",
        ]
        assert service.interrupt() == 0
        assert service.err == []


@pytest.mark.net
@pytest.mark.slow
def test_the_certificate_of_the_bus_is_verified_by_the_authority_in_the_state_folder(
    house: House, tmp_path: Path
) -> None:
    with house.python("async_receiver.py", house.tls_url) as receiver:
        receiver.wait_for("listening")
        assert receiver.interrupt() == 0
    stranger = environment(tmp_path)
    with Program(sys.executable, EXAMPLES / "own_event" / "ring.py", house.tls_url, env=stranger) as refused:
        assert refused.wait() == 1
        assert refused.err[-1].startswith("clacks.common.errors.ConnectionFailed: ")
        assert "certificate" in refused.err[-1]
        assert not any("secret" in line for line in refused.err)


def only_event(line: str) -> tuple[str, list[str | None]]:
    """Return kind and texts of an event that a foreign client printed."""
    kind, _, xml = line.partition(" ")
    return kind, [element.text for element in etree.fromstring(xml)[0]]


@pytest.mark.net
@pytest.mark.slow
def test_a_plain_amqp_client_filters_with_xquery(house: House) -> None:
    with house.python("container_receiver.py", f"localhost:{house.port}", "1") as receiver:
        receiver.wait_for("listening")
        finished(house.python("async_sender.py", house.url))
        assert receiver.wait() == 0
        assert only_event(receiver.out[1]) == ("PhoneStatus", ["012345", "12343424", "busy"])


@pytest.mark.net
@pytest.mark.slow
@pytest.mark.tool
def test_a_javascript_client_with_and_without_xquery(house: House) -> None:
    query = EXAMPLES / "javascript" / "busy.xq"
    with (
        house.node("receiver.js") as everything,
        house.node("receiver.js", "--query", query, "--count", "1") as filtered,
    ):
        everything.wait_for("listening")
        filtered.wait_for("listening")
        assert finished(house.node("sender.js", "1", "2", "free")) == ["sent"]
        assert finished(house.node("sender.js", "1", "2 & 3", "busy")) == ["sent"]
        assert filtered.wait() == 0
        everything.wait_for("busy")
        everything.interrupt()
        # Everything is what the agent of this bus tells too.
        assert [only_event(line) for line in everything.out if line.startswith("PhoneStatus ")] == [
            ("PhoneStatus", ["1", "2", "free"]),
            ("PhoneStatus", ["1", "2 & 3", "busy"]),
        ]
        assert [only_event(line) for line in filtered.out[1:]] == [("PhoneStatus", ["1", "2 & 3", "busy"])]


@pytest.mark.net
@pytest.mark.slow
@pytest.mark.tool
def test_a_javascript_client_hears_why_its_query_is_refused(house: House, tmp_path: Path) -> None:
    query = tmp_path / "broken.xq"
    query.write_text("for $x in\n return")
    with house.node("receiver.js", "--query", query) as receiver:
        assert receiver.wait() == 1
        assert receiver.out == []
        (line,) = receiver.err
        assert "amqp:invalid-field" in line
        assert "XPST0003" in line
        assert "line 2" in line
