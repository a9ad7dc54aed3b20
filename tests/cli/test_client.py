from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clacks.common.components import AMQPEventConsumer
from tests.cli.processes import CLACKS, Service, environment, running
from tests.common.components.world import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.net]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Service]:
    with running("up", "--port", "0", "--tls-port", "0", "--user", "admin:secret", home=place) as service:
        yield service


def login(up: Service) -> dict[str, str]:
    return {"CLACKS_URL": up.url("amqp", "admin"), "CLACKS_PASSWORD": "secret"}


class Ear:
    """Everything that is said on the bus, by type and id."""

    def __init__(self, up: Service) -> None:
        self.heard: list[tuple[str, str]] = []
        url = up.url("amqp", "admin:secret")
        self.consumer = AMQPEventConsumer(url, xquery=".", callback=self._take)

    def _take(self, event: object) -> None:
        inner = next(event.iterchildren())  # type: ignore[attr-defined]
        self.heard.append((inner.tag.rpartition("}")[2], inner.findtext("{*}Id") or ""))

    def kinds(self, id_: str) -> list[str]:
        return [kind for kind, who in self.heard if who == id_ and kind.startswith("Client")]


def test_once_announces_and_leaves_and_keeps_its_id(up: Service, place: Path) -> None:
    ear = Ear(up)
    ids = set()
    for _ in range(2):
        done = subprocess.run(
            [*CLACKS, "client", "--once"],
            env=environment(place, **login(up)),
            cwd=place,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        ids.add(done.stdout.strip())
    (id_,) = ids
    wait_for(lambda: ear.kinds(id_) == ["ClientAnnounce", "ClientLeave"] * 2)
    ear.consumer.close()


def test_a_client_runs_until_it_is_told_to_stop(up: Service, place: Path) -> None:
    ear = Ear(up)
    with running("client", "--id", "desk-7", "--name", "Desk", home=place, **login(up)) as client:
        wait_for(lambda: ear.kinds("desk-7") == ["ClientAnnounce"])
        assert client.stop() == 0
    wait_for(lambda: ear.kinds("desk-7")[-1] == "ClientLeave")
    assert json.dumps(client.err).count("Traceback") == 0
    ear.consumer.close()


def test_an_id_that_cannot_be_used_is_said_in_one_line(up: Service, place: Path) -> None:
    done = subprocess.run(
        [*CLACKS, "client", "--once", "--id", "a b"],
        env=environment(place, **login(up)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "client id: 'a b'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_whose_broker_is_not_there_says_that_it_waits(place: Path) -> None:
    with subprocess.Popen(
        [*CLACKS, "client", "--id", "desk-9"],
        env=environment(place, CLACKS_URL="amqp://admin@localhost:1/org.clacks", CLACKS_PASSWORD="secret"),
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stderr is not None
        line = next(line for line in client.stderr if "waiting" in line)
        client.terminate()
        assert "nobody listens there" in line
        client.communicate(timeout=30)
