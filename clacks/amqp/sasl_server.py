"""The server's side of the login: what it offers, whom it believes.

::

    WAITING --sasl-init PLAIN--> NEEDS_VERIFICATION --resolve(True)--> DONE
    WAITING --SCRAM proof right, EXTERNAL or ANONYMOUS allowed-------> DONE
    any     --wrong bytes, wrong credentials, resolve(False)---------> FAILED

The peer is a stranger until DONE, so the layer keeps little, answers the same to a wrong password and an
unknown user, and gives reasons to the log, not to the wire: the wire only has a code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from clacks.amqp.sasl_frames import (
    SASL_HEADER,
    Challenge,
    Code,
    Frame,
    FrameBuffer,
    Init,
    Mechanisms,
    Outcome,
    Response,
    describe_opening,
    encode_frame,
)
from clacks.amqp.scram import PLUS, SERVER_MECHANISM, ScramFailure, ScramServerSide, prepared
from clacks.common.credentials import ScramKeys
from clacks.common.errors import BusError, LoginRefused, ProtocolError

__all__ = [
    "DEFAULT_MECHANISMS",
    "Channel",
    "PeerCertificate",
    "Pending",
    "SaslServer",
    "State",
    "user_of_certificate",
]

DEFAULT_MECHANISMS: Final = (SERVER_MECHANISM, "PLAIN")
"""What a broker offers unless told otherwise; PLAIN drops out where the password would be seen."""

KNOWN_MECHANISMS: Final = frozenset({SERVER_MECHANISM, "PLAIN", "EXTERNAL", "ANONYMOUS"})

ANONYMOUS_USER: Final = "anonymous"
"""The login of a peer that came by ANONYMOUS, for rights."""

_USER_LIMIT: Final = 255
_PASSWORD_LIMIT: Final = 1024
_PIPELINE_LIMIT: Final = 64 * 1024
"""Bytes that a peer may send ahead while its login is undecided: some send header and open at once."""


class State(Enum):
    """Where a login stands."""

    WAITING = "waiting"
    NEEDS_VERIFICATION = "needs verification"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a verified client certificate says of its owner: names as RFC 5280 has them."""

    subject: str
    """The whole subject, such as ``O=Example,CN=alice``."""
    common_name: str = ""
    uris: tuple[str, ...] = ()
    """Subject alternative names of type URI."""
    emails: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()


USER_URI: Final = "urn:clacks:user:"
"""Begin of a URI in a certificate that names a user: the unmistakable way."""


def user_of_certificate(certificate: PeerCertificate) -> str | None:
    """Return the user that a certificate stands for, or None: the usual mapping for EXTERNAL.

    A subject alternative name ``urn:clacks:user:NAME`` decides, if there is exactly one; without any the
    common name counts. A name that could not be a user's (empty, white space, control characters, longer than
    255) is none.
    """
    named = [uri[len(USER_URI) :] for uri in certificate.uris if uri.startswith(USER_URI)]
    if len(named) > 1:
        return None
    name = named[0] if named else certificate.common_name
    usable = 0 < len(name) <= _USER_LIMIT and name.isprintable() and not any(sign.isspace() for sign in name)
    return name if usable else None


@dataclass(frozen=True, slots=True)
class Channel:
    """What is known of the connection below the login."""

    tls: bool = False
    loopback: bool = False
    """Whether the peer is this machine; nobody else can listen in."""
    certificate: PeerCertificate | None = None
    """The peer's certificate, if TLS asked for one and verified it."""
    binding: bytes | None = None
    """What a login can be bound to: ``tls-server-end-point`` of our certificate."""

    @property
    def private(self) -> bool:
        """Whether a password may be sent as it is."""
        return self.tls or self.loopback


