"""The client's side of the login: what it accepts to say, and to whom.

The broker is not trusted either: a password goes out readable only over TLS or loopback, credentials never
turn into an anonymous login because the broker offers nothing else, and after SCRAM the broker has to prove
that it knows the user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

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
from clacks.amqp.scram import CLIENT_MECHANISMS, PLUS, ScramClientSide, ScramFailure
from clacks.common.errors import BusError, ConnectionFailed, LoginRefused, ProtocolError

__all__ = ["ClientState", "SaslClient", "choose_mechanism"]


class ClientState(Enum):
    """Where a login stands, seen from the client."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


def choose_mechanism(
    offered: Iterable[str],
    *,
    user: bool,
    password: bool,
    certificate: bool = False,
    private: bool = False,
    binding: bool = False,
    allowed: Iterable[str] | None = None,
) -> str:
    """Choose how to log in from what a broker offers and what we have.

    With user and password SCRAM-SHA-256, then the other SCRAMs, each bound to the channel (``-PLUS``) where
    it has a ``binding``, then PLAIN if the channel is ``private`` (TLS or loopback). With a client
    ``certificate`` and no password EXTERNAL. With nothing at all ANONYMOUS.
    ``allowed`` narrows this (a SCRAM that it names may be bound as well); naming EXTERNAL or ANONYMOUS there
    is the only way to prefer the certificate to a password, or to come as anonymous in spite of a
    certificate. Nothing allows ANONYMOUS in place of a user, or PLAIN on an open line.

    Raises:
        LoginRefused: If nothing fits: the text says what is offered, what we may use, and what to do.
    """
    offers = tuple(offered)
    limit = None if allowed is None else frozenset(allowed)
    usable = []
    if certificate and (not password or (limit is not None and "EXTERNAL" in limit)):
        usable.append("EXTERNAL")
    if user and password:
        bound = [name + PLUS for name in CLIENT_MECHANISMS] if binding else []
        usable += [*bound, *CLIENT_MECHANISMS, *(["PLAIN"] if private else [])]
    if not user and (not certificate or (limit is not None and "ANONYMOUS" in limit)):
        usable.append("ANONYMOUS")
    if limit is not None:
        usable = [name for name in usable if name.removesuffix(PLUS) in limit or name in limit]
    for name in usable:
        if name in offers:
            return name
    advice = ""
    if password and not private and "PLAIN" in offers and (limit is None or "PLAIN" in limit):
        advice = "; PLAIN would show the password to everybody on the way: use amqps://"
    elif (user or certificate) and "ANONYMOUS" in offers:
        advice = "; we do not give up our login to come in as anonymous: turn on SCRAM-SHA-256 at the broker"
    elif user and not password:
        advice = "; give a password"
    elif not user:
        advice = "; give a user and password"
    raise LoginRefused(
        f"no common way to log in: the broker offers {', '.join(offers) or 'nothing'}; "
        f"we may use {', '.join(usable) or 'nothing'}{advice}"
    )


