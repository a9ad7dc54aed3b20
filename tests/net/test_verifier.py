from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from clacks.amqp.sasl import Channel, SaslClient, SaslServer
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.errors import BusError, LoginRefused, ProtocolError
from clacks.common.throttle import LoginThrottle
from clacks.net.verifier import Logins, PasswordVerifier, Verdict

LOOPBACK = Channel(loopback=True)
FAR = "192.0.2.1"
KNOWN = make_credentials("alice", "secret").joined(make_credentials("bob", "hidden"))


@dataclass
class Gate:
    """Credentials whose check waits for a word, and counts."""

    open: threading.Event
    asked: list[str]

    users = KNOWN.users

    def verify_password(self, user: str, password: str) -> bool:
        self.asked.append(user)
        assert self.open.wait(10)
        return KNOWN.verify_password(user, password)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def login(
    logins: Logins, user: str, password: str, mechanism: str, address: str = FAR
) -> BusError | None:
    """Log in through both ends as a driver would; return the server's refusal."""
    client = SaslClient(user, password, tls=True, allowed=[mechanism])
    server = logins.server(address, Channel(tls=True))
    try:
        for _ in range(4):
            server.receive(client.bytes_to_send())
            if server.pending is not None:
                await logins.decide(address, server)
                server.receive(b"")
            if server.done:
                logins.accepted(address, server)
                return None
            client.receive(server.bytes_to_send())
    except (LoginRefused, ProtocolError) as error:
        logins.refused(address, server, error)
        return error
    raise AssertionError("the login never ended")


def test_right_and_wrong_passwords_are_told_apart():
    async def check() -> list[Verdict]:
        with PasswordVerifier(lambda: KNOWN) as verifier:
            return [
                await verifier.verify("alice", "secret"),
                await verifier.verify("alice", "wrong"),
                await verifier.verify("nobody", "secret"),
            ]

    assert run(check()) == [Verdict.RIGHT, Verdict.WRONG, Verdict.WRONG]


def test_loop_runs_on_while_passwords_are_checked():
    async def check() -> int:
        gate = Gate(threading.Event(), [])
        with PasswordVerifier(lambda: gate) as verifier:
            verdict = asyncio.create_task(verifier.verify("alice", "secret"))
            turns = 0
            while not gate.asked or turns < 10:
                await asyncio.sleep(0)
                turns += 1
            assert not verdict.done()
            gate.open.set()
            assert await verdict is Verdict.RIGHT
            return turns

    assert run(check()) >= 10


def test_thousand_reconnects_cost_one_derivation():
    async def check() -> tuple[set[Verdict], list[str]]:
        gate = Gate(threading.Event(), [])
        with PasswordVerifier(lambda: gate) as verifier:
            tasks = [asyncio.create_task(verifier.verify("alice", "secret")) for _ in range(1000)]
            await asyncio.sleep(0)
            gate.open.set()
            verdicts = set(await asyncio.gather(*tasks))
            for _ in range(100):
                verdicts.add(await verifier.verify("alice", "secret"))
            return verdicts, gate.asked

    verdicts, asked = run(check())
    assert verdicts == {Verdict.RIGHT}
    assert asked == ["alice"]


def test_remembered_password_is_forgotten_after_minutes_and_when_the_user_is_removed():
    now = 0.0
    current = KNOWN

    async def check() -> None:
        nonlocal now, current
        with PasswordVerifier(lambda: current, clock=lambda: now) as verifier:
            assert await verifier.verify("alice", "secret") is Verdict.RIGHT
            assert len(verifier._remembered) == 1
            current = KNOWN.without_user("alice")
            assert await verifier.verify("alice", "secret") is Verdict.WRONG
            current, now = KNOWN, 301.0
            assert not verifier._remembered.known(KNOWN, "alice", "secret", now)
            assert await verifier.verify("alice", "secret") is Verdict.RIGHT

    run(check())


def test_full_queue_refuses_for_now_and_recovers():
    async def check() -> None:
        gate = Gate(threading.Event(), [])
        with PasswordVerifier(lambda: gate, threads=2, waiting=3) as verifier:
            tasks = [asyncio.create_task(verifier.verify(f"user{number}", "x")) for number in range(9)]
            await asyncio.sleep(0)
            assert verifier.waiting == 5
            gate.open.set()
            verdicts = await asyncio.gather(*tasks)
            assert verdicts == [Verdict.WRONG] * 5 + [Verdict.BUSY] * 4
            assert verifier.waiting == 0
            assert await verifier.verify("alice", "secret") is Verdict.RIGHT

    run(check())


