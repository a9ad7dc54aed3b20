from __future__ import annotations

import re
import signal
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.processes import clacks, running

pytestmark = [pytest.mark.slow, pytest.mark.net]
FREE = ("--port", "0", "--tls-port", "0")


def test_a_broker_listens_on_the_ports_that_it_prints(tmp_path: Path) -> None:
    with running("broker", *FREE, "--user", "admin:secret", home=tmp_path) as service:
        assert re.fullmatch(r"amqp://localhost:\d+/org.clacks", service.url("amqp"))
        port = urlsplit(service.url("amqp")).port
        with socket.create_connection(("localhost", port), 10) as peer:
            peer.sendall(b"AMQP\x03\x01\x00\x00")
            assert peer.recv(8) == b"AMQP\x03\x01\x00\x00"
        context = ssl.create_default_context(cafile=str(tmp_path / "state" / "clacks" / "tls" / "ca.pem"))
        with (
            socket.create_connection(("localhost", urlsplit(service.url("amqps")).port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as peer,
        ):
            peer.sendall(b"AMQP\x03\x01\x00\x00")
            assert peer.recv(8) == b"AMQP\x03\x01\x00\x00"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running("broker", *FREE, "--user", "admin:secret", home=tmp_path) as service:
        assert service.stop(number) == 0
    assert service.err[-1] == "stopping"
    assert not [line for line in service.err if "Traceback" in line]


def test_the_process_title_has_no_password(tmp_path: Path) -> None:
    with running("broker", *FREE, "--user", "admin:very-secret", home=tmp_path) as service:
        seen = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        assert b"very-secret" not in seen
        assert b"admin:***" in seen
    assert any("warning" in line for line in service.err)
    assert not any("very-secret" in line for line in service.err + service.out)


def test_a_password_on_the_command_line_is_refused_where_others_can_connect(tmp_path: Path) -> None:
    ended = clacks("broker", *FREE, "--host", "0.0.0.0", "--user", "admin:secret", home=tmp_path)
    assert ended.returncode == 3
    assert "CLACKS_PASSWORD" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_users_one_is_made_up(tmp_path: Path) -> None:
    with running("broker", *FREE, home=tmp_path) as service:
        pass
    assert any(re.search(r"as admin with the password [A-Za-z0-9]{16}$", line) for line in service.err)
    assert not (tmp_path / "state" / "clacks" / "credentials.toml").exists()


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = clacks(
            "broker", "--port", port, "--tls-port", "0", "--user", "a", home=tmp_path, CLACKS_PASSWORD="x"
        )
    assert ended.returncode == 6
    assert port in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_broken_rights_file_is_told_before_anything_is_started(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "clacks"
    folder.mkdir(parents=True)
    (folder / "rights.toml").write_text("[users.x]\nroles=['nosuch']")
    ended = clacks("broker", *FREE, "--user", "a", home=tmp_path, CLACKS_PASSWORD="x")
    assert ended.returncode == 3
    assert "rights.toml" in ended.stderr
