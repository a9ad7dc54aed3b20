"""Start ``clacks`` as a process of its own, as a user would, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CLACKS = [sys.executable, "-m", "clacks.cli.main"]
START = 30.0


@dataclass
class Service:
    """A running service and what it said."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    def url(self, scheme: str, login: str = "") -> str:
        """Return one of the URLs that it printed, with a login put in."""
        (url,) = [line for line in self.out if line.startswith(f"{scheme}://")]
        return url.replace("://", f"://{login}@") if login else url

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(START)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return variables with which a command sees nothing of who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLACKS_", "XDG_"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **more}


@contextlib.contextmanager
def running(*arguments: str, home: Path, **more: str) -> Iterator[Service]:
    """Run ``clacks`` with these arguments until the end of the block; wait until it says ready."""
    service = Service(
        subprocess.Popen(
            [*CLACKS, *arguments],
            env=environment(home, **more),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    )

    def read_out() -> None:
        assert service.process.stdout is not None
        for line in service.process.stdout:
            service.out.append(line.rstrip("\n"))
            if service.out[-1] == "ready":
                service.ready.set()
        service.ready.set()

    def read_err() -> None:
        assert service.process.stderr is not None
        service.err.extend(line.rstrip("\n") for line in service.process.stderr)

    threads = [threading.Thread(target=read, daemon=True) for read in (read_out, read_err)]
    for thread in threads:
        thread.start()
    try:
        assert service.ready.wait(START), f"not ready: {service.out} {service.err}"
        if "ready" not in service.out:
            service.process.wait(START)
            threads[1].join(START)
            raise AssertionError(f"ended: {service.out} {service.err}")
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait(START)
        for thread in threads:
            thread.join(START)
        for stream in (service.process.stdout, service.process.stderr):
            if stream is not None:
                stream.close()


def clacks(*arguments: str, home: Path, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*CLACKS, *arguments],
        env=environment(home, **more),
        cwd=home,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
