"""Memory of the embedded broker over a million events, with peers that come and go and one that is stuck.

    python -m benchmarks.broker_soak [--events N]

Prints the resident size every tenth of the way; fails if it grows by more than 8 MiB afterwards.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil

from benchmarks.broker import EVENT, QUERY, free_port
from benchmarks.load import Connection, Load


def subscribe(load: Load) -> Connection:
    """Connect and subscribe."""
    selector = selectors.DefaultSelector()
    connection = Connection(load, selector)
    connection.subscribe(load)
    while not connection.ready:
        connection.write()
        for _ in selector.select(0.1):
            connection.read()
    connection.write()
    selector.close()
    return connection


def churn(load: Load, stop: threading.Event) -> None:
    """Connect, subscribe with a filter, and leave without a word, again and again."""
    visits = 0
    while not stop.wait(0.02):
        subscribe(load).socket.close()
        visits += 1
    print(f"{visits} subscribers came and went")


def main() -> int:
    """Run, print, and tell whether memory stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    port = free_port()
    broker = subprocess.Popen([sys.executable, "-m", "benchmarks.embedded_broker", str(port)])
    stop = threading.Event()
    churning: threading.Thread | None = None
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        kind = "org.clacks.event.PhoneStatus"
        load = Load(port, kind, kind, options.events // 10, EVENT, subject="PhoneStatus", user_id="anonymous")
        stuck = subscribe(replace(load, source="org.clacks.event", window=1_000_000))
        visitor = replace(load, source="org.clacks.event", query=QUERY)
        churning = threading.Thread(target=churn, args=(visitor, stop))
        churning.start()
        sizes = []
        for part in range(10):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.load", load.as_argument()],
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=600,
            )
            sizes.append(psutil.Process(broker.pid).memory_info().rss / 2**20)
            print(f"{(part + 1) * load.count:>10} events: {sizes[-1]:7.1f} MiB", flush=True)
        stuck.socket.close()
    finally:
        stop.set()
        if churning is not None:
            churning.join()
        broker.terminate()
        broker.wait()
    grown = max(sizes[2:]) - sizes[1]
    print(f"grown after the first fifth: {grown:.1f} MiB")
    return 1 if grown > 8 else 0


if __name__ == "__main__":
    sys.exit(main())
