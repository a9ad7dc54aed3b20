"""The table of clients: who is there, how to reach them, what they can do, who is logged on.

Pure, as the table of nodes, and made for a hundred thousand entries: at most 2 KB each, and finding those
that fell silent costs nothing while nobody does.

A client that is heard of without having announced itself (after a loss, after a partition) has an entry
that is not ``known`` yet: it is asked to announce itself, and shown to nobody until it does.
"""

from __future__ import annotations

import heapq
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clacks.agent.methods import ClientMethod, Methods, Pool
from clacks.agent.nodes import TableFull
from clacks.common.presence import CLIENT_SILENCE, PING_INTERVAL

__all__ = ["Client", "ClientTable", "Device"]


@dataclass(frozen=True, slots=True)
class Device:
    """A network device of a client, as ClientAnnounce says it."""

    name: str
    ip: str
    ipv6: str
    mac: str
    netmask: str
    broadcast: str

    @classmethod
    def of(cls, name: str, ip: str, ipv6: str, mac: str, netmask: str, broadcast: str) -> Device:
        """Return a device whose usual words are shared with all others: they cost memory once."""
        share = sys.intern
        return cls(share(name), ip, ipv6, mac, share(netmask), share(broadcast))


@dataclass(slots=True)
class Client:
    """What is known of one client.

    Attributes:
        id: Its id, kept across restarts.
        instance: Which start of the client it is; empty if it does not say.
        since: When it was first heard of.
        heard: When it was last heard of.
        announced: When it announced itself last; None if it never did, as far as we know.
        name: Its name, for people.
        user: The login that announced it, or None.
        devices: Its network devices.
        methods: What it can do.
        users: Who is logged on; None if it never said.
    """

    id: str
    instance: str
    since: float
    heard: float
    announced: float | None = None
    name: str = ""
    user: str | None = None
    devices: tuple[Device, ...] = ()
    methods: Methods[ClientMethod] | None = None
    users: tuple[str, ...] | None = None

    @property
    def known(self) -> bool:
        """Whether it has announced itself."""
        return self.announced is not None

    def provides(self, method: str) -> ClientMethod | None:
        """Return its method of that name."""
        return self.methods.by_name.get(method) if self.methods is not None else None