class SaslClient:
    """Logs us in at one broker: bytes in, bytes out.

    Args:
        user: Login, or None for EXTERNAL or ANONYMOUS.
        password: Its password, or None.
        tls: Whether the connection is TLS.
        loopback: Whether the broker is this machine (the address that was reached, not the name in the URL).
        certificate: Whether TLS shows a client certificate.
        binding: ``tls-server-end-point`` of the certificate that the broker showed, if there is one.
        hostname: Host in the URL; brokers with several virtual hosts choose by it.
        allowed: The only mechanisms to use, or None for all that are safe.

    `bytes_to_send` has the header at once. After `receive` look at `done`; then `leftover` belongs to AMQP.
    """

    def __init__(
        self,
        user: str | None = None,
        password: str | None = None,
        *,
        tls: bool,
        loopback: bool = False,
        certificate: bool = False,
        binding: bytes | None = None,
        hostname: str | None = None,
        allowed: Iterable[str] | None = None,
    ) -> None:
        self.state = ClientState.WAITING
        self.user = user
        self.mechanism: str | None = None
        """What was chosen, once the broker has said what it offers."""
        self.offered: tuple[str, ...] = ()
        self.failure: BusError | None = None
        self._password = password
        self._private = tls or loopback
        self._tls = tls
        self._certificate = certificate
        self._binding = binding
        self._hostname = hostname
        self._allowed = None if allowed is None else tuple(allowed)
        self._scram: ScramClientSide | None = None
        self._verified = False
        self._expected: Callable[[bytes], bytes] | None = None
        self._buffer = FrameBuffer()
        self._greeted = False
        self._output = bytearray(SASL_HEADER)

    @property
    def done(self) -> bool:
        """Whether we are logged in and AMQP may begin."""
        return self.state is ClientState.DONE

    @property
    def leftover(self) -> bytes:
        """Take the bytes that came behind the login, once `done`: they belong to AMQP."""
        return self._buffer.rest() if self.done else b""

    def bytes_to_send(self) -> bytes:
        """Return and forget what is to be written."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes of the broker.

        Raises:
            LoginRefused: If the broker refuses us, offers nothing that we may use, or cannot prove that it
                knows the user.
            ProtocolError: If it does not speak SASL. After either every further call raises the same.
        """
        if self.failure is not None:
            raise self.failure
        self._buffer.append(data)
        try:
            while self.state is ClientState.WAITING and self._step():
                pass
        except (LoginRefused, ProtocolError) as error:
            self.failure = error
            self.state = ClientState.FAILED
            self._buffer.rest()
            raise

    def eof(self) -> None:
        """Note that the broker closed the connection.

        Raises:
            ConnectionFailed: If that happened before the login was decided; the text says at which step.
        """
        if self.state is not ClientState.WAITING:
            return
        if not self._greeted:
            hint = "" if self._tls else " (it may be a port for TLS: use amqps://)"
            raise ConnectionFailed(f"the broker closed the connection without a word{hint}")
        step = f"at the login by {self.mechanism}" if self.mechanism else "before it offered a login"
        raise ConnectionFailed(f"the broker closed the connection {step}")

    # -- steps

    def _step(self) -> bool:
        """Digest the header or one frame; tell whether there was one."""
        if not self._greeted:
            header = self._buffer.header()
            if header is None:
                return False
            if header != SASL_HEADER:
                raise ProtocolError(f"the broker offers no login: {describe_opening(header)}")
            self._greeted = True
            return True
        frame = self._buffer.frame()
        if frame is None:
            return False
        self._take(frame)
        return True

    def _take(self, frame: Frame) -> None:
        match frame:
            case Mechanisms(names) if self.mechanism is None:
                self._choose(names)
            case Challenge(data) if self._expected is not None:
                step, self._expected = self._expected, None
                self._output += encode_frame(Response(step(data)))
            case Outcome(code, data) if self.mechanism is not None:
                self._conclude(code, data)
            case _:
                raise ProtocolError(
                    f"the broker sent {type(frame).__name__.lower()} out of turn in the login"
                )

    def _choose(self, names: tuple[str, ...]) -> None:
        self.offered = names
        self.mechanism = choose_mechanism(
            names,
            user=self.user is not None,
            password=self._password is not None,
            certificate=self._certificate,
            private=self._private,
            binding=self._binding is not None,
            allowed=self._allowed,
        )
        self._output += encode_frame(Init(self.mechanism, self._first(self.mechanism), self._hostname))

    def _first(self, mechanism: str) -> bytes:
        if mechanism == "ANONYMOUS":
            return b""
        if mechanism == "EXTERNAL":
            return b"" if self.user is None else self.user.encode()
        user, password = self.user or "", self._password or ""
        if mechanism == "PLAIN":
            if "\0" in user + password:
                raise LoginRefused("user and password may not contain the character NUL")
            return b"\0" + user.encode() + b"\0" + password.encode()
        try:
            self._scram = ScramClientSide(mechanism, user, password, binding=self._binding)
        except ScramFailure as failure:
            raise LoginRefused(f"this user or password cannot be used with {mechanism}: {failure}") from None
        self._expected = self._prove
        return self._scram.first()

    def _prove(self, message: bytes) -> bytes:
        assert self._scram is not None
        if not message:
            raise ProtocolError(f"the broker asked nothing in its challenge for {self.mechanism}")
        try:
            answer = self._scram.final(message)
        except ScramFailure as failure:
            raise LoginRefused(
                f"the broker's part of {self.mechanism} cannot be accepted: {failure}"
            ) from None
        self._expected = self._check
        return answer

    def _check(self, message: bytes) -> bytes:
        assert self._scram is not None
        try:
            self._scram.verify(message)
        except ScramFailure as failure:
            raise LoginRefused(
                f"the broker could not prove that it knows {self.user!r}: {failure}; "
                "it may be somebody else's"
            ) from None
        self._verified = True
        return b""

    def _conclude(self, code: Code, data: bytes | None) -> None:
        who = f"user {self.user!r}" if self.user is not None else "us without a user"
        match code:
            case Code.AUTH:
                hint = ""
                if self.mechanism is not None and self.mechanism.endswith(PLUS):
                    hint = ", or somebody in between shows another certificate than the broker's"
                raise LoginRefused(
                    f"the broker refuses {who} by {self.mechanism}: wrong user or password{hint}"
                )
            case Code.SYS | Code.SYS_PERM:
                raise LoginRefused(
                    f"the broker could not log {who} in by {self.mechanism}: an error of its own"
                )
            case Code.SYS_TEMP:
                raise LoginRefused(
                    f"the broker cannot log {who} in just now: too many logins or failures; try again later",
                    temporary=True,
                )
        if self._scram is not None and not self._verified:
            # Brokers put the signature here, or into a challenge before (RFC 4422, 3.6); one that sends
            # neither may be an impostor who says yes to everything.
            if self._expected != self._check or data is None:
                raise LoginRefused(
                    f"the broker says yes to {self.user!r} without the proof that {self.mechanism} asks for; "
                    "it may be somebody else's"
                )
            self._check(data)
        self.state = ClientState.DONE
