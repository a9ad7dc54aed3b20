"""A private node of a Java broker: own ports, own folder, own users; nothing of the system's is touched.

    with JavaBroker(ARTEMIS, {"admin": "secret"}) as broker:
        print(broker.url)          # amqp://admin:secret@127.0.0.1:41234/org.clacks

Run as a program one stays until Ctrl-C, to try things by hand: ``python -m scripts.brokers.java artemis``.
What differs between the products is in a file each: how the configuration is written, and the command line.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificates

from scripts.brokers.distributions import DISTRIBUTIONS, Unavailable, java
from scripts.brokers.ports import free_ports

__all__ = ["KEY_PASSWORD", "JavaBroker", "Plan", "Product"]

KEY_PASSWORD: Final = "only-for-tests"
_START_SECONDS: Final = 90

# Waits for the end of its standard input, which is the end of us, however that comes: a test run that is
# killed must not leave a broker behind.
_WATCH: Final = """\
read -r _
kill -TERM "$1"
for _ in $(seq 100); do kill -0 "$1" || break; sleep 0.1; done
kill -KILL "$1"
rm -rf "$2"
"""


@dataclass(frozen=True)
class Plan:
    """What a product needs to write its configuration.

    Attributes:
        home: The unpacked distribution.
        folder: Where everything of this node goes.
        port, tls_port: Where it listens, on 127.0.0.1; ``tls_port`` only with ``keys``.
        more_ports: Two more, for what a product needs besides.
        users: Passwords by name; all may do everything.
        keys: Certificate and key as PKCS #12, with `KEY_PASSWORD`; None without TLS.
        waiting: How many messages may wait for a slow subscriber.
    """

    home: Path
    folder: Path
    port: int
    tls_port: int
    more_ports: tuple[int, int]
    users: Mapping[str, str]
    keys: Path | None
    waiting: int


@dataclass(frozen=True)
class Product:
    """A broker product: its distribution, and what writes its files and gives the arguments of ``java``."""

    name: str
    prepare: Callable[[Plan], list[str]]


class JavaBroker:
    """One node.

    Args:
        product: Which.
        users: Passwords by name; all may do everything.
        certificate: PEM file with a server certificate and its key, for a TLS port.
        heap: Memory for Java objects, MiB.
        waiting: How many messages may wait for a slow subscriber, as the page of the broker advises.
    """

    def __init__(
        self,
        product: Product,
        users: Mapping[str, str] | None = None,
        *,
        certificate: Path | None = None,
        heap: int = 256,
        waiting: int = 10_000,
    ) -> None:
        self.product = product
        self.users = dict(users or {"admin": "secret"})
        self.port, self.tls_port, *more = free_ports(4)
        self._more_ports = (more[0], more[1])
        self._certificate = certificate
        self._heap = heap
        self._waiting = waiting
        self._command: list[str] = []
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where to connect as the first user, password included."""
        user, password = next(iter(self.users.items()))
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/org.clacks"

    @property
    def core_port(self) -> int:
        """The port for other nodes, of a product that has one."""
        return self._more_ports[0]

    @property
    def pid(self) -> int | None:
        """The process, or None if it does not run."""
        return None if self._process is None else self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time that the node has used since its start."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def resident(self) -> int:
        """Memory that the node holds, bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def __enter__(self) -> JavaBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the node and wait until it serves.

        Raises:
            Unavailable: It was not fetched, or there is no Java.
            RuntimeError: It does not start; the text has the end of its log.
        """
        home = DISTRIBUTIONS[self.product.name].folder()
        self._folder = Path(tempfile.mkdtemp(prefix=f"clacks-{self.product.name}-"))
        keys = None if self._certificate is None else _pkcs12(self._certificate, self._folder)
        plan = Plan(
            home, self._folder, self.port, self.tls_port, self._more_ports, self.users, keys, self._waiting
        )
        self._command = [
            java(),
            f"-Xmx{self._heap}m",
            "-XX:+UseSerialGC",
            f"-Djava.io.tmpdir={self._folder}",
            *self.product.prepare(plan),
        ]
        self._launch()

    def _launch(self) -> None:
        folder = self._path()
        log = (folder / "output").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watcher = subprocess.Popen(
            ["bash", "-c", _WATCH, "watch", str(self._process.pid), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        ports = [self.port, *([self.tls_port] if self._certificate is not None else [])]
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if all(_speaks(port, tls=port != self.port) for port in ports):
                return
            time.sleep(0.1)
        output = (folder / "output").read_text(errors="replace")[-3000:]
        self.stop()
        raise RuntimeError(f"{self.product.name} does not start:\n{output}")

    def stop(self) -> None:
        """End the node, and remove what it wrote."""
        self._end(signal.SIGTERM)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """End the node as a power failure would; `restart` brings it back on the same ports."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again after `kill`, with what it had on disk."""
        self._end(signal.SIGTERM)
        self._launch()

    def signal(self, how: signal.Signals) -> None:
        """Send the node a signal, such as SIGSTOP."""
        if self._process is not None:
            self._process.send_signal(how)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.kill()
            watcher.communicate()

    def log(self) -> str:
        """Return what the node wrote so far."""
        return (self._path() / "output").read_text(errors="replace")

    def _path(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the node is not started")
        return self._folder


def _pkcs12(pem: Path, folder: Path) -> Path:
    text = pem.read_bytes()
    key = serialization.load_pem_private_key(text, None)
    certificate, *chain = load_pem_x509_certificates(text)
    file = folder / "keys.p12"
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"broker",
            key,  # type: ignore[arg-type]  # one of the kinds that a certificate can have
            certificate,
            chain,
            serialization.BestAvailableEncryption(KEY_PASSWORD.encode()),
        )
    )
    return file


def _speaks(port: int, *, tls: bool) -> bool:
    """Tell whether somebody answers there: with AMQP's SASL header, or at all where TLS comes first."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            if tls:
                return True
            connection.sendall(b"AMQP\x03\x01\x00\x00")
            return connection.recv(8).startswith(b"AMQP")
    except OSError:
        return False


def main() -> None:
    """Run a node until Ctrl-C."""
    from scripts.brokers.products import PRODUCTS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("product", choices=sorted(PRODUCTS))
    try:
        with JavaBroker(PRODUCTS[parser.parse_args().product]) as broker:
            sys.stdout.write(f"{broker.url}\n")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        sys.stdout.write("stopping\n")
    except Unavailable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