def test_connection_that_goes_away_does_not_take_the_verdict_of_others_along():
    async def check() -> None:
        gate = Gate(threading.Event(), [])
        with PasswordVerifier(lambda: gate) as verifier:
            first, second = (asyncio.create_task(verifier.verify("alice", "secret")) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
            gate.open.set()
            assert await second is Verdict.RIGHT
            assert first.cancelled()

    run(check())


def test_closing_answers_who_waits_and_ends_the_threads():
    async def check() -> None:
        gate = Gate(threading.Event(), [])
        verifier = PasswordVerifier(lambda: gate, threads=1)
        verifier.start()
        tasks = [asyncio.create_task(verifier.verify(f"user{number}", "x")) for number in range(3)]
        await asyncio.sleep(0)
        gate.open.set()
        verifier.close()
        assert Verdict.RIGHT not in await asyncio.gather(*tasks)
        assert await verifier.verify("alice", "secret") is Verdict.BUSY

    run(check())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clacks-login")]


def test_check_that_breaks_is_no_yes_and_no_no(caplog):
    class Broken(Credentials):
        def verify_password(self, user: str, password: str) -> bool:
            raise RuntimeError("no more entropy")

    async def check() -> Verdict:
        with PasswordVerifier(lambda: Broken(KNOWN.users)) as verifier:
            return await verifier.verify("alice", "secret")

    assert run(check()) is Verdict.BUSY
    assert "password not checked user=alice" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_logins_let_in_and_count(mechanism, caplog):
    async def check(logins: Logins) -> None:
        assert await login(logins, "alice", "secret", mechanism) is None
        refusal = await login(logins, "alice", "wrong", mechanism)
        assert isinstance(refusal, LoginRefused)

    with Logins(lambda: KNOWN) as logins:
        run(check(logins))
    assert logins.metrics.value("logins", result="accepted") == 1
    assert logins.metrics.value("logins", result="wrong") == 1
    assert "wrong user or password: 'alice'" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_guesser_has_to_wait_even_with_the_right_password_and_others_do_not(mechanism):
    now = 0.0

    async def check(logins: Logins) -> None:
        nonlocal now
        for number in range(3):
            await login(logins, "alice", f"guess{number}", mechanism)
        refusal = await login(logins, "alice", "secret", mechanism)
        assert isinstance(refusal, LoginRefused)
        assert refusal.temporary
        assert await login(logins, "bob", "hidden", mechanism) is None
        assert await login(logins, "alice", "secret", mechanism, "198.51.100.1") is None
        now += 5.0
        assert await login(logins, "alice", "secret", mechanism) is None

    throttle = LoginThrottle(user_failures=3, user_interval=5.0)
    with Logins(lambda: KNOWN, throttle=throttle, clock=lambda: now) as logins:
        run(check(logins))
    assert logins.metrics.value("logins", result="wrong") == 3
    assert logins.metrics.value("logins", result="later") == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_guesses_sent_all_at_once_on_many_connections_are_held_back_too(mechanism):
    async def check(logins: Logins) -> int:
        ends: list[tuple[SaslClient, SaslServer]] = []
        for number in range(30):
            password = "secret" if number == 29 else f"guess{number}"
            client = SaslClient("alice", password, tls=True, allowed=[mechanism])
            server = logins.server(FAR, Channel(tls=True))
            for _ in range(2):
                server.receive(client.bytes_to_send())
                if server.pending is None:
                    client.receive(server.bytes_to_send())
            ends.append((client, server))
        for client, server in ends:
            try:
                await logins.decide(FAR, server)
                server.receive(client.bytes_to_send())
            except LoginRefused as error:
                logins.refused(FAR, server, error)
        return sum(server.done for _, server in ends)

    with Logins(lambda: KNOWN) as logins:
        assert run(check(logins)) == 0
    assert logins.metrics.value("logins", result="later") >= 1


def test_stranger_on_the_port_is_counted_and_explained(caplog):
    with Logins(lambda: KNOWN) as logins:
        server = logins.server(FAR, LOOPBACK)
        with pytest.raises(ProtocolError) as caught:
            server.receive(b"GET / HTTP/1.1\r\n\r\n")
        logins.refused(FAR, server, caught.value)
    assert logins.metrics.value("logins", result="protocol") == 1
    assert (
        "address=192.0.2.1 result=protocol reason=the peer does not speak AMQP: it sent an HTTP"
        in caplog.text
    )
