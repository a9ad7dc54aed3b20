"""Join the two ends of a connection in one process."""

from __future__ import annotations

from clacks.amqp.engine import Engine


def pump(*pairs: tuple[Engine, Engine], rounds: int = 100) -> None:
    """Carry bytes between the two engines of each pair until all are quiet."""
    for _ in range(rounds):
        moved = False
        for one, other in pairs:
            for source, target in ((one, other), (other, one)):
                data = source.bytes_to_send()
                if data:
                    moved = True
                    target.receive(data)
        if not moved:
            return
    raise AssertionError("the two ends never fall silent")
