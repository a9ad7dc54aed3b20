"""Where the gateway listens: what options say, sockets in the file system, TLS."""

from __future__ import annotations

import os
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from clacks.cli.web import broker_listeners, running_gateway, web_listeners
from clacks.common.credentials import Credentials
from clacks.common.errors import ConnectionFailed, SettingsError
from clacks.common.settings import Settings
from clacks.gateway.listeners import DEFAULT_LISTENER, Listen, parse_listen
from clacks.gateway.logins import OWNER
from clacks.gateway.service import Gateway
from clacks.net.certificates import ensure_local_certificates
from clacks.net.tls import CertificateWatch, server_context
from clacks.net.web import WebListener
from clacks.net.web_tls import RECEIVED_SIZE
from tests.gateway.served import REGISTRY, Client, gateway, scenario


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http=127.0.0.1:8081", Listen("http", "127.0.0.1", 8081)),
        ("http=8081", Listen("http", "localhost", 8081)),
        ("sysadm=example.org", Listen("sysadm", "example.org", 12150)),
        ("eventhub=[::1]:80", Listen("eventhub", "::1", 80)),
        ("eventhub=:80", Listen("eventhub", "localhost", 80)),
        ("truenas=unix:/run/x.sock", Listen("truenas", "", 0, Path("/run/x.sock"))),
        ("amqps=0.0.0.0:5671", Listen("amqps", "0.0.0.0", 5671)),
    ],
)
def test_a_listener_is_read(text: str, found: Listen) -> None:
    assert parse_listen(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http",
        "ftp=80",
        "http=",
        "http=a:99999",
        "http=::1:80",
        "amqp=unix:/x",
        "truenas=unix:",
        "http=a/b",
    ],
)
def test_what_is_no_listener_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_listen(text)


def test_a_listener_for_http_replaces_the_default_and_others_join_it() -> None:
    settings = Settings()
    assert web_listeners(None, settings) == [DEFAULT_LISTENER]
    assert web_listeners(["http=1"], settings) == [Listen("http", "localhost", 1)]
    assert web_listeners(["eventhub=1"], settings) == [DEFAULT_LISTENER, Listen("eventhub", "localhost", 1)]


def test_amqp_listeners_are_the_brokers() -> None:
    settings = broker_listeners(["amqp=0.0.0.0:1", "amqps=0.0.0.0:2", "http=3"], Settings())
    assert (settings.host, settings.port, settings.tls_port) == ("0.0.0.0", 1, 2)


def test_without_logins_the_web_side_stays_on_this_machine() -> None:
    with pytest.raises(SettingsError, match="loopback"):
        web_listeners(["http=0.0.0.0:80"], Settings(), no_auth=True)
    assert web_listeners(["http=[::1]:80"], Settings(), no_auth=True)


@pytest.mark.net
@pytest.mark.slow
@scenario
async def test_on_a_socket_in_the_file_system_the_system_says_who_it_is() -> None:
    import tempfile

    from clacks.dialects.access import Access

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gw.sock"
        async with gateway(listeners=[WebListener("http", path=path)]) as served:
            seen: list[Access] = []
            judged = served.gateway.reception._admitted

            async def admitted(*args: object) -> object:
                found = await judged(*args)  # type: ignore[arg-type]
                seen.append(found)  # type: ignore[arg-type]
                return found

            served.gateway.reception._admitted = admitted  # type: ignore[method-assign,assignment]
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
                http.get("http://localhost/nothing") as answer,
            ):
                assert answer.status == 404
            assert seen[0].user == OWNER
            assert seen[0].may_publish("PhoneStatus")
            assert served.gateway.reception._house.door.of_socket(os.geteuid() + 4711) is None
        assert not path.exists()


@pytest.mark.net
@pytest.mark.slow
@scenario
async def test_tls_gets_a_renewed_certificate_without_a_restart_and_holds_little() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        files = ensure_local_certificates(Path(first))
        certificate = Path(first) / "in-use.pem"
        certificate.write_bytes(files.server.read_bytes())
        context = server_context(certificate)
        watch = CertificateWatch(context, certificate)
        async with gateway(listeners=[WebListener("https", "127.0.0.1", 0, tls=context)]) as served:
            port = served.gateway.server.ports[1][1]

            async def shown() -> bytes:
                trust = ssl.create_default_context()
                trust.check_hostname = False
                trust.verify_mode = ssl.CERT_NONE
                url = f"https://localhost:{port}/eventhub"
                headers = {"Authorization": served.token()}
                socket = await served.http.ws_connect(url, headers=headers, ssl=trust)
                client = Client(socket)
                assert "result" in await client.ask("ping")
                await client.ask("subscribe", topic="a")
                for size in (1, RECEIVED_SIZE, 10 * RECEIVED_SIZE + 1):  # more than is received at once
                    await client.ask("publish", topic="a", message="x" * size)
                    assert len((await client.message())["result"]["message"]) == size
                held = [one.transport for one in served.gateway.server._links.values() if one.transport]
                sizes = {len(one._ssl_protocol._ssl_buffer) for one in held}  # type: ignore[attr-defined]
                assert sizes == {RECEIVED_SIZE}
                tls = socket.get_extra_info("ssl_object")
                await socket.close()
                return bytes(tls.getpeercert(binary_form=True))

            before = await shown()
            certificate.write_bytes(ensure_local_certificates(Path(second)).server.read_bytes())
            assert watch.reload()
            assert await shown() != before


@pytest.mark.net
@pytest.mark.slow
@scenario
async def test_a_port_that_is_taken_is_an_error_with_its_number() -> None:
    async with gateway() as served:
        with pytest.raises(ConnectionFailed, match=f"port {served.port}: .*; another program"):
            async with gateway(listeners=[WebListener("http", "127.0.0.1", served.port)]):
                pass


@pytest.mark.net
@pytest.mark.slow
@scenario
async def test_the_usual_port_that_is_taken_ends_a_gateway_and_is_a_note_of_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gateway() as served:
        taken = Listen("http", "127.0.0.1", served.port)
        monkeypatch.setattr("clacks.cli.web.DEFAULT_LISTENER", taken)
        settings = Settings().changed(state_dir=tmp_path)

        def running(listeners: list[Listen], *, up: bool) -> AbstractAsyncContextManager[Gateway | None]:
            return running_gateway(
                served.bus,
                REGISTRY,
                settings,
                listeners,
                credentials=lambda: Credentials({}),
                rights=lambda: served.rights[0],
                busy_is_fine=up,
            )

        with pytest.raises(ConnectionFailed, match=str(served.port)):
            async with running([taken], up=False):
                pass
        async with running([taken], up=True) as found:
            assert found is None
        assert "no gateway" in capsys.readouterr().err
        # Whoever names a listener wants that one.
        with pytest.raises(ConnectionFailed, match=str(served.port)):
            async with running([taken, Listen("http", "127.0.0.1", 0)], up=True):
                pass
