"""The table of nodes: who is there, what they can do, how busy they are.

Pure: events come in as method calls with the time, in seconds on a clock that never goes back; nothing here
reads a clock or sends anything.

An id belongs to the instance that announced itself last. What another instance says under the same id is
passed over, so that two agents with one name do not tear at the entry; the entry is marked ``contested``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clacks.agent.methods import Methods, NodeMethod, Pool
from clacks.common.presence import NODE_SILENCE

__all__ = ["Node", "NodeTable", "TableFull"]

_SETTLING = 5.0
"""Seconds after a change of instance in which events of the former one may still be on their way."""


class TableFull(Exception):
    """There is no room for somebody new; who is in the table stays."""


@dataclass(slots=True)
class Node:
    """What is known of one node.

    Attributes:
        id: Its name.
        instance: Which start of the agent it is; empty if it does not say.
        since: When it came.
        arrived: Whether we saw it come: the first that we heard of it was its NodeAnnounce.
        heard: When it was last heard of.
        methods: What it can do; None until its NodeCapabilities come.
        objects: Objects that it serves: OID and signature.
        gateway: Where its gateway listens, or None.
        load: Load of the machine by processor; None until its NodeStatus comes.
        latency: Seconds that an event needs to the broker and back, or None.
        workers: Idle workers, or None.
        indexed: Whether it holds the object index, or None.
        refused: Whether its capabilities are more than we keep; it is not asked for them again.
        contested: When another instance last spoke under this id, or None.
        sent: Calls forwarded to it that are not answered yet.
    """

    id: str
    instance: str
    since: float
    heard: float
    methods: Methods[NodeMethod] | None = None
    objects: tuple[tuple[str, str], ...] = ()
    gateway: str | None = None
    load: float | None = None
    latency: float | None = None
    workers: int | None = None
    indexed: bool | None = None
    refused: bool = False
    contested: float | None = None
    sent: int = 0
    arrived: bool = False

    def came_after(self, moment: float) -> bool:
        """Tell whether we saw it come at that moment or later; so it knows nothing of what was before."""
        return self.arrived and self.since >= moment

    def provides(self, method: str, queue: str | None = None) -> NodeMethod | None:
        """Return its method of that name, on that queue if one is given."""
        if self.methods is None:
            return None
        found = self.methods.by_name.get(method)
        return found if found is not None and (queue is None or found.target in ("", queue)) else None

    @property
    def burden(self) -> float:
        """How busy it is, to compare nodes.

        The load is up to ten seconds old; the calls that went there meanwhile make up for it. A node without
        an idle worker comes after all that have one.
        """
        idle = self.workers if self.workers is not None else 1
        full = 1000.0 if idle <= self.sent else 0.0
        return full + (self.load if self.load is not None else 1.0) + self.sent / max(1, idle)


class NodeTable:
    """All nodes of a domain.

    Args:
        silence: Seconds without a sign of life after which a node is gone.
        most: Nodes that are kept; `TableFull` beyond.
        pool: Where lists of methods are shared.
    """

    def __init__(
        self, *, silence: float = NODE_SILENCE, most: int = 10_000, pool: Pool[NodeMethod] | None = None
    ) -> None:
        self._silence = silence
        self._most = most
        self._pool: Pool[NodeMethod] = pool if pool is not None else Pool()
        self._nodes: dict[str, Node] = {}
        self._forgiven = float("-inf")
        self.ignored = 0
        """Events passed over because another instance has the id."""

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        # A copy: commands look at the table from other threads.
        return iter(list(self._nodes.values()))

    def __contains__(self, id_: object) -> bool:
        return id_ in self._nodes

    def get(self, id_: str) -> Node | None:
        """Return a node, or None if it is not there."""
        return self._nodes.get(id_)

    # -- events; each returns the entry, or None if another instance has the id

    def announced(self, id_: str, instance: str, now: float) -> Node | None:
        """Note NodeAnnounce: this instance has the id from now on.

        Raises:
            TableFull: If there is no room for it.
        """
        node = self._nodes.get(id_)
        if node is not None and node.instance != instance:
            contested = node.contested
            fresh = Node(id_, instance, now, now, contested=contested, sent=node.sent, arrived=True)
            self._nodes[id_] = fresh
            return fresh
        entry = self._entry(id_, instance, now)
        if node is None and entry is not None:
            entry.arrived = True
        return entry

    def capable(
        self,
        id_: str,
        instance: str,
        methods: Iterable[NodeMethod],
        objects: Iterable[tuple[str, str]],
        gateway: str | None,
        now: float,
    ) -> Node | None:
        """Note NodeCapabilities; they replace earlier ones.

        Raises:
            TableFull: If there is no room for it.
        """
        node = self._entry(id_, instance, now)
        if node is not None:
            node.methods = self._pool.share(methods)
            node.refused = False
            node.objects = tuple(objects)
            node.gateway = gateway
        return node

    def status(
        self,
        id_: str,
        instance: str,
        load: float,
        latency: float,
        workers: int,
        indexed: bool | None,
        now: float,
    ) -> Node | None:
        """Note NodeStatus. Of a node that has no methods yet the capabilities are lacking: ask for them.

        Raises:
            TableFull: If there is no room for it.
        """
        node = self._entry(id_, instance, now)
        if node is not None:
            node.load, node.latency, node.workers, node.indexed = load, latency, workers, indexed
        return node

    def refuse(self, id_: str, instance: str, now: float) -> Node | None:
        """Note capabilities that are more than we keep: the node lives, and nothing is asked of it.

        Raises:
            TableFull: If there is no room for it.
        """
        node = self._entry(id_, instance, now)
        if node is not None:
            node.methods, node.refused = None, True
        return node

    def left(self, id_: str, instance: str, now: float) -> Node | None:
        """Note NodeLeave and return the entry that was there."""
        if id_ not in self._nodes or self._entry(id_, instance, now) is None:
            return None
        return self._nodes.pop(id_)

    def _entry(self, id_: str, instance: str, now: float) -> Node | None:
        node = self._nodes.get(id_)
        if node is None:
            if len(self._nodes) >= self._most:
                raise TableFull(f"{self._most} nodes are known")
            node = self._nodes[id_] = Node(id_, instance, now, now)
        elif node.instance and instance and node.instance != instance:
            self.ignored += 1
            if now - node.since > _SETTLING:
                node.contested = now
            return None
        node.heard = now
        return node

    # -- time

    def forgive(self, now: float) -> None:
        """Let every silence begin now: we could not hear anything."""
        self._forgiven = now

    def expire(self, now: float) -> list[Node]:
        """Remove and return the nodes that were silent for too long. Call it every second or so."""
        gone = [
            node for node in self._nodes.values() if now - max(node.heard, self._forgiven) >= self._silence
        ]
        for node in gone:
            del self._nodes[node.id]
        return gone

    def contested(self, node: Node, now: float) -> bool:
        """Tell whether another agent lives under the same id."""
        return node.contested is not None and now - node.contested < self._silence

    # -- questions

    def providers(self, method: str, queue: str | None = None) -> list[Node]:
        """Return the nodes that provide a method, the least burdened first."""
        found = [node for node in self if node.provides(method, queue) is not None]
        found.sort(key=lambda node: (node.burden, node.id))
        return found