class ClientTable:
    """All clients of a domain.

    Args:
        silence: Seconds without a sign of life after which a client is gone.
        most: Clients that are kept; `TableFull` beyond.
        pool: Where lists of methods are shared.
    """

    def __init__(
        self, *, silence: float = CLIENT_SILENCE, most: int = 200_000, pool: Pool[ClientMethod] | None = None
    ) -> None:
        self._silence = silence
        self._most = most
        self._pool: Pool[ClientMethod] = pool if pool is not None else Pool()
        # In the order of the last sign of life: who fell silent stands in front.
        self._clients: OrderedDict[str, Client] = OrderedDict()
        # Those whose last sign of life we know from another agent stand anywhere in that order.
        self._told: list[tuple[float, str]] = []
        self._forgiven = float("-inf")
        self._strangers = 0

    def __len__(self) -> int:
        """Return how many clients have announced themselves."""
        return len(self._clients) - self._strangers

    def __iter__(self) -> Iterator[Client]:
        """Iterate over the clients that have announced themselves, as they are now."""
        # One step that no other thread can come between: commands look at the table from theirs.
        everybody = list(self._clients.values())
        return (client for client in everybody if client.known)

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and self.get(id_) is not None

    @property
    def strangers(self) -> int:
        """How many clients live that have not announced themselves to us."""
        return self._strangers

    def wanted(self, most: int) -> list[str]:
        """Return the ids of those that have not announced themselves; none if they are more than ``most``."""
        if not 0 < self._strangers <= most:
            return []
        return [client.id for client in self._clients.values() if not client.known]

    def get(self, id_: str) -> Client | None:
        """Return a client that has announced itself, or None."""
        client = self._clients.get(id_)
        return client if client is not None and client.known else None

    def expected(self, now: float, since: float) -> int:
        """Return how many clients there seem to be, for somebody who listens ``since`` then.

        Every client says within one interval that it lives. Who has listened for a twentieth of it and heard
        of five thousand that it did not know expects a hundred thousand.
        """
        part = min(1.0, max(now - since, 1.0) / PING_INTERVAL)
        return len(self) + round(self._strangers / part)

    # -- events; each returns the entry, or None if another instance has the id

    def announced(
        self,
        id_: str,
        instance: str,
        name: str,
        user: str | None,
        devices: Iterable[Device],
        methods: Iterable[ClientMethod],
        now: float,
    ) -> Client:
        """Note ClientAnnounce: this instance has the id from now on.

        Raises:
            TableFull: If there is no room for it.
        """
        client = self._clients.get(id_)
        if client is None or client.instance != instance:
            # Of a new start nothing is left; who is logged on it will say.
            users = client.users if client is not None and not (client.instance and instance) else None
            if client is None:
                client = self._new(id_, instance, now)
            else:
                client.instance, client.since = instance, now
            client.users = users
        self._alive(client, now)
        if not client.known:
            self._strangers -= 1
        client.announced = now
        client.name, client.user = name, None if user is None else sys.intern(user)
        client.devices = tuple(devices)
        client.methods = self._pool.share(methods)
        return client

    def signed(self, id_: str, instance: str, methods: Iterable[ClientMethod], now: float) -> Client | None:
        """Note ClientSignature: its methods have changed.

        Raises:
            TableFull: If there is no room for it.
        """
        client = self.heard(id_, instance, now)
        if client is not None and client.known:
            client.methods = self._pool.share(methods)
        return client

    def heard(self, id_: str, instance: str, now: float) -> Client | None:
        """Note ClientPing, or any other sign of life.

        Raises:
            TableFull: If there is no room for it.
        """
        client = self._clients.get(id_)
        if client is None:
            client = self._new(id_, instance, now)
        elif client.instance and instance and client.instance != instance:
            return None
        self._alive(client, now)
        return client

    def session(self, id_: str, instance: str, users: Iterable[str], now: float) -> Client | None:
        """Note UserSession: exactly these users are logged on.

        Raises:
            TableFull: If there is no room for it.
        """
        client = self.heard(id_, instance, now)
        if client is not None:
            client.users = tuple(users)
        return client

    def left(self, id_: str, instance: str) -> Client | None:
        """Note ClientLeave and return the entry that was there."""
        client = self._clients.get(id_)
        if client is None or (client.instance and instance and client.instance != instance):
            return None
        return self._remove(client)

    def learned(
        self,
        id_: str,
        instance: str,
        name: str,
        user: str | None,
        devices: Iterable[Device],
        methods: Iterable[ClientMethod],
        users: Iterable[str] | None,
        *,
        since: float,
        heard: float,
        announced: float,
        now: float,
    ) -> bool:
        """Take over what another agent knows, unless we know something newer; tell whether it was taken.

        Raises:
            TableFull: If there is no room for it.
        """
        client = self._clients.get(id_)
        if now - heard >= self._silence or (
            client is not None and client.announced is not None and client.announced >= announced
        ):
            return False
        latest = max(heard, client.heard) if client is not None else heard
        said = client.users if client is not None else None
        client = self.announced(id_, instance, name, user, devices, methods, now)
        client.since, client.heard, client.announced = since, latest, announced
        heapq.heappush(self._told, (latest, id_))
        client.users = said if said is not None or users is None else tuple(users)
        return True

    def _new(self, id_: str, instance: str, now: float) -> Client:
        if len(self._clients) >= self._most:
            raise TableFull(f"{self._most} clients are known")
        client = self._clients[id_] = Client(id_, instance, now, now)
        self._strangers += 1
        return client

    def _alive(self, client: Client, now: float) -> None:
        client.heard = now
        self._clients.move_to_end(client.id)

    def _remove(self, client: Client) -> Client:
        del self._clients[client.id]
        if not client.known:
            self._strangers -= 1
        return client

    # -- time

    def forgive(self, now: float) -> None:
        """Let every silence begin now: we could not hear anything."""
        self._forgiven = now

    def expire(self, now: float) -> list[Client]:
        """Remove and return the clients that were silent for too long. Call it every second or so."""
        gone: list[Client] = []
        if now - self._forgiven < self._silence:
            return gone
        while self._told and now - self._told[0][0] >= self._silence:
            heard, id_ = heapq.heappop(self._told)
            told = self._clients.get(id_)
            if told is not None and told.heard == heard:
                gone.append(self._remove(told))
        while self._clients:
            client = next(iter(self._clients.values()))
            if now - client.heard < self._silence:
                break
            gone.append(self._remove(client))
        return gone

    # -- questions

    def page(self, after: str, most: int) -> list[Client]:
        """Return the next clients by id: at most ``most`` of those behind ``after``."""
        behind = (client for client in self if client.id > after)
        return heapq.nsmallest(most, behind, key=lambda client: client.id)

    def where(self, user: str) -> list[Client]:
        """Return the clients that ``user`` is logged on to."""
        return [client for client in self if user in (client.users or ())]
