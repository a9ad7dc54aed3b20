from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from clacks.common.components.handover import Handover


def in_order(count: int, most: int) -> list[int]:
    """Carry numbers from a loop to a thread and return what arrived."""
    arrived: list[int] = []

    async def carry() -> None:
        loop = asyncio.get_running_loop()

        def soon(function: Callable[[], object]) -> None:
            loop.call_soon_threadsafe(function)

        handover: Handover[int] = Handover(soon, most)
        done = asyncio.Event()

        def work() -> None:
            while items := handover.take():
                arrived.extend(items)
                if len(arrived) == count:
                    soon(done.set)

        thread = threading.Thread(target=work)
        thread.start()
        for number in range(count):
            await handover.put(number)
        await asyncio.wait_for(done.wait(), 10)
        handover.close()
        thread.join(10)
        assert not thread.is_alive()

    asyncio.run(carry())
    return arrived


def test_items_arrive_in_order() -> None:
    assert in_order(5000, 64) == list(range(5000))


def test_items_arrive_in_order_one_at_a_time() -> None:
    assert in_order(200, 1) == list(range(200))


def test_put_waits_while_the_worker_has_enough() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        handover: Handover[int] = Handover(lambda f: loop.call_soon_threadsafe(f) and None, 2)
        await handover.put(1)
        second = asyncio.ensure_future(handover.put(2))
        await asyncio.sleep(0)
        assert not second.done()
        assert handover.take() == [1, 2]
        await asyncio.wait_for(second, 10)

    asyncio.run(scenario())


def test_closing_wakes_both_sides_and_counts_what_is_thrown_away() -> None:
    async def scenario() -> None:
        handover: Handover[int] = Handover(lambda f: None, 1)
        waiting = asyncio.ensure_future(handover.put(1))
        await asyncio.sleep(0)
        assert handover.close() == 1
        await asyncio.wait_for(waiting, 10)
        assert handover.take() == []
        assert handover.closed

    asyncio.run(scenario())


def test_a_worker_that_sleeps_is_woken_by_closing() -> None:
    handover: Handover[int] = Handover(lambda f: None)
    got: list[list[int]] = []
    thread = threading.Thread(target=lambda: got.append(handover.take()))
    thread.start()
    handover.close()
    thread.join(10)
    assert got == [[]]
