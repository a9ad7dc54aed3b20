"""Examples as they are run by people: each a process of its own, joined by ``clacks up``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

__all__ = ["EXAMPLES", "Program", "environment", "running_bus", "wait_for"]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
LIMIT = 30.0


def wait_for(condition: Callable[[], bool], limit: float = LIMIT) -> None:
    """Wait until a condition is true; fail if that takes too long."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.01)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody whose home is empty."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLACKS_", "XDG_"))}
    state = {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "CLACKS_STATE_DIR": str(home / "state"),
    }
    # No buffering, so that lines can be waited for; and no colours.
    return {**kept, **state, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **more}


class Program:
    """A running program, whose lines are read as they come."""

    def __init__(self, *command: str | Path, env: Mapping[str, str]) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(env),
        )
        pipes = ((self._process.stdout, self.out), (self._process.stderr, self.err))
        self._readers = [threading.Thread(target=_read, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until so many lines hold this text."""
        end = time.monotonic() + LIMIT
        while sum(text in line for line in self.out) < count:
            assert time.monotonic() < end, f"{text!r} never came: {self}"
            assert self._process.poll() is None or self._readers[0].is_alive(), f"it ended: {self}"
            time.sleep(0.01)

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(LIMIT)
        for reader in self._readers:
            reader.join(LIMIT)
        return code

    def __str__(self) -> str:
        return f"out={self.out[-20:]} err={self.err[-20:]}"

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                for reader in self._readers:
                    reader.join(LIMIT)
                pipe.close()


def _read(pipe: object, lines: list[str]) -> None:
    for line in pipe:  # type: ignore[attr-defined]  # an open pipe of text
        lines.append(line.rstrip("\n"))


@contextmanager
def running_bus(home: Path, *options: str) -> Iterator[Program]:
    """Run ``clacks up --user admin:secret`` and stop it again by Ctrl-C."""
    env = environment(home)
    command = (sys.executable, "-m", "clacks.cli.main", "up", "--user", "admin:secret", *options)
    with Program(*command, env=env) as bus:
        bus.wait_for("ready")
        yield bus
        assert bus.interrupt() == 0, str(bus)
