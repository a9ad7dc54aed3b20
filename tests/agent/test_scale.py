"""The simulation of scale, in small; ``python -m benchmarks.lifecycle`` is the large one."""

from __future__ import annotations

import pytest

from benchmarks.lifecycle import Simulation, scenarios
from clacks.common.presence import CLIENT_SILENCE, NODE_SILENCE, STATUS_INTERVAL, client_window

NODES, CLIENTS = 40, 600


@pytest.mark.slow
def test_tables_agree_and_messages_stay_few_on_a_bad_day() -> None:
    simulation = Simulation(NODES, CLIENTS)
    seen = {phase.name: phase for phase in scenarios(simulation)}
    soon = 2 * STATUS_INTERVAL
    for name, phase in seen.items():
        # Constant per member, whatever their number: announcement, capabilities, and two repeats of them.
        assert phase.node_most <= 4, name
        assert phase.client_most <= 2, name
        # Every agent asks one other for its clients, which are one page here.
        assert phase.node_pages <= 1.0, name
        assert 0 <= phase.late_nodes <= soon, name
        assert 0 <= phase.late_clients <= soon, name
    # Quiet is not put off: it comes with the last answer, or when those that were killed have missed three.
    assert seen["start-up storm"].quiet_clients <= 12.0
    vanished = seen["10 % vanish at once"]
    assert vanished.quiet_nodes <= NODE_SILENCE
    assert vanished.quiet_clients <= CLIENT_SILENCE
    # Agents of both sides of a partition tell each other; nobody waits for the clients to say a word.
    healed = seen["a partition of 5 min heals"]
    assert healed.agreed_nodes <= soon
    assert healed.agreed_clients <= soon
    assert healed.client_messages < 0.1
    poll = seen["poll storm"]
    assert poll.client_messages == 1.0
    assert poll.quiet_clients <= client_window(CLIENTS) + 1.0
    # Spread over ten seconds, not all in one.
    assert poll.peak < CLIENTS / 10 * 1.6 + NODES


@pytest.mark.slow
def test_messages_of_a_node_do_not_grow_with_their_number() -> None:
    most = {}
    for count in (20, 80):
        simulation = Simulation(count, 0, seed=3)
        simulation.connect(simulation.nodes, within=1.0)
        most[count] = simulation.watch("start", 30.0).node_messages
    assert most[80] <= most[20] + 1.0