@dataclass(frozen=True, slots=True)
class Pending:
    """A user and password that somebody has to check, away from the event loop."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Pending({self.user!r})"


class SaslServer:
    """Logs one peer in: bytes in, bytes out.

    Args:
        mechanisms: What to offer, best first, of SCRAM-SHA-256, PLAIN, EXTERNAL and ANONYMOUS. PLAIN is left
            out on a channel that is not private, EXTERNAL without a certificate or ``user_of``. With
            SCRAM-SHA-256 goes SCRAM-SHA-256-PLUS, before it, where the channel has a binding.
        channel: Facts of the connection.
        keys: Gives the SCRAM keys of a user, made-up ones for a user that does not exist
            (`Credentials.keys`). Without it SCRAM is left out.
        user_of: Gives the user that a certificate stands for, or None.
        admit: Asked before a user's password or proof is looked at, with the user's name: seconds that this
            user (from this address: the caller knows it) has to wait after too many failures, 0 for none.

    After `receive` look at `state`. With NEEDS_VERIFICATION check `pending`, call `resolve`, then
    ``receive(b"")``: it raises if the login failed. Write `bytes_to_send` in every case, also before closing
    after an error.
    """

    def __init__(
        self,
        mechanisms: Iterable[str] = DEFAULT_MECHANISMS,
        *,
        channel: Channel = Channel(),
        keys: Callable[[str], ScramKeys] | None = None,
        user_of: Callable[[PeerCertificate], str | None] | None = None,
        admit: Callable[[str], float] | None = None,
    ) -> None:
        configured = tuple(mechanisms)
        if unknown := set(configured) - KNOWN_MECHANISMS:
            raise ValueError(f"unknown mechanisms {sorted(unknown)}; known are {sorted(KNOWN_MECHANISMS)}")
        external = None
        if channel.certificate is not None and user_of is not None:
            external = user_of(channel.certificate)
        usable = {
            SERVER_MECHANISM: keys is not None,
            "PLAIN": channel.private,
            "EXTERNAL": external is not None,
            "ANONYMOUS": True,
        }
        offered = [name for name in configured if usable[name]]
        if SERVER_MECHANISM in offered and channel.binding is not None:
            offered.insert(offered.index(SERVER_MECHANISM), SERVER_MECHANISM + PLUS)
        self.offered: tuple[str, ...] = tuple(offered)
        self.state = State.WAITING
        self.user: str | None = None
        """The login, once DONE."""
        self.claimed: str | None = None
        """Who the peer says it is, from the moment it says so: for logs and for counting failures."""
        self.mechanism: str | None = None
        self.hostname: str | None = None
        """The host that the client believes to talk to, if it said so."""
        self.pending: Pending | None = None
        """The password to check, in the state NEEDS_VERIFICATION."""
        self.failure: BusError | None = None
        """Why the login failed, for the log."""
        self._configured = configured
        self._channel = channel
        self._keys = keys
        self._external = external
        self._admit = admit
        self._scram: ScramServerSide | None = None
        self._expected: Callable[[bytes], None] | None = None
        self._buffer = FrameBuffer()
        self._greeted = False
        self._output = bytearray()

    @property
    def done(self) -> bool:
        """Whether the peer is logged in and AMQP may begin."""
        return self.state is State.DONE

    @property
    def leftover(self) -> bytes:
        """Take the bytes that came behind the login, once DONE: they belong to AMQP."""
        return self._buffer.rest() if self.done else b""

    def bytes_to_send(self) -> bytes:
        """Return and forget what is to be written."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer.

        Raises:
            LoginRefused: If the peer may not come in; the outcome is in `bytes_to_send`.
            ProtocolError: If the peer does not speak SASL; the header that we speak is in `bytes_to_send`.
                After either every further call raises the same.
        """
        if self.failure is not None:
            raise self.failure
        self._buffer.append(data)
        try:
            while self.state is State.WAITING and self._step():
                pass
            if self.state is State.NEEDS_VERIFICATION and len(self._buffer) > _PIPELINE_LIMIT:
                raise ProtocolError(f"the peer sent {len(self._buffer)} bytes ahead of its login")
        except (LoginRefused, ProtocolError) as error:
            self._fail(error)
        if self.failure is not None:
            raise self.failure

    def resolve(self, ok: bool, *, temporary: bool = False) -> None:
        """Say whether the `pending` password is right; ``temporary`` if it could not be checked just now.

        Call ``receive(b"")`` next: it raises `LoginRefused` if this was a no. Does nothing if the connection
        failed meanwhile.
        """
        if self.state is not State.NEEDS_VERIFICATION or self.pending is None:
            return
        user, self.pending = self.pending.user, None
        if ok:
            self._succeed(user)
        elif temporary:
            self._refuse(_busy(user))
        else:
            self._refuse(LoginRefused(f"wrong user or password: {user!r} by PLAIN"))

    # -- steps

    def _step(self) -> bool:
        """Digest the header or one frame; tell whether there was one."""
        if not self._greeted:
            return self._greet()
        frame = self._buffer.frame()
        if frame is None:
            return False
        self._take(frame)
        return True

    def _greet(self) -> bool:
        try:
            header = self._buffer.header()
            if header is None:
                return False
            if header != SASL_HEADER:
                raise ProtocolError(f"the peer did not log in: {describe_opening(header)}")
        except ProtocolError:
            # Whoever asks for what we do not speak is told what we do speak (2.2), then closed.
            self._output += SASL_HEADER
            raise
        self._greeted = True
        self._output += SASL_HEADER
        if not self.offered:
            raise LoginRefused(
                f"no way to log in is left on this connection: of {', '.join(self._configured) or 'nothing'} "
                "PLAIN needs TLS or loopback, EXTERNAL a client certificate that stands for a user"
            )
        self._output += encode_frame(Mechanisms(self.offered))
        return True

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Init) and self.mechanism is None:
            self._begin(frame)
        elif isinstance(frame, Response) and self._expected is not None:
            expected, self._expected = self._expected, None
            expected(frame.data)
        else:
            raise ProtocolError(f"the peer sent {type(frame).__name__.lower()} out of turn in its login")

    def _begin(self, init: Init) -> None:
        self.mechanism = init.mechanism
        self.hostname = init.hostname
        if init.mechanism not in self.offered:
            self._refuse(
                LoginRefused(
                    f"the peer chose {init.mechanism[:40]!r}; offered were {', '.join(self.offered)}"
                    + ("" if self._channel.private else " (PLAIN needs TLS)")
                ),
            )
            return
        step = {
            SERVER_MECHANISM: self._scram_first,
            SERVER_MECHANISM + PLUS: self._scram_first,
            "PLAIN": self._plain,
            "EXTERNAL": self._certificate,
            "ANONYMOUS": self._anonymous,
        }[init.mechanism]
        if init.response is None and init.mechanism not in ("EXTERNAL", "ANONYMOUS"):
            self._ask(b"", step)  # the client waits to be asked for its first word (RFC 4422, 5.1)
        else:
            step(init.response or b"")

    def _scram_first(self, message: bytes) -> None:
        bound = self.mechanism == SERVER_MECHANISM + PLUS
        self._scram = ScramServerSide(self._keys_of, binding=self._channel.binding, bound=bound)
        try:
            answer = self._scram.first(message)
        except ScramFailure as failure:
            self._refuse(LoginRefused(f"SCRAM failed for {self.claimed!r}: {failure}"))
        except LoginRefused as refusal:
            self._refuse(refusal)
        else:
            self._ask(answer, self._scram_final)

    def _keys_of(self, user: str) -> ScramKeys:
        if len(user) > _USER_LIMIT:
            raise ScramFailure(f"a user name of {len(user)} characters; at most {_USER_LIMIT} are allowed")
        self.claimed = user
        self._throttle(user)
        assert self._keys is not None
        return self._keys(user)

    def _scram_final(self, message: bytes) -> None:
        assert self._scram is not None
        try:
            # Once more: a thousand connections may have got this far before the first of them failed.
            self._throttle(self.claimed or "")
            signature = self._scram.final(message)
        except ScramFailure as failure:
            reason = f"wrong user or password: {self.claimed!r} by {self.mechanism} ({failure})"
            self._refuse(LoginRefused(reason))
        except LoginRefused as refusal:
            self._refuse(refusal)
        else:
            self._succeed(self.claimed or "", signature)

    def _plain(self, message: bytes) -> None:
        parts = message.split(b"\0")
        try:
            acting_as, user, password = (part.decode("utf-8") for part in parts)
            acting_as, user = prepared(acting_as), prepared(user)
        except (ValueError, ScramFailure):
            self._refuse(LoginRefused("PLAIN without user and password in UTF-8 (RFC 4616)"))
            return
        if not user or len(user) > _USER_LIMIT or not password or len(password) > _PASSWORD_LIMIT:
            self._refuse(LoginRefused("PLAIN with an empty or oversize user name or password"))
            return
        self.claimed = user
        if acting_as not in ("", user):
            self._refuse(LoginRefused(f"{user!r} asked to log in as {acting_as[:40]!r}"))
            return
        try:
            self._throttle(user)
        except LoginRefused as refusal:
            self._refuse(refusal)
            return
        self.pending = Pending(user, password)
        self.state = State.NEEDS_VERIFICATION

    def _certificate(self, message: bytes) -> None:
        user = self._external or ""
        self.claimed = user
        if message not in (b"", user.encode()):
            self._refuse(LoginRefused(f"the certificate of {user!r} does not stand for another user"))
        else:
            self._succeed(user)

    def _anonymous(self, _message: bytes) -> None:
        self.claimed = ANONYMOUS_USER
        self._succeed(ANONYMOUS_USER)

    # -- ends

    def _throttle(self, user: str) -> None:
        wait = 0.0 if self._admit is None else self._admit(user)
        if wait > 0:
            raise LoginRefused(
                f"too many failed logins of {user!r}: refused for another {wait:.0f} s", temporary=True
            )

    def _ask(self, message: bytes, expected: Callable[[bytes], None]) -> None:
        self._output += encode_frame(Challenge(message))
        self._expected = expected

    def _succeed(self, user: str, signature: bytes | None = None) -> None:
        self._output += encode_frame(Outcome(Code.OK, signature))
        self.user = user
        self.state = State.DONE

    def _refuse(self, failure: LoginRefused) -> None:
        self._output += encode_frame(Outcome(Code.SYS_TEMP if failure.temporary else Code.AUTH))
        self._fail(failure)

    def _fail(self, failure: BusError) -> None:
        self.failure = failure
        self.state = State.FAILED
        self.pending = None
        self._buffer.rest()


def _busy(user: str) -> LoginRefused:
    return LoginRefused(
        f"the password of {user!r} could not be checked just now: too many logins at once", temporary=True
    )
