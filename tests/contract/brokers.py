"""The brokers of the contract suite: what a test may do to one, whichever it is."""

from __future__ import annotations

import asyncio
import enum
import itertools
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

from clacks.broker.broker import Broker
from clacks.bus import Bus
from clacks.common.address import BusURL
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.listener import BrokerServer
from clacks.net.tls import server_context
from tests.net.authorities import Authority

__all__ = [
    "FACTS",
    "RIGHTS",
    "USERS",
    "ContractBroker",
    "Embedded",
    "Facts",
    "Forged",
    "Selectors",
    "Site",
    "Standing",
]

Result = TypeVar("Result")

USERS: Final = {"admin": "secret", "ann": "ann-secret", "agent": "agent-secret"}

RIGHTS: Final = """
[users.admin]
roles = ["admin"]
[users.ann]
roles = ["publisher", "reader", "caller"]
[users.agent]
roles = ["agent"]
[roles.caller]
commands = ["*"]
"""

_OWN_TYPE: Final = """\
<schema targetNamespace="http://www.gonicus.de/Events" elementFormDefault="qualified"
        xmlns="http://www.w3.org/2001/XMLSchema" xmlns:e="http://www.gonicus.de/Events">
  <complexType name="Doorbell">
    <annotation><documentation>Sent when somebody rings.</documentation></annotation>
    <sequence>
      <element name="Door" type="string"/>{more}
    </sequence>
  </complexType>
  <element name="Doorbell" type="e:Doorbell"/>
</schema>
"""

_domains = itertools.count(1)


