"""Show one event go the whole way: start a bus, the receiver and the sender, and stop them all again.

The two programs are those of the documentation, examples/receiver.py and examples/sender.py. Only their ports
are changed to free ones, so that the demo disturbs no bus that runs already; state is kept in a folder that
goes away.
"""

from __future__ import annotations

import ast
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 60.0
began = time.monotonic()


def say(text: str) -> None:
    """Show what is being done."""
    print(f"[demo {time.monotonic() - began:4.1f}s] {text}", flush=True)


class Program:
    """A process whose lines can be waited for."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, timeout: float) -> str | None:
        """Return the next line; None if there is none in time. Raises RuntimeError if it ended."""
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            return None
        if line is None:
            raise RuntimeError(f"it ended with {self.process.wait()}")
        return line

    def stop(self) -> None:
        """Press Ctrl-C, and be less polite after ten seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def with_port(name: str, urls: dict[str, str], folder: Path) -> str:
    """Write a program of the documentation with other ports and return the path of the copy."""
    text = (ROOT / "examples" / name).read_text("utf-8")
    changed = re.sub(r"(amqps?)://admin:secret@localhost/", lambda found: urls[found[1]] + "/", text)
    path = folder / name
    path.write_text(changed, "utf-8")
    return str(path)


def main() -> int:
    """Run the demo and return its exit code."""
    running: list[Program] = []
    with tempfile.TemporaryDirectory(prefix="clacks-demo-") as name:
        folder = Path(name)
        env = {key: value for key, value in os.environ.items() if not key.startswith("CLACKS_")}
        env |= {"CLACKS_STATE_DIR": str(folder / "state"), "XDG_STATE_HOME": name, "PYTHONUNBUFFERED": "1"}
        try:
            say("starting a broker and an agent: clacks up --user admin:secret")
            up = Program(
                sys.executable, "-m", "clacks.cli.main", "up", "--user", "admin:secret",
                "--port", "0", "--tls-port", "0", env=env,
            )  # fmt: skip
            running.append(up)
            urls: dict[str, str] = {}
            while (line := up.line(LIMIT)) != "ready":
                if line is None:
                    raise RuntimeError("clacks up does not become ready")
                if found := re.fullmatch(r"(amqps?)://(localhost:\d+)/org\.clacks", line):
                    urls[found[1]] = f"{found[1]}://admin:secret@{found[2]}"
                    say(f"listening on {line}")
            say("starting the receiver: examples/receiver.py, over TLS")
            receiver = Program(sys.executable, with_port("receiver.py", urls, folder), env=env)
            running.append(receiver)
            sender = with_port("sender.py", urls, folder)
            received = None
            # The receiver does not say when it listens, and an event that nobody hears is lost.
            for _ in range(10):
                time.sleep(1.0)
                say("sending an event: examples/sender.py")
                subprocess.run([sys.executable, sender], env=env, check=True, timeout=LIMIT)
                received = receiver.line(2.0)
                if received is not None:
                    break
            if received is None:
                raise RuntimeError("no event came through")
            if not received.startswith("b'"):  # the receiver prints bytes, as the documentation has it
                raise RuntimeError(f"the receiver says: {received}")
            say("the receiver got:")
            print(ast.literal_eval(received).decode(), flush=True)
        except (RuntimeError, subprocess.SubprocessError) as error:
            say(f"failed: {error}")
            for program in running:
                while not program.lines.empty():
                    print(f"    {program.lines.get()}")
            return 1
        finally:
            for program in reversed(running):
                program.stop()
    say("stopped everything")
    return 0


if __name__ == "__main__":
    sys.exit(main())
