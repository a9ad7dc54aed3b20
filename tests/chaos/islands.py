"""Network namespaces: a wire between two networks of one machine, which can be pulled; nobody says so."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.town import Part, Town

__all__ = ["NAMESPACES", "broker_at", "inside", "made_island", "plug"]

NAMESPACES = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
)


def inside(island: str) -> tuple[str, ...]:
    """Return what runs a command on the island."""
    return "ip", "netns", "exec", island


def plug(island: str, state: str) -> None:
    """Pull the wire (``down``), or plug it in (``up``)."""
    subprocess.run(["ip", "link", "set", island, state], check=True)


async def broker_at(
    here: Town, address: str, before: tuple[str, ...] = (), limits: dict[str, Any] | None = None
) -> None:
    """Have the broker of a town listen at another address than loopback, where it wants the password kept."""
    await here.broker.kill()
    options = {**here.options, "host": address, "limits": limits or {}, "users": ["admin"]}
    here.broker = Part("broker", before, **options)
    await here.broker.start(CLACKS_PASSWORD="secret")
    here.host = address


@contextlib.contextmanager
def made_island() -> Iterator[tuple[str, str]]:
    """A network namespace with one wire to us; its name and its address."""
    name = f"clacks{os.getpid() % 100000}"
    number = os.getpid() % 250 + 1
    here, there = f"10.213.{number}.1", f"10.213.{number}.2"
    commands = (
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name eth0 netns {name}",
        f"ip addr add {here}/30 dev {name}",
        f"ip link set {name} up",
        f"ip -n {name} addr add {there}/30 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} link set lo up",
    )
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {command}: {done.stderr.strip()}")
        yield name, there
    finally:
        for command in (f"ip link del {name}", f"ip netns del {name}"):
            with contextlib.suppress(OSError):
                subprocess.run(command.split(), capture_output=True, check=False)
