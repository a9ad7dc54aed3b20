"""Links with sessions of their own (RabbitMQ): the broker's end that follows ours freed the session again.

The memory belonged to others by then; some time later the C library aborted the process.
"""

from __future__ import annotations

import pytest
from proton import Session

from clacks.amqp.connection import BusConnection, ReceiveFrom, SendTo
from tests.amqp.brokers import Script, SmallBroker
from tests.amqp.pumping import pump


@pytest.mark.parametrize("closed_by_us", [True, False])
def test_the_session_of_a_link_is_freed_once(monkeypatch: pytest.MonkeyPatch, closed_by_us: bool) -> None:
    freed: list[object] = []
    free = Session.free

    def noted(session: Session) -> None:
        freed.append(session._impl)
        if freed.count(session._impl) == 1:
            free(session)

    monkeypatch.setattr(Session, "free", noted)
    broker = SmallBroker(Script("RabbitMQ", "3.10.8", ()))
    client = BusConnection(container_id="test")
    client.open()
    pump((client, broker.engine))  # type: ignore[arg-type]
    links = [client.open_receiver(ReceiveFrom("a", 10), "a"), client.open_sender(SendTo("b"), "b")]
    pump((client, broker.engine))  # type: ignore[arg-type]
    if closed_by_us:
        for link in links:
            client.close_link(link)
    else:
        for theirs in (*broker.receivers.values(), *broker.senders.values()):
            theirs.link.session.close()
        broker.engine.touch()
    pump((client, broker.engine))  # type: ignore[arg-type]
    assert len(freed) == 2
    assert freed[0] != freed[1]
