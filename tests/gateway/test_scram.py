"""API keys by SCRAM-SHA-512 on /api/current over real TLS, bound to the channel, with a client written here.

The client follows RFC 5802 (the exchange), RFC 5929 section 4 (``tls-server-end-point``) and the messages of
``auth.login_ex``; nothing of the server's own arithmetic is used.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from clacks.common.credentials import make_api_key, make_credentials
from clacks.gateway.tables import PATHS
from clacks.net.certificates import ensure_local_certificates
from clacks.net.tls import server_context
from clacks.net.web import WebListener
from tests.gateway.served import Client, gateway, scenario

pytestmark = pytest.mark.net


class Scram:
    """The client's side of RFC 5802 with SHA-512. ``binding`` is what it binds to; None: it does not."""

    def __init__(self, user: str, secret: str, binding: bytes | None) -> None:
        self.secret = secret
        self.binding = binding
        self.header = "n,," if binding is None else "p=tls-server-end-point,,"
        self.nonce = secrets.token_urlsafe(18)
        self.bare = f"n={user},r={self.nonce}"
        self.signature = b""

    def first(self) -> str:
        return self.header + self.bare

    def final(self, server_first: str) -> str:
        said = dict(part.split("=", 1) for part in server_first.split(","))
        assert said["r"].startswith(self.nonce)
        assert len(said["r"]) > len(self.nonce)
        iterations = int(said["i"])
        assert 50_000 <= iterations <= 5_000_000
        salted = hashlib.pbkdf2_hmac("sha512", self.secret.encode(), base64.b64decode(said["s"]), iterations)
        key = hmac.digest(salted, b"Client Key", "sha512")
        bound = base64.b64encode(self.header.encode() + (self.binding or b"")).decode()
        without = f"c={bound},r={said['r']}"
        message = ",".join((self.bare, server_first, without)).encode()
        signature = hmac.digest(hashlib.sha512(key).digest(), message, "sha512")
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha512")
        self.signature = hmac.digest(server_key, message, "sha512")
        return f"{without},p={base64.b64encode(proof).decode()}"

    def trusts(self, server_final: str) -> bool:
        return server_final == f"v={base64.b64encode(self.signature).decode()}"


def end_point(certificate: bytes) -> bytes:
    """Return the binding to a certificate (RFC 5929, 4.1), as a client works it out of what TLS showed it."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    assert algorithm is not None
    assert algorithm.name == "sha256"
    return hashlib.sha256(certificate).digest()


class Door:
    """A gateway with a key, and connections to it over TLS."""

    def __init__(self, port: int, http: aiohttp.ClientSession, trust: ssl.SSLContext, key: str) -> None:
        self.port, self.http, self.trust, self.key = port, http, trust, key
        self.number, self.secret = key.split("-", 1)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[Client, bytes]]:
        """Yield a connection, and the binding to the certificate that it was shown."""
        url = f"https://localhost:{self.port}/api/current"
        async with self.http.ws_connect(url, ssl=self.trust) as socket:
            tls = socket.get_extra_info("ssl_object")
            yield Client(socket), end_point(tls.getpeercert(binary_form=True))

    async def log_in(self, client: Client, scram: Scram) -> dict[str, Any]:
        """Take both steps; return the last answer."""
        asked = {"mechanism": "SCRAM", "scram_type": "CLIENT_FIRST_MESSAGE", "rfc_str": scram.first()}
        answer: dict[str, Any] = (await client.ask("auth.login_ex", [asked]))["result"]
        if answer["response_type"] != "SCRAM_RESPONSE":
            return answer
        assert answer["scram_type"] == "SERVER_FIRST_RESPONSE"
        asked = {
            "mechanism": "SCRAM",
            "scram_type": "CLIENT_FINAL_MESSAGE",
            "rfc_str": scram.final(answer["rfc_str"]),
        }
        answer = (await client.ask("auth.login_ex", [asked]))["result"]
        return answer


@contextlib.asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    known = make_credentials("ann", "secret")
    text, key = make_api_key(known, "ann", "test")
    made = ensure_local_certificates(folder)
    listener = WebListener("https", "127.0.0.1", 0, tls=server_context(made.server))
    async with gateway(
        listeners=[listener], options={"paths": PATHS}, known=known.with_api_key(key)
    ) as served:
        port = served.gateway.server.ports[1][1]
        yield Door(port, served.http, ssl.create_default_context(cafile=str(made.authority)), text)


@scenario
async def test_a_key_logs_in_by_scram_bound_to_the_certificate_and_the_server_proves_itself(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as here, here.connected() as (client, binding):
        assert "SCRAM" in (await client.ask("auth.mechanism_choices", []))["result"]
        scram = Scram(f"ann:{here.number}", here.secret, binding)
        answer = await here.log_in(client, scram)
        assert answer["scram_type"] == "SERVER_FINAL_RESPONSE"
        assert scram.trusts(answer["rfc_str"])
        assert (await client.ask("auth.me", []))["result"]["pw_name"] == "ann"


@scenario
async def test_a_key_logs_in_without_a_binding_if_the_client_says_so(tmp_path: Path) -> None:
    async with door(tmp_path) as here, here.connected() as (client, _):
        scram = Scram(f"ann:{here.number}", here.secret, None)
        assert scram.trusts((await here.log_in(client, scram))["rfc_str"])


@scenario
async def test_what_was_bound_to_another_certificate_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        for wrong in (b"\0" * 32, b""):
            async with here.connected() as (client, _):
                answer = await here.log_in(client, Scram(f"ann:{here.number}", here.secret, wrong))
                assert answer["response_type"] == "AUTH_ERR"
                assert "error" in await client.ask("auth.me", [])


@scenario
async def test_a_wrong_secret_or_somebody_elses_key_is_refused_with_a_right_binding(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        for user, secret in (
            (f"ann:{here.number}", "x" * len(here.secret)),
            (f"bob:{here.number}", here.secret),
            ("ann:999", here.secret),
        ):
            async with here.connected() as (client, binding):
                answer = await here.log_in(client, Scram(user, secret, binding))
                assert answer["response_type"] == "AUTH_ERR"
