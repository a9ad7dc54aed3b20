"""A domain of a thousand nodes and a hundred thousand clients, in one process and in virtual time.

    python -m benchmarks.lifecycle                      # the table below, about a minute or two
    python -m benchmarks.lifecycle --nodes 50 --clients 2000
    python -m benchmarks.lifecycle --svg docs/_static/lifecycle.svg

Every node and every client is the real life cycle (`clacks.agent.lifecycle`, `clacks.client.lifecycle`),
with its own random numbers; ten agents have the real tables, of the others the messages are counted. What a
node without tables must know of them (how many nodes there are, who is unknown) it takes from a sampled agent
on its side of the network. The broker is a delay of 1 to 20 ms, the same for all who hear a message.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from clacks.agent.clients import ClientTable, Device
from clacks.agent.lifecycle import Act, Lifecycle
from clacks.agent.methods import ClientMethod, NodeMethod
from clacks.agent.nodes import NodeTable
from clacks.client import lifecycle as client_lifecycle
from clacks.common.presence import NODE_SILENCE, STATUS_INTERVAL

SAMPLED = 10
NODE_METHODS = tuple(
    NodeMethod(f"m{n}", f"A.m{n}", "core", f"m{n}()", "NORMAL", False, "Does it.") for n in range(20)
)
CLIENT_METHODS = tuple(ClientMethod(f"m{n}", f"m{n}", f"m{n}()", "Does it.") for n in range(10))


@dataclass
class Member:
    """A node or a client."""

    id: str
    side: int
    life: Lifecycle | client_lifecycle.Lifecycle
    alive: bool = True
    nodes: NodeTable | None = None
    clients: ClientTable | None = None
    sent: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Phase:
    """What a scenario showed."""

    name: str
    node_messages: float
    """Messages published by one node, statuses left out, on average."""
    node_most: int
    client_messages: float
    """Messages published by one client, pings left out, on average."""
    client_most: int
    peak: int
    """Most messages published in one second."""
    agreed_nodes: float
    """Seconds from the event until all sampled tables hold exactly the living nodes, with capabilities."""
    agreed_clients: float
    quiet: float
    """Seconds from the event until the last message that it caused."""


class Simulation:
    """A domain; time goes on with `run`."""

    def __init__(self, nodes: int, clients: int, *, sampled: int = SAMPLED, seed: int = 1) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.parted = False
        self.counts: Counter[tuple[int, str]] = Counter()
        """Messages by second and kind."""
        self.latest = 0.0  # when a message other than status and ping went out last
        self.polls: list[float] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._sampled = sampled
        self._asked = [float("-inf"), float("-inf")]
        self.nodes = [
            Member(f"node-{n}", n % 2, Lifecycle(Random(self.random.random()))) for n in range(nodes)
        ]
        for node in self.nodes[:sampled]:
            node.nodes, node.clients = NodeTable(), ClientTable()
        self.clients = [
            Member(f"client-{n:06d}", n % 2, client_lifecycle.Lifecycle(Random(self.random.random())))
            for n in range(clients)
        ]
        self.devices = (
            Device.of("eth0", "10.0.0.1", "fe80::1", "52:54:00:00:00:01", "255.0.0.0", "10.255.255.255"),
        )
        self._each_second()

    # -- time

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._numbers), what))

    def run(self, until: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, what = heapq.heappop(heap)
            what()
        self.now = until

    def _each_second(self) -> None:
        for node in self.sampled:
            assert node.nodes is not None
            assert node.clients is not None
            node.nodes.expire(self.now)
            node.clients.expire(self.now)
        self.at(self.now + 1.0, self._each_second)

    def schedule(self, member: Member) -> None:
        when = member.life.next
        if when is not None:
            self.at(max(when, self.now), lambda: self._due(member))

    def _due(self, member: Member) -> None:
        when = member.life.next
        if not member.alive or when is None or when > self.now + 1e-9:
            return  # an older appointment
        if isinstance(member.life, Lifecycle):
            view = self.view(member)
            expected = view.clients.expected(self.now, member.life.connected_at)  # type: ignore[union-attr]
            for act in member.life.due(self.now, expected):
                if act is Act.LEARN:
                    self.learn(member)
                else:
                    self.publish(member, act.value)
        else:
            for done in member.life.due(self.now):
                self.publish(member, done.value)
        self.schedule(member)

    # -- the network

    @property
    def sampled(self) -> Iterator[Member]:
        return (node for node in self.nodes[: self._sampled] if node.alive)

    def view(self, node: Member) -> Member:
        """Return the agent whose tables stand for those of this node."""
        if node.nodes is not None:
            return node
        return next(other for other in self.sampled if other.side == node.side)

    def reaches(self, one: Member, other: Member) -> bool:
        return other.alive and (not self.parted or one.side == other.side)

    def publish(self, sender: Member, kind: str) -> None:
        sender.sent[kind] += 1
        self.counts[int(self.now), kind] += 1
        if kind not in ("NodeStatus", "ClientPing"):
            self.latest = self.now
        if kind == "ClientPoll":
            self.polls.append(self.now)
        self.at(self.now + self.random.uniform(0.001, 0.020), lambda: self.deliver(sender, kind))

    def deliver(self, sender: Member, kind: str) -> None:
        now = self.now
        unknown_node = unknown_client = False
        for hearer in self.sampled:
            if not self.reaches(sender, hearer):
                continue
            nodes, clients = hearer.nodes, hearer.clients
            assert nodes is not None
            assert clients is not None
            match kind:
                case "NodeAnnounce":
                    nodes.announced(sender.id, sender.id, now)
                case "NodeCapabilities":
                    nodes.capable(sender.id, sender.id, NODE_METHODS, (), None, now)
                case "NodeStatus":
                    node = nodes.status(sender.id, sender.id, 0.1, 0.001, 8, None, now)
                    unknown_node |= node is not None and node.methods is None
                case "NodeLeave":
                    nodes.left(sender.id, sender.id, now)
                case "ClientAnnounce":
                    clients.announced(
                        sender.id, sender.id, sender.id, "clients", self.devices, CLIENT_METHODS, now
                    )
                case "ClientPing":
                    clients.heard(sender.id, sender.id, now)
                    unknown_client |= clients.strangers > 0
                case "ClientLeave":
                    clients.left(sender.id, sender.id)
        if kind == "NodeAnnounce":
            for node in self.hearers(sender):
                node.life.heard_announce(now, len(self.view_tables(node)))  # type: ignore[union-attr]
                self.schedule(node)
        elif kind == "NodeCapabilities" and isinstance(sender.life, Lifecycle):
            if sender.life.returned(now, len(self.view_tables(sender))):
                self.schedule(sender)
            self._not_alone(sender)
        elif kind == "NodeStatus":
            if unknown_node:
                for node in self.hearers(sender):
                    node.life.miss_node(now, len(self.view_tables(node)))  # type: ignore[union-attr]
                    self.schedule(node)
        elif kind == "ClientPing":
            if unknown_client and now - self._asked[sender.side] >= 1.0:
                self._asked[sender.side] = now
                for node in self.hearers(sender):
                    node.life.miss_client(now, len(self.view_tables(node)))  # type: ignore[union-attr]
                    self.schedule(node)
        elif kind == "ClientPoll":
            expected = self.expected(sender)
            for node in self.nodes:
                if node is not sender and self.reaches(sender, node):
                    node.life.heard_poll(now, expected)  # type: ignore[union-attr]
            for client in self.clients:
                if self.reaches(sender, client):
                    client.life.polled(now, expected)  # type: ignore[union-attr]
                    self.schedule(client)

    def expected(self, node: Member) -> int:
        clients = self.view(node).clients
        assert clients is not None
        assert isinstance(node.life, Lifecycle)
        return clients.expected(self.now, node.life.connected_at)

    def view_tables(self, node: Member) -> NodeTable:
        nodes = self.view(node).nodes
        assert nodes is not None
        return nodes

    def hearers(self, sender: Member) -> Iterator[Member]:
        return (node for node in self.nodes if node is not sender and self.reaches(sender, node))

    def _not_alone(self, sender: Member) -> None:
        for node in self.hearers(sender):
            if node.life.alone:  # type: ignore[union-attr]
                node.life.heard_node()  # type: ignore[union-attr]

    def learn(self, node: Member) -> None:
        """Take the clients over from another agent, as the service does with commands."""
        mine = node.clients
        others = [other for other in self.sampled if other is not node and self.reaches(node, other)]
        if mine is not None and others:
            theirs = others[0].clients
            assert theirs is not None
            for client in theirs:
                assert client.announced is not None
                methods = client.methods.items if client.methods is not None else ()
                mine.learned(
                    client.id, client.instance, client.name, client.user, client.devices, methods,
                    client.users, since=client.since, heard=client.heard, announced=client.announced,
                    now=self.now,
                )  # fmt: skip
        life = node.life
        assert isinstance(life, Lifecycle)
        life.learned(self.now, all_of_them=bool(others))

    # -- what happens to members

    def connect(self, members: list[Member], within: float) -> None:
        for member in members:

            def up(member: Member = member) -> None:
                member.alive = True
                member.life.connected(self.now)
                self.schedule(member)

            self.at(self.now + self.random.uniform(0.0, within), up)

    def leave(self, members: list[Member], *, word: bool) -> None:
        for member in members:
            acts = member.life.stop()
            if word:
                for act in acts:
                    self.publish(member, act.value)
            member.alive = False

    # -- looking

    def agreed(self) -> tuple[bool, bool]:
        """Tell whether all sampled tables hold exactly the living nodes, and the living clients."""
        nodes = {node.id for node in self.nodes if node.alive}
        clients = {client.id for client in self.clients if client.alive}
        tables = list(self.sampled)
        return (
            all(
                {node.id for node in member.nodes if node.methods is not None} == nodes  # type: ignore[union-attr]
                and len(member.nodes) == len(nodes)  # type: ignore[arg-type]
                for member in tables
            ),
            all(len(member.clients) == len(clients) for member in tables)  # type: ignore[arg-type]
            and all(client.id in clients for member in tables for client in member.clients),  # type: ignore[union-attr]
        )

    def watch(self, name: str, length: float) -> Phase:
        """Let time pass after something happened, and see what came of it."""
        began = self.now
        before = [(member, dict(member.sent)) for member in (*self.nodes, *self.clients)]
        seen: list[float | None] = [None, None]
        while self.now < began + length:
            # Comparing a million entries takes a second: what agrees is looked at less often.
            self.run(self.now + (1.0 if None in seen else 10.0))
            for place, agreed in enumerate(self.agreed()):
                if not agreed:
                    seen[place] = None
                elif seen[place] is None:
                    seen[place] = self.now - began
        node_counts, client_counts = [], []
        for member, earlier in before:
            beat = "NodeStatus" if isinstance(member.life, Lifecycle) else "ClientPing"
            sent = sum(n - earlier.get(kind, 0) for kind, n in member.sent.items() if kind != beat)
            (node_counts if beat == "NodeStatus" else client_counts).append(sent)
        seconds: Counter[int] = Counter()
        for (second, _), n in self.counts.items():
            if began <= second < began + length:
                seconds[second] += n
        return Phase(
            name,
            sum(node_counts) / max(1, len(node_counts)),
            max(node_counts, default=0),
            sum(client_counts) / max(1, len(client_counts)),
            max(client_counts, default=0),
            max(seconds.values(), default=0),
            -1.0 if seen[0] is None else seen[0],
            -1.0 if seen[1] is None else seen[1],
            max(0.0, self.latest - began),
        )


def scenarios(simulation: Simulation) -> Iterator[Phase]:
    """Live through a bad day."""
    sim = simulation
    many = max(10.0, len(sim.clients) * 0.001)
    sim.connect(sim.nodes, within=1.0)
    sim.connect(sim.clients, within=many / 2)
    yield sim.watch("start-up storm", 60.0 + many)
    asker = sim.nodes[0]
    sim.publish(asker, "ClientPoll")
    yield sim.watch("poll storm", 2 * many + 20.0)
    tenth = [*sim.nodes[SAMPLED::10], *sim.clients[::10]]
    sim.leave(tenth, word=True)
    yield sim.watch("10 % leave at once", 60.0)
    killed = [node for node in sim.nodes[SAMPLED + 1 :: 10] if node.alive]
    gone = [client for client in sim.clients[1::10] if client.alive]
    sim.leave([*killed, *gone], word=False)
    yield sim.watch("10 % vanish at once", 260.0)
    sim.parted = True
    sim.run(sim.now + 300.0)
    sim.parted = False
    yield sim.watch("a partition of 5 min heals", 60.0 + 2 * many)


def entry_bytes(count: int = 20_000) -> float:
    """Return what a client costs: with two network devices, a session and a shared list of methods."""
    table = ClientTable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(count):
            devices = [
                Device.of(f"eth{d}", f"10.{d}.{n >> 8 & 255}.{n & 255}", f"fe80::{d}:{n:x}",
                          f"52:54:00:{d:02x}:{n >> 8 & 255:02x}:{n & 255:02x}", "255.0.0.0", "10.255.255.255")
                for d in range(2)
            ]  # fmt: skip
            id_ = f"{n:08x}-4e43-4a5e-9c0e-5254001234ab"
            table.announced(id_, f"{n:016x}", f"desktop-{n}", "clients", devices, CLIENT_METHODS, 0.0)
            table.session(id_, f"{n:016x}", [f"user{n}"], 1.0)
        return (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()


def draw(simulation: Simulation, path: Path) -> None:
    """Write the messages of each second as a picture."""
    kinds = {
        "ClientAnnounce": "#1f77b4", "ClientPing": "#9ecae1", "NodeCapabilities": "#d62728",
        "NodeStatus": "#ff9896", "NodeAnnounce": "#2ca02c",
    }  # fmt: skip
    end = max(second for second, _ in simulation.counts) + 1
    width, height, left, bottom = 900, 300, 60, 40
    top = max(simulation.counts.values())
    scale = max(len(str(top)), 1)

    def place(second: int, n: int) -> str:
        # Both a node and a hundred thousand clients can be seen on a logarithmic axis only.
        import math

        level = 0.0 if n <= 0 else (math.log10(n) + 0.3) / (scale + 0.3)
        return f"{left + second / end * width:.1f},{height * (1 - level) + 10:.1f}"

    lines = []
    for kind, colour in kinds.items():
        points = " ".join(place(second, simulation.counts[second, kind]) for second in range(end))
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1" points="{points}"/>')
    for row, (kind, colour) in enumerate(kinds.items()):
        lines.append(f'<text x="{left + width - 130}" y="{24 + row * 15}" fill="{colour}">{kind}</text>')
    for power in range(scale):
        y = place(0, 10**power).split(",")[1]
        lines.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{10**power}</text>')
        lines.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#ddd"/>')
    for second in range(0, end, 120):
        x = left + second / end * width
        lines.append(f'<text x="{x:.0f}" y="{height + 28}" text-anchor="middle">{second} s</text>')
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 10} {height + bottom}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        + "".join(lines) + "</svg>\n"
    )  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--nodes", type=int, default=1000)
    options.add_argument("--clients", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--svg", type=Path)
    given = options.parse_args()
    print(f"{given.nodes} nodes, {given.clients} clients, {SAMPLED} full tables; intervals: status "
          f"{STATUS_INTERVAL:.0f} s, a silent node is dropped after {NODE_SILENCE:.0f} s")  # fmt: skip
    print(
        f"{'':28}{'messages of a node':>22}{'of a client':>18}{'peak':>8}{'quiet':>8}"
        f"{'tables agree after':>22}"
    )
    print(
        f"{'':28}{'mean':>14}{'most':>8}{'mean':>10}{'most':>8}{'1/s':>8}{'s':>8}{'nodes':>12}{'clients':>10}"
    )
    simulation = Simulation(given.nodes, given.clients, seed=given.seed)
    began = time.process_time()
    for phase in scenarios(simulation):
        print(
            f"{phase.name:28}{phase.node_messages:14.2f}{phase.node_most:8}{phase.client_messages:10.2f}"
            f"{phase.client_most:8}{phase.peak:8}{phase.quiet:8.0f}{phase.agreed_nodes:10.0f} s"
            f"{phase.agreed_clients:8.0f} s",
            flush=True,
        )
    print(f"{simulation.now:.0f} s of virtual time in {time.process_time() - began:.0f} s of CPU")
    print(f"{entry_bytes():.0f} bytes for a client in one table")
    if given.svg is not None:
        draw(simulation, given.svg)
        print(given.svg)


if __name__ == "__main__":
    main()
