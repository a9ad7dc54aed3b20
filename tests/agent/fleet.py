"""A broker, agents and clients as processes of their own, which can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from clacks.cli.files import write_credentials
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.settings import Settings
from tests.cli.processes import CLACKS, environment

__all__ = ["USERS", "Fleet", "fleet", "free_port"]

USERS = ("admin", "agent", "machine")

WORK = '''
import os
import time

from clacks.agent.command import Command

FOLDER = os.environ["FLEET_FOLDER"]
NODE = os.environ["CLACKS_NODE"]


def note(word, number):
    # One write with O_APPEND: whole lines, also if we are killed in the next moment.
    file = os.open(os.path.join(FOLDER, "work.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {number} {NODE} {os.getpid()}\\n".encode())
    os.close(file)


@Command
def work(number: str, seconds: float = 0.0) -> str:
    """Write down that it began, and that it is done."""
    note("begun", number)
    time.sleep(seconds)
    note("done", number)
    return NODE
'''

RIGHTS = """
[users.admin]
roles = ["admin"]
[users.agent]
roles = ["agent"]
[users.machine]
roles = ["client", "any-id"]
[roles.any-id]
announce = ["*"]
"""


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Fleet:
    """Processes by name; ``url`` is where they meet."""

    def __init__(self, folder: Path, broker: str | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.broker = broker
        (folder / "fleet_work.py").write_text(WORK)
        # What `clacks users add` would write, without a process for each of them.
        settings = Settings(state_dir=folder / "state" / "clacks")
        users = Credentials()
        for name in USERS:
            users = users.joined(make_credentials(name, "secret"))
        write_credentials(settings, users)
        settings.rights_file.write_text(RIGHTS)

    def url(self, user: str = "admin", *, password: bool = True) -> str:
        """Return the URL of the bus."""
        if self.broker is not None:
            return self.broker.format(user=f"{user}:secret" if password else user)
        login = f"{user}:secret" if password else user
        return f"amqp://{login}@127.0.0.1:{self.port}/org.clacks"

    def start(self, name: str) -> None:
        """Start a process: ``broker``, ``agent-N`` or ``client-N``."""
        kind = name.partition("-")[0]
        arguments = {
            "broker": ["broker", "--host", "127.0.0.1", "--port", str(self.port), "--tls-port", "0"],
            "agent": ["agent", "--node", name],
            "client": ["client", "--id", name, "--name", name, "--state-dir", str(self.folder / name)],
        }[kind]
        more = {} if kind == "broker" else {"CLACKS_URL": self.url("agent" if kind == "agent" else "machine")}
        if kind == "agent":
            more |= {
                "CLACKS_PLUGINS": "fleet_work",
                "CLACKS_NODE": name,
                "FLEET_FOLDER": str(self.folder),
                "PYTHONPATH": str(self.folder),
            }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*CLACKS, *arguments],
                env=environment(self.folder, **more),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def ready(self, name: str, limit: float = 60.0) -> None:
        """Wait until a process says that it is ready for the last time that it was started."""
        log, end = self.folder / f"{name}.log", time.monotonic() + limit
        while not log.read_bytes().rstrip().endswith(b"ready") and b"\nready\n" not in log.read_bytes():
            assert self.processes[name].poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)

    def stop(self, name: str, *, kill: bool, politely: signal.Signals = signal.SIGTERM) -> None:
        """End a process: at once, or as an operator would (Ctrl-C is SIGINT)."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL if kill else politely)
        process.wait(30)

    def worked(self) -> tuple[list[str], list[str]]:
        """Return what was begun and what was done, in that order."""
        log = self.folder / "work.log"
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        return (
            [number for word, number, *_ in lines if word == "begun"],
            [number for word, number, *_ in lines if word == "done"],
        )


@contextlib.contextmanager
def fleet(folder: Path, broker: str | None = None) -> Iterator[Fleet]:
    """Make a fleet and end what is left of it."""
    this = Fleet(folder, broker)
    os.environ.pop("FLEET_FOLDER", None)
    try:
        yield this
    finally:
        for process in this.processes.values():
            process.kill()
        for process in this.processes.values():
            process.wait(30)