@dataclass(frozen=True)
class Site:
    """What all tests share: certificates, and event types beside those of the package.

    Attributes:
        authority: Who issued the brokers' certificates: for the name ``localhost``, and no address.
        stranger: Another authority.
        certificate: Certificate and key of the brokers in one file.
        registry: Knows the type ``Doorbell``, in which ``Bell`` is optional.
        older: Knows an earlier ``Doorbell``, without ``Bell``.
        plain: Knows no ``Doorbell``.
    """

    authority: Authority
    stranger: Authority
    certificate: Path
    registry: SchemaRegistry
    older: SchemaRegistry
    plain: SchemaRegistry

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Write the files."""
        registries = []
        for name, more in (("new", '<element name="Bell" type="string" minOccurs="0"/>'), ("old", "")):
            (folder / name).mkdir()
            (folder / name / "Doorbell.xsd").write_text(_OWN_TYPE.format(more=more))
            registries.append(SchemaRegistry([folder / name], plugins=False))
        authority = Authority(folder)
        return cls(
            authority,
            Authority(folder, "Stranger"),
            authority.issue("localhost", file="broker.pem"),
            *registries,
            SchemaRegistry(plugins=False),
        )


class Forged(enum.Enum):
    """What becomes of a message in the name of another."""

    REFUSED = "refused"
    """The broker takes it not."""

    CORRECTED = "corrected"
    """The broker writes the login into it."""

    PASSED_ON = "passed on"
    """The broker does not look. So agents refuse all calls that need a user, unless told otherwise."""


class Selectors(enum.Enum):
    """What becomes of a selector in the filter of a source."""

    APPLIED = "applied"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True)
class Facts:
    """What is different from broker to broker and is no fault: declared here, shown in the table of the docs.

    Attributes:
        forged: What becomes of messages in the name of another.
        told: Whether agents must be told by their operator (``trust_users``) that logins are true.
        offers_anonymous: Whether the login ANONYMOUS is offered, although nobody gets in with it.
        profile: The profile that is chosen from what the broker says of itself.
        selectors: What becomes of a selector in the filter of a source.
    """

    forged: Forged = Forged.REFUSED
    told: bool = False
    offers_anonymous: bool = False
    profile: str = ""
    selectors: Selectors = Selectors.APPLIED


FACTS: Final[Mapping[str, Facts]] = {
    "embedded": Facts(profile="clacks", selectors=Selectors.REFUSED),
    "rabbitmq": Facts(profile="rabbitmq-3", selectors=Selectors.IGNORED),
    "activemq": Facts(Forged.CORRECTED, told=True, offers_anonymous=True, profile="activemq"),
    "artemis": Facts(Forged.PASSED_ON, told=True, profile="artemis"),
    "broker-j": Facts(told=True, profile="broker-j"),
}


class ContractBroker(Protocol):
    """A running broker with the users of `USERS`, for one test.

    Attributes:
        name: The product.
        site: Certificates and event types.
        domain: The domain of this test alone.
        port, tls_port: Where it listens, on loopback.
        counts_drops: Whether `dropped` knows what the broker threw away.
        facts: What it does otherwise than others.
    """

    name: str
    facts: Facts
    site: Site
    domain: str
    port: int
    tls_port: int
    counts_drops: bool

    def dropped(self) -> int:
        """Return how many messages the broker threw away, where ``counts_drops``."""

    def restart(self) -> None:
        """Have it fail, and start it again on the same ports."""

    def url(self, user: str = "admin", *, password: str | None = None, port: int | None = None) -> str:
        """Return the URL for a user."""

    def bus(self, user: str = "admin", *, port: int | None = None, **more: Any) -> Bus:
        """Return a client that is not started yet."""


class _Urls:
    """What is the same for every broker: how one gets there."""

    facts: Facts
    site: Site
    domain: str
    port: int
    tls_port: int

    def url(self, user: str = "admin", *, password: str | None = None, port: int | None = None) -> str:
        secret = USERS[user] if password is None else password
        return f"amqp://{user}:{secret}@127.0.0.1:{port or self.port}/{self.domain}"

    def tls_url(self, host: str) -> str:
        return f"amqps://admin:{USERS['admin']}@{host}:{self.tls_port}/{self.domain}"

    def parsed(self, user: str = "admin") -> BusURL:
        return BusURL.parse(self.url(user))

    def bus(self, user: str = "admin", *, port: int | None = None, **more: Any) -> Bus:
        usual = {"registry": self.site.registry, "name": user, "trust_users": self.facts.told}
        return Bus(self.url(user, port=port), **{**usual, **more})


def _own_domain() -> str:
    # What an earlier test left in a broker that outlives it cannot be seen from here.
    return f"org.clacks.contract{next(_domains)}"


class Embedded(_Urls):
    """The embedded broker, on a thread of its own."""

    name = "embedded"
    facts = FACTS["embedded"]
    counts_drops = True
    _credentials: ClassVar[Credentials | None] = None

    def __init__(self, site: Site) -> None:
        self.site = site
        self.domain = _own_domain()
        self.port = self.tls_port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)
        self._server: BrokerServer | None = None
        if Embedded._credentials is None:  # deriving keys costs time on purpose
            Embedded._credentials = Credentials()
            for user, password in USERS.items():
                made = make_credentials(user, password)
                Embedded._credentials = Embedded._credentials.joined(made)

    def dropped(self) -> int:
        assert self._server is not None
        return self._server.broker.metrics.total("messages_dropped")

    def restart(self) -> None:
        self._stop()
        self._start()

    def _start(self) -> None:
        users = Embedded._credentials
        assert users is not None
        self._server = self._run(self._serve(users))
        self.port, self.tls_port = self._server.ports["amqp"], self._server.ports["amqps"]

    async def _serve(self, users: Credentials) -> BrokerServer:
        server = BrokerServer(
            Broker(self.site.registry, parse_rights(RIGHTS), domain=self.domain),
            lambda: users,
            port=self.port,
            tls_port=self.tls_port,
            tls=server_context(self.site.certificate),
        )
        await server.start()
        return server

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._run(server.close())

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        self._thread.start()
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Node(Protocol):
    """A real broker that outlives the test."""

    port: int
    tls_port: int

    def kill(self) -> None:
        """End it as a power failure would."""

    def restart(self) -> None:
        """Start it again on the same ports."""


class Standing(_Urls):
    """A domain of its own on a broker that outlives the test."""

    counts_drops = False

    def __init__(self, site: Site, node: Node, name: str, facts: Facts) -> None:
        self.site = site
        self.name = name
        self.facts = facts
        self.domain = _own_domain()
        self.port, self.tls_port = node.port, node.tls_port
        self._node = node

    def dropped(self) -> int:
        raise NotImplementedError(f"{self.name} does not tell over AMQP what it dropped")

    def restart(self) -> None:
        self._node.kill()
        self._node.restart()
