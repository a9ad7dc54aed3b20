from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from clacks.net.threads import BackgroundLoop, Lease


async def nothing() -> None: ...


def wait_for(condition: Callable[[], bool], limit: float = 10.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.005)


async def answer() -> int:
    return 42


def test_a_coroutine_runs_on_the_thread_of_the_loop() -> None:
    lease = BackgroundLoop().lease(nothing)

    async def who() -> threading.Thread:
        return threading.current_thread()

    assert lease.run(who()) is lease.thread
    assert lease.thread is not threading.current_thread()
    lease.close()


def test_errors_of_the_coroutine_are_raised() -> None:
    async def fail() -> None:
        raise KeyError("x")

    lease = BackgroundLoop().lease(nothing)
    with pytest.raises(KeyError):
        lease.run(fail())
    lease.close()


def test_the_thread_ends_with_the_last_lease() -> None:
    background = BackgroundLoop()
    one, two = background.lease(nothing), background.lease(nothing)
    assert one.thread is two.thread
    one.close()
    assert two.thread.is_alive()
    assert two.run(answer()) == 42
    two.close()
    assert not two.thread.is_alive()
    assert two.over


def test_a_new_lease_starts_a_new_thread() -> None:
    background = BackgroundLoop()
    one = background.lease(nothing)
    one.close()
    two = background.lease(nothing)
    assert two.run(answer()) == 42
    two.close()


def test_the_goodbye_runs_on_the_loop_once() -> None:
    said: list[threading.Thread] = []

    async def goodbye() -> None:
        said.append(threading.current_thread())

    lease = BackgroundLoop().lease(goodbye)
    lease.release()
    lease.release()
    lease.close()
    assert said == [lease.thread]


def test_a_goodbye_that_fails_is_logged_and_the_thread_ends(caplog: pytest.LogCaptureFixture) -> None:
    async def goodbye() -> None:
        raise OSError("gone")

    lease = BackgroundLoop().lease(goodbye)
    lease.close()
    assert not lease.thread.is_alive()
    assert "closing failed" in caplog.text


def test_a_goodbye_that_hangs_is_cut_off(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clacks.net.threads.CLOSING_TIME", 0.05)
    lease = BackgroundLoop().lease(lambda: asyncio.sleep(3600))
    lease.close(timeout=10)
    assert not lease.thread.is_alive()
    assert "too long" in caplog.text


def test_tasks_left_over_are_cancelled() -> None:
    ended: list[str] = []

    async def leave_behind() -> None:
        async def forever() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append("cancelled")

        leave_behind.task = asyncio.ensure_future(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    lease = BackgroundLoop().lease(nothing)
    lease.run(leave_behind())
    lease.close()
    assert ended == ["cancelled"]


def test_a_lease_given_back_cannot_be_used() -> None:
    lease = BackgroundLoop().lease(nothing)
    lease.close()
    with pytest.raises(RuntimeError, match="already closed"):
        lease.run(answer())


def test_waiting_on_the_loops_own_thread_is_an_error_and_no_deadlock() -> None:
    lease = BackgroundLoop().lease(nothing)

    async def wait_for_myself() -> None:
        lease.run(answer())

    with pytest.raises(RuntimeError, match="wait for itself"):
        lease.run(wait_for_myself())
    lease.close()


def test_closing_on_the_loops_own_thread_is_no_deadlock() -> None:
    lease = BackgroundLoop().lease(nothing)
    lease.soon(lease.close)
    wait_for(lambda: lease.over and not lease.thread.is_alive())


def test_leases_can_be_given_back_by_finalizers_on_any_thread() -> None:
    class Owner:
        def __init__(self, lease: Lease) -> None:
            self.circle = self
            weakref.finalize(self, lease.release)

    background = BackgroundLoop()
    leases = [background.lease(nothing) for _ in range(20)]
    for lease in leases:
        Owner(lease)
    keep = background.lease(nothing)
    keep.soon(gc.collect)
    wait_for(lambda: all(lease.over for lease in leases))
    keep.close()


def test_many_threads_take_and_give_back_leases() -> None:
    background = BackgroundLoop()
    failures: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(20):
                lease = background.lease(nothing)
                assert lease.run(answer()) == 42
                lease.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert not background._leases


def test_shutdown_takes_all_leases_back() -> None:
    background = BackgroundLoop()
    leases = [background.lease(nothing) for _ in range(3)]
    background.shutdown()
    assert all(lease.over for lease in leases)
    assert not leases[0].thread.is_alive()


@pytest.mark.slow
def test_a_forked_child_begins_anew_and_leaves_the_parents_loop_alone() -> None:
    text = """
import asyncio, os, sys
from clacks.net.threads import background_loop
async def nothing(): ...
async def answer(): return 42
mine = background_loop().lease(nothing)
assert mine.run(answer()) == 42
child = os.fork()
if child == 0:
    code = 1
    try:
        mine.run(answer())
    except RuntimeError as error:
        assert "forked" in str(error), error
        mine.close()
        fresh = background_loop().lease(nothing)
        assert fresh.run(answer()) == 42
        fresh.close()
        code = 0
    sys.exit(code)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert mine.run(answer()) == 42
mine.close()
print("good")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ,
    )
    assert (done.stdout.strip(), done.stderr) == ("good", "")


@pytest.mark.slow
def test_the_interpreter_ends_at_once_with_a_lease_in_use() -> None:
    text = """
import asyncio
from clacks.net.threads import background_loop
async def goodbye(): print("goodbye", flush=True)
lease = background_loop().lease(goodbye)
"""
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("goodbye", "")
    assert time.monotonic() - begin < 10
