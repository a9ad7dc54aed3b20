"""A domain of a thousand nodes and a hundred thousand clients, in one process and in virtual time.

    python -m benchmarks.lifecycle                      # the table below, about a minute or two
    python -m benchmarks.lifecycle --nodes 50 --clients 2000
    python -m benchmarks.lifecycle --svg docs/_static/lifecycle.svg

Every node and every client is the real life cycle (`clacks.agent.lifecycle`, `clacks.client.lifecycle`),
with its own random numbers; ten agents have the real tables, of the others the messages are counted. What a
node without tables must know of them (how many nodes there are, who is unknown) it takes from a sampled agent
on its side of the network. The broker is a delay of 1 to 20 ms, the same for all who hear a message; a page
of clients that one agent asks of another takes 50 ms.

**Quiet** is the moment from which nothing is on its way that could change a table. It comes when

- the last member has come, or left with a word,
- the last message that is no status or ping and was caused by it has been published (a poll of N clients is
  answered within max(10 s, N x 1 ms), so this may take 100 s), and
- whoever ended without a word that all sampled agents could hear has missed three statuses or pings: 35 s
  after its last sign of life for a node, 210 s for a client.
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
from clacks.common.presence import CLIENT_SILENCE, MOST_WANTED, NODE_SILENCE, STATUS_INTERVAL

PAGE = 2000
"""Clients of one page that an agent asks of another, and what it takes, in seconds."""
PAGE_TIME = 0.05

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
    learned: float = float("-inf")
    """When it has taken over the clients of another agent; inf while it is at it."""
    arrives: float = 0.0
    """When the last of its messages arrives."""
    heard: float = 0.0
    """When it published anything last, pings and statuses included."""


@dataclass(frozen=True)
class Phase:
    """What a scenario showed."""

    name: str
    node_messages: float
    """Messages published by one node, statuses left out, on average."""
    node_most: int
    node_pages: float
    """Pages of clients that one node sent to others who asked for them, on average."""
    client_messages: float
    """Messages published by one client, pings left out, on average."""
    client_most: int
    peak: int
    """Most messages published in one second."""
    agreed_nodes: float
    """Seconds from the event until all sampled tables hold exactly the living nodes, with capabilities."""
    agreed_clients: float
    quiet_nodes: float
    """Seconds from the event until it is quiet, as far as nodes are concerned."""
    quiet_clients: float

    @property
    def late_nodes(self) -> float:
        """Seconds after quiet until the tables of nodes agree; below 0 if they never do."""
        return -1.0 if self.agreed_nodes < 0 else max(0.0, self.agreed_nodes - self.quiet_nodes)

    @property
    def late_clients(self) -> float:
        """Seconds after quiet until the tables of clients agree; below 0 if they never do."""
        return -1.0 if self.agreed_clients < 0 else max(0.0, self.agreed_clients - self.quiet_clients)


class Simulation:
    """A domain; time goes on with `run`."""

    def __init__(self, nodes: int, clients: int, *, sampled: int = SAMPLED, seed: int = 1) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.parted = False
        self.counts: Counter[tuple[int, str]] = Counter()
        """Messages by second and kind."""
        # When a message other than status and ping went out last, or somebody is missed at the latest.
        self.quiet = {"Node": 0.0, "Client": 0.0}
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
            assert view.clients is not None
            strangers = 0 if self.knows(member) else view.clients.strangers
            for act in member.life.due(self.now, self.expected(member), strangers):
                if act is Act.LEARN:
                    self.learn(member)
                elif act is Act.SEEK:
                    self.publish(member, "ClientPoll", view.clients.wanted(MOST_WANTED))
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

    def publish(self, sender: Member, kind: str, wanted: list[str] | None = None) -> None:
        sender.sent[kind] += 1
        sender.heard = self.now
        self.counts[int(self.now), kind] += 1
        if kind not in ("NodeStatus", "ClientPing"):
            self.stir("Node" if kind.startswith("Node") else "Client")
        if kind == "ClientPoll":
            self.polls.append(self.now)
        # What one member sends arrives in its order: it goes over one connection.
        sender.arrives = max(sender.arrives, self.now + self.random.uniform(0.001, 0.020))
        self.at(sender.arrives, lambda: self.deliver(sender, kind, wanted))

    def stir(self, kind: str) -> None:
        """Note that something may change the tables of nodes, or of clients."""
        self.quiet[kind] = max(self.quiet[kind], self.now)

    def deliver(self, sender: Member, kind: str, wanted: list[str] | None = None) -> None:
        now = self.now
        unknown_node = unknown_client = met_node = False
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
                    met_node |= sender.id not in nodes
                    entry = nodes.status(sender.id, sender.id, 0.1, 0.001, 8, None, now)
                    unknown_node |= entry is not None and entry.methods is None
                case "NodeLeave":
                    nodes.left(sender.id, sender.id, now)
                case "ClientAnnounce":
                    clients.announced(
                        sender.id, sender.id, sender.id, "clients", self.devices, CLIENT_METHODS, now
                    )
                case "ClientPing":
                    client = clients.heard(sender.id, sender.id, now)
                    unknown_client |= client is not None and not client.known
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
            if met_node:
                for node in self.hearers(sender):
                    node.life.met(now, len(self.view_tables(node)))  # type: ignore[union-attr]
                    self.schedule(node)
            if unknown_node:
                for node in self.hearers(sender):
                    node.life.miss_node(now, len(self.view_tables(node)))  # type: ignore[union-attr]
                    self.schedule(node)
        elif kind == "ClientPing":
            if unknown_client and now - self._asked[sender.side] >= 1.0:
                self._asked[sender.side] = now
                for node in self.hearers(sender):
                    if self.knows(node):
                        continue
                    node.life.miss_client(now, len(self.view_tables(node)))  # type: ignore[union-attr]
                    self.schedule(node)
        elif kind == "ClientPoll":
            expected = len(wanted) if wanted else self.expected(sender)
            named = frozenset(wanted or ())
            covered = {
                sampled.id: not named or named.issuperset(self.view_clients(sampled).wanted(MOST_WANTED))
                for sampled in self.sampled
            }
            for node in self.nodes:
                if node is not sender and self.reaches(sender, node):
                    node.life.heard_poll(now, expected, ours=covered[self.view(node).id])  # type: ignore[union-attr]
            for member in self.clients:
                if self.reaches(sender, member) and (not named or member.id in named):
                    member.life.polled(now, expected)  # type: ignore[union-attr]
                    self.schedule(member)

    def knows(self, node: Member) -> bool:
        """Tell whether a node has, or is about to have, the clients that the table it looks at may lack."""
        assert isinstance(node.life, Lifecycle)
        if node.learned == float("inf"):
            return True
        return node.clients is None and node.life.met_at <= node.learned and self.now - node.learned < 30.0

    def expected(self, node: Member) -> int:
        assert isinstance(node.life, Lifecycle)
        return self.view_clients(node).expected(self.now, max(node.life.connected_at, node.life.met_at))

    def view_tables(self, node: Member) -> NodeTable:
        nodes = self.view(node).nodes
        assert nodes is not None
        return nodes

    def view_clients(self, node: Member) -> ClientTable:
        clients = self.view(node).clients
        assert clients is not None
        return clients

    def hearers(self, sender: Member) -> Iterator[Member]:
        return (node for node in self.nodes if node is not sender and self.reaches(sender, node))

    def _not_alone(self, sender: Member) -> None:
        for node in self.hearers(sender):
            life = node.life
            assert isinstance(life, Lifecycle)
            known = self.view_tables(node).get(sender.id) if life.alone else None
            if known is not None and not known.came_after(life.connected_at):
                life.heard_node()

    def learn(self, node: Member) -> None:
        """Take the clients over from another agent, as the service does with commands: any that we met."""
        life = node.life
        assert isinstance(life, Lifecycle)
        nodes = self.view_tables(node)
        peers = [
            other
            for other in self.random.sample(self.nodes, min(50, len(self.nodes)))
            if other is not node
            and self.reaches(node, other)
            and (known := nodes.get(other.id)) is not None
            and known.methods is not None
            and known.since >= life.met_at
            and not known.came_after(life.connected_at)
        ]
        if not peers:
            life.learned(self.now, len(nodes), all_of_them=False)
            self.schedule(node)
            return
        peer = peers[0]
        theirs = self.view_clients(peer)
        pages = len(theirs) // PAGE + 1
        peer.sent["page"] += pages

        node.learned = float("inf")

        def learned() -> None:
            node.learned = self.now
            if node.clients is not None:
                self.take_over(node.clients, theirs)
            self.stir("Client")
            life.learned(self.now, len(nodes), all_of_them=True)

        self.at(self.now + pages * PAGE_TIME, learned)

    def take_over(self, mine: ClientTable, theirs: ClientTable) -> None:
        for client in theirs:
            assert client.announced is not None
            methods = client.methods.items if client.methods is not None else ()
            mine.learned(
                client.id, client.instance, client.name, client.user, client.devices, methods, client.users,
                since=client.since, heard=client.heard, announced=client.announced, now=self.now,
            )  # fmt: skip

    # -- what happens to members

    def connect(self, members: list[Member], within: float) -> None:
        for member in members:

            def up(member: Member = member) -> None:
                member.alive = True
                member.life.connected(self.now)
                self.schedule(member)
                self.stir("Node" if isinstance(member.life, Lifecycle) else "Client")

            self.at(self.now + self.random.uniform(0.0, within), up)

    def leave(self, members: list[Member], *, word: bool) -> None:
        for member in members:
            acts = member.life.stop()
            node = isinstance(member.life, Lifecycle)
            if word:
                for act in acts:
                    self.publish(member, act.value)
            if not word or self.parted:
                kind, silence = ("Node", NODE_SILENCE) if node else ("Client", CLIENT_SILENCE)
                self.quiet[kind] = max(self.quiet[kind], member.heard + silence)
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
        node_counts: list[int] = []
        client_counts: list[int] = []
        pages = 0
        for member, earlier in before:
            beat = "NodeStatus" if isinstance(member.life, Lifecycle) else "ClientPing"
            pages += member.sent["page"] - earlier.get("page", 0)
            sent = sum(
                n - earlier.get(kind, 0) for kind, n in member.sent.items() if kind not in (beat, "page")
            )
            (node_counts if beat == "NodeStatus" else client_counts).append(sent)
        seconds: Counter[int] = Counter()
        for (second, _), n in self.counts.items():
            if began <= second < began + length:
                seconds[second] += n
        return Phase(
            name,
            sum(node_counts) / max(1, len(node_counts)),
            max(node_counts, default=0),
            pages / max(1, len(node_counts)),
            sum(client_counts) / max(1, len(client_counts)),
            max(client_counts, default=0),
            max(seconds.values(), default=0),
            -1.0 if seen[0] is None else seen[0],
            -1.0 if seen[1] is None else seen[1],
            max(0.0, self.quiet["Node"] - began),
            max(0.0, self.quiet["Client"] - began),
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
    # Meanwhile life goes on: who comes and who leaves now is heard of on one side only.
    coming = [client for client in sim.clients[::10] if not client.alive][: max(1, len(sim.clients) // 100)]
    for client in coming:
        client.life = client_lifecycle.Lifecycle(Random(sim.random.random()))
    sim.connect(coming, within=60.0)
    sim.run(sim.now + 60.0)
    sim.leave([client for client in sim.clients[2::100] if client.alive], word=True)
    sim.run(sim.now + 240.0)
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
    print(f"{'':28}{'messages of a node':>22}{'of a client':>16}{'peak':>8}"
          f"{'quiet after':>18}{'tables agree after':>22}{'after quiet':>18}")  # fmt: skip
    print(f"{'':28}{'mean':>6}{'most':>6}{'pages':>10}{'mean':>10}{'most':>6}{'1/s':>8}"
          f"{'nodes':>9}{'clients':>9}{'nodes':>13}{'clients':>9}{'nodes':>9}{'clients':>9}")  # fmt: skip
    simulation = Simulation(given.nodes, given.clients, seed=given.seed)
    began = time.process_time()
    for phase in scenarios(simulation):
        print(
            f"{phase.name:28}{phase.node_messages:6.2f}{phase.node_most:6}{phase.node_pages:10.1f}"
            f"{phase.client_messages:10.2f}{phase.client_most:6}{phase.peak:8}"
            f"{phase.quiet_nodes:7.0f} s{phase.quiet_clients:7.0f} s"
            f"{phase.agreed_nodes:11.0f} s{phase.agreed_clients:7.0f} s"
            f"{phase.late_nodes:7.0f} s{phase.late_clients:7.0f} s",
            flush=True,
        )
    print(f"{simulation.now:.0f} s of virtual time in {time.process_time() - began:.0f} s of CPU")
    print(f"{entry_bytes():.0f} bytes for a client in one table")
    if given.svg is not None:
        draw(simulation, given.svg)
        print(given.svg)


if __name__ == "__main__":
    main()
