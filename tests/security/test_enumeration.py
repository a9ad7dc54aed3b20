"""Whether a stranger can tell who exists: by answers, by salts, by the work that a wrong password costs."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import replace

import pytest

from clacks.amqp.sasl import Channel, SaslClient, SaslServer
from clacks.common.credentials import Credentials, make_api_key, make_credentials
from clacks.common.errors import LoginRefused
from tests.costs import cpu_seconds

USERS = replace(make_credentials("jane", "right password"), salts=b"a secret")


def exchange(user: str, credentials: Credentials, mechanism: str = "SCRAM-SHA-256") -> list[bytes]:
    """Return what the broker says to a wrong password, frame by frame, without the nonces."""
    client = SaslClient(user, "wrong password", tls=False, loopback=True, allowed=(mechanism,))
    server = SaslServer((mechanism,), channel=Channel(loopback=True), keys=credentials.keys)
    said: list[bytes] = []
    while client.failure is None:
        data = client.bytes_to_send()
        with contextlib.suppress(LoginRefused):
            server.receive(data)
            if server.pending is not None:
                asked = server.pending
                server.resolve(credentials.verify_password(asked.user, asked.password))
                server.receive(b"")
        said.append(server.bytes_to_send())
        with contextlib.suppress(LoginRefused):
            client.receive(said[-1])
    assert isinstance(client.failure, LoginRefused)
    return said


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_the_answers_to_a_known_and_an_unknown_user_have_the_same_shape(mechanism: str) -> None:
    known, unknown = (exchange(user, USERS, mechanism) for user in ("jane", "ghost"))
    assert [len(frame) for frame in known] == [len(frame) for frame in unknown]
    assert known[-1] == unknown[-1], "the outcome is the same"


def test_the_salt_of_an_unknown_user_looks_like_one_and_survives_a_restart() -> None:
    before, after = (exchange("ghost", replace(USERS, users=dict(USERS.users))) for _ in range(2))
    salts = [frame.partition(b",s=")[2].partition(b",i=") for frame in (before[1], after[1])]
    assert salts[0][0] == salts[1][0]
    real = exchange("jane", USERS)[1].partition(b",s=")[2].partition(b",i=")
    assert len(base64.b64decode(salts[0][0])) == len(base64.b64decode(real[0]))
    assert salts[0][2][:5] == real[2][:5], "the same number of iterations"


@pytest.mark.slow
def test_a_wrong_password_costs_as_much_for_a_user_that_does_not_exist() -> None:
    key_text, key = make_api_key(USERS, "jane")
    users = USERS.with_api_key(key)
    wrong = key_text[:-5] + "aaaaa"

    def cost(action: object) -> float:
        return cpu_seconds(action, tries=5)  # type: ignore[arg-type]

    known = cost(lambda: users.verify_password("jane", "wrong"))
    unknown = cost(lambda: users.verify_password("ghost", "wrong"))
    assert 0.2 < known / unknown < 5
    known, unknown = (
        cost(lambda: users.verify_api_key(wrong)),
        cost(lambda: users.verify_api_key("9-" + wrong[2:])),
    )
    assert 0.2 < known / unknown < 5
    nonsense = cost(lambda: users.verify_api_key("nonsense"))
    assert 0.2 < known / nonsense < 5
