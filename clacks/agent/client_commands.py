"""The commands of an agent that are about clients: who is there, and doing things on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import shuffle
from typing import Any, Final

from clacks.agent.clients import Client, ClientTable, Device
from clacks.agent.forwarding import Requester
from clacks.agent.methods import ClientMethod
from clacks.agent.nodes import NodeTable, TableFull
from clacks.agent.presence import moment
from clacks.common.address import client_address
from clacks.common.command import Command
from clacks.common.errors import (
    BusError,
    CommandError,
    CommandTimeout,
    LinkRefused,
    OutcomeUnknown,
)
from clacks.common.event import Event
from clacks.common.jsonrpc import (
    FORBIDDEN,
    INVALID_PARAMS,
    OUTCOME_UNKNOWN,
    TIMED_OUT,
    UNAVAILABLE,
    Request,
)
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry

__all__ = ["ClientCommands", "learn_from", "learn_page"]

_DISPATCH_TIME: Final = 25.0
"""Seconds for a client to answer, if the caller does not say how long it waits."""

_PATIENCE: Final = 5.0
"""Seconds for a client to take a call: it is alone on its queue and may be behind a slow line."""

_MOST: Final = 5000
"""Clients of one answer: with their names and times 1 MB of the 4 MB that a message may have."""

_PAGE: Final = 2000
_PAGE_BYTES: Final = 2 * 1024 * 1024


class ClientCommands:
    """The commands; made and registered by the agent.

    Args:
        bus: Where calls to clients go.
        domain: The domain of the bus.
        clients: The table.
        rights: Returns the rights of now.
        registry: The event types.
        publish: Sends an event from the thread of a command.
        loop: Returns the loop of the bus.
        user_of: Returns the login of this agent, or None.
    """

    def __init__(
        self,
        bus: Requester,
        domain: str,
        clients: ClientTable,
        *,
        rights: Callable[[], Rights],
        registry: SchemaRegistry,
        publish: Callable[[Event], object],
        loop: Callable[[], asyncio.AbstractEventLoop],
        login: str | None,
    ) -> None:
        self._bus = bus
        self._domain = domain
        self._clients = clients
        self._rights = rights
        self._registry = registry
        self._publish = publish
        self._loop = loop
        self._login = login

    @Command
    def getClients(self, after: str = "", limit: int = 1000) -> dict[str, Any]:
        """Return the clients by id: name, login, since when, when last heard of, who is logged on.

        They come in the order of their ids, at most ``limit`` (up to 5000) of those behind ``after``; ask
        again with the last id for the next ones.
        """
        if not 1 <= limit <= _MOST:
            raise CommandError(INVALID_PARAMS, f"limit must be 1 to {_MOST}, not {limit}")
        now = self._loop().time()
        return {
            client.id: {
                "name": client.name,
                "user": client.user,
                "since": moment(client.since, now),
                "heard": moment(client.heard, now),
                "methods": len(client.methods or ()),
                "sessions": None if client.users is None else list(client.users),
            }
            for client in self._clients.page(after, limit)
        }

    @Command
    def getClientNetInfo(self, client: str) -> list[dict[str, str]]:
        """Return the network devices of a client."""
        return [
            {
                "name": device.name,
                "ip": device.ip,
                "ipv6": device.ipv6,
                "mac": device.mac,
                "netmask": device.netmask,
                "broadcast": device.broadcast,
            }
            for device in self._find(client).devices
        ]

    @Command
    def getClientMethods(self, client: str) -> dict[str, Any]:
        """Return the methods of a client by name, each with its signature and documentation."""
        methods = self._find(client).methods
        return {
            item.name: {
                "path": item.path,
                "signature": item.signature,
                "documentation": item.documentation,
            }
            for item in (methods.items if methods is not None else ())
        }

    @Command
    def getUserSessions(self, client: str | None = None) -> dict[str, list[str]]:
        """Return who is logged on where: users by client, of one client or of all that somebody uses."""
        if client is not None:
            return {client: list(self._find(client).users or ())}
        return {found.id: list(found.users) for found in self._clients if found.users}

    @Command(needs_user=True, needs_deadline=True)
    def clientDispatch(self, user: str, deadline: float | None, client: str, method: str, *args: Any) -> Any:
        """Have a client carry out one of its methods and return the result.

        The caller needs the right ``commands`` for ``client.METHOD``.
        """
        if not self._rights().may_call(user, f"client.{method}"):
            raise CommandError(FORBIDDEN, f"{user} may not call client.{method[:100]}")
        found = self._find(client)
        if found.provides(method) is None:
            raise CommandError(INVALID_PARAMS, f"client {client[:100]} has no method {method[:100]}")
        left = _DISPATCH_TIME if deadline is None else deadline - self._loop().time()
        if left <= 0:
            raise CommandError(
                TIMED_OUT, f"there was no time left for {method[:100]}: it was not carried out"
            )
        return self._wait(self._dispatch(user, found.id, method, args, left), left)

    @Command(needs_user=True)
    def notifyUser(
        self,
        user: str,
        target: str,
        body: str,
        title: str | None = None,
        icon: str | None = None,
        timeout: int | None = None,
    ) -> list[str]:
        """Show a text to a user, or with ``*`` to all: publishes a Notification.

        Returns the ids of the clients that the user is logged on to, as far as they tell. ``timeout`` is how
        long the text is shown, in milliseconds.
        """
        if not self._rights().may_publish(user, "Notification"):
            raise CommandError(FORBIDDEN, f"{user} may not publish Notification")
        content = {"Target": target, "Title": title, "Body": body, "Icon": icon, "Timeout": timeout}
        self._publish(self._registry.from_dict("Notification", content))
        if target == "*":
            return sorted(client.id for client in self._clients if client.users)
        return sorted(client.id for client in self._clients.where(target))

    @Command
    def getClientTable(self, after: str = "", limit: int = _PAGE) -> dict[str, Any]:
        """Return all that is known of clients, for another agent that starts; lists of methods only once."""
        if not 1 <= limit <= _MOST:
            raise CommandError(INVALID_PARAMS, f"limit must be 1 to {_MOST}, not {limit}")
        now = self._loop().time()
        lists: dict[int, list[list[str]]] = {}
        rows: list[dict[str, Any]] = []
        size = 0
        page = self._clients.page(after, limit)
        for client in page:
            methods = client.methods.items if client.methods is not None else ()
            if id(client.methods) not in lists:
                lists[id(client.methods)] = [
                    [item.name, item.path, item.signature, item.documentation] for item in methods
                ]
                size += sum(len(part) for item in lists[id(client.methods)] for part in item)
            rows.append(_row(client, now))
            size += 600
            if size > _PAGE_BYTES:
                break
        more = len(rows) < len(page) or len(page) == limit
        return {"clients": rows, "methods": {str(key): found for key, found in lists.items()}, "more": more}

    def _find(self, client: str) -> Client:
        found = self._clients.get(client)
        if found is None:
            raise CommandError(INVALID_PARAMS, f"there is no client {client[:100]}")
        return found

    def _wait(self, work: Coroutine[Any, Any, Any], limit: float) -> Any:
        """Do something on the loop, from the thread of a command."""
        return asyncio.run_coroutine_threadsafe(work, self._loop()).result(limit + 5.0)

    async def _dispatch(
        self, user: str, client: str, method: str, args: tuple[Any, ...], limit: float
    ) -> Any:
        try:
            return await self._bus.request(
                Request(method, args),
                timeout=limit,
                address=client_address(self._domain, client),
                on_behalf_of=None if user == self._login else user,
                patience=min(_PATIENCE, limit),
            )
        except OutcomeUnknown as error:
            raise CommandError(
                OUTCOME_UNKNOWN, f"client {client} took {method} and did not answer"
            ) from error
        except CommandTimeout as error:
            raise CommandError(
                TIMED_OUT, f"client {client} did not take {method} in time: it was not carried out"
            ) from error
        except (LinkRefused, ValueError) as error:
            raise CommandError(UNAVAILABLE, f"client {client} cannot be reached: {error}") from error
        except BusError as error:
            raise CommandError(UNAVAILABLE, f"the bus cannot be used: {error}") from error


def _row(client: Client, now: float) -> dict[str, Any]:
    assert client.announced is not None
    return {
        "id": client.id,
        "instance": client.instance,
        "name": client.name,
        "user": client.user,
        "devices": [
            [device.name, device.ip, device.ipv6, device.mac, device.netmask, device.broadcast]
            for device in client.devices
        ],
        "methods": str(id(client.methods)),
        "sessions": None if client.users is None else list(client.users),
        # Ages, not times: the clocks of two machines have nothing to do with each other.
        "since": now - client.since,
        "heard": now - client.heard,
        "announced": now - client.announced,
    }


def learn_page(clients: ClientTable, page: dict[str, Any], now: float) -> tuple[int, str | None]:
    """Take a page of ``getClientTable`` over; return how many were news, and behind which id to go on.

    Raises:
        KeyError, TypeError, ValueError: It is no such page.
    """
    lists = {key: [ClientMethod(*item) for item in found] for key, found in page["methods"].items()}
    learned = 0
    for row in page["clients"]:
        try:
            learned += clients.learned(
                row["id"],
                row["instance"],
                row["name"],
                row["user"],
                [Device.of(*device) for device in row["devices"]],
                lists[row["methods"]],
                row["sessions"],
                since=now - row["since"],
                heard=now - row["heard"],
                announced=now - row["announced"],
                now=now,
            )
        except TableFull:
            return learned, None
    return learned, page["clients"][-1]["id"] if page["more"] and page["clients"] else None


async def learn_from(
    bus: Requester,
    nodes: NodeTable,
    clients: ClientTable,
    node: str,
    address: Callable[[str, str], str],
    met_at: float,
    connected_at: float,
) -> bool:
    """Learn all clients from another node that came at ``met_at`` or later; tell whether one told them all.

    When a partition heals those know what we do not. One that we saw come since ``connected_at`` knows less
    than we, and is not asked. Any of the others will do: a thousand agents ask at the same time, and the same
    one is the least busy for all of them.
    """
    loop = asyncio.get_running_loop()
    peers = [
        peer
        for peer in nodes.providers("getClientTable")
        if peer.id != node and peer.since >= met_at and not peer.came_after(connected_at)
    ]
    shuffle(peers)
    peers.sort(key=lambda peer: peer.workers == 0)
    for peer in peers[:3]:
        method = peer.provides("getClientTable")
        assert method is not None
        after: str | None = ""
        try:
            while after is not None:
                page = await bus.request(
                    Request("getClientTable", (after,)),
                    address=address(method.target or "core", peer.id),
                    patience=_PATIENCE,
                )
                _, after = learn_page(clients, page, loop.time())
        except (CommandError, BusError, KeyError, TypeError, ValueError):
            continue
        return True
    return False
