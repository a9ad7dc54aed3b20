from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clacks.bus import Bus
from clacks.common.schema import SchemaRegistry
from tests.cli.processes import CLACKS, clacks, environment, running

pytestmark = [pytest.mark.net, pytest.mark.slow]

LOGIN = "jane:secret"
PORTS = ("--port", "0", "--tls-port", "0", "--user", LOGIN)
CLIENT = """<Event xmlns="http://www.gonicus.de/Events"><ClientAnnounce><NetworkInformation><NetworkDevice>
<Name>eth0</Name><IPAddress>10.0.0.7</IPAddress><IPv6Address/><MAC/><Netmask/><Broadcast/></NetworkDevice>
</NetworkInformation><Id>pc[red]1</Id><Name>a desk</Name></ClientAnnounce></Event>"""
NODE = (
    """<Event xmlns="http://www.gonicus.de/Events"><NodeAnnounce><Id>node[red]2</Id></NodeAnnounce></Event>"""
)


def until(text: str, read: int, limit: float = 20.0) -> str:
    """Read a terminal until something stands there."""
    shown, end = "", time.monotonic() + limit
    while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown):
        assert time.monotonic() < end, shown
        shown += os.read(read, 65536).decode()
    return shown


def publish(url: str, *documents: str) -> None:
    """Publish events, a client among them, and wait until the agent has heard of it."""
    registry = SchemaRegistry(plugins=False)

    async def run() -> None:
        async with Bus(url, registry=registry) as bus:
            for document in documents:
                assert await bus.publish(registry.receive(document))
            async with asyncio.timeout(20.0):
                while not await bus.call("getClients"):
                    await asyncio.sleep(0.02)

    asyncio.run(run())


@contextlib.contextmanager
def watch(what: str, url: str, home: Path) -> Iterator[int]:
    """Run ``clacks nodes`` or ``clients`` with ``--watch`` on a terminal; it must end well at Ctrl-C."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*CLACKS, what, "--watch", "--url", url],
        env=environment(home, TERM="xterm", COLUMNS="140", LINES="20"),
        cwd=home,
        stdout=theirs,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as watching:
        os.close(theirs)
        try:
            yield ours
            watching.send_signal(2)
            assert watching.wait(20) == 0
        finally:
            if watching.poll() is None:
                watching.kill()
                watching.wait(20)
            os.close(ours)


def test_nodes_and_clients_are_shown_and_commands_explained(tmp_path: Path) -> None:
    with running("up", *PORTS, "--node", "one", home=tmp_path) as service:
        url = service.url("amqp", LOGIN)
        nodes = clacks("nodes", "--url", url, home=tmp_path)
        assert nodes.returncode == 0, nodes.stderr
        [line] = nodes.stdout.splitlines()
        assert line.split("\t")[0] == "one"
        as_json = clacks("nodes", "--json", "--url", url, home=tmp_path)
        assert list(json.loads(as_json.stdout)) == ["one"]

        assert clacks("clients", "--url", url, home=tmp_path).stdout == ""
        publish(url, CLIENT)
        shown = clacks("clients", "--url", url, home=tmp_path).stdout.split("\t")
        assert shown[:5] == ["pc[red]1", "a desk", "jane", "?", "0"]

        listed = clacks("call", "--list", "--url", url, home=tmp_path).stdout.splitlines()
        assert "getSessionUser() -> text\tReturn the login of the caller." in listed
        told = clacks("call", "--describe", "getSessionUser", "--url", url, home=tmp_path)
        assert told.stdout.splitlines() == [
            "getSessionUser() -> text",
            "",
            "    Return the login of the caller.",
            "",
            "on one: one of them carries it out",
        ]
        unknown = clacks("call", "--describe", "nothing", "--url", url, home=tmp_path)
        assert unknown.returncode == 8
        assert clacks("call", "--url", url, home=tmp_path).returncode == 2

        # The shell asks what could come next.
        asked = clacks(
            home=tmp_path,
            _CLACKS_COMPLETE="complete_bash",
            _TYPER_COMPLETE_ARGS="clacks call getSe",
            COMP_WORDS="clacks call getSe",
            COMP_CWORD="2",
            CLACKS_URL=url,
        )
        assert asked.stdout.split() == ["getSessionUser"]
        nobody = clacks(
            home=tmp_path,
            _CLACKS_COMPLETE="complete_bash",
            _TYPER_COMPLETE_ARGS="clacks call getSe",
            COMP_WORDS="clacks call getSe",
            COMP_CWORD="2",
        )
        assert (nobody.stdout.strip(), nobody.stderr) == ("", "")


def test_a_table_on_a_terminal_is_kept_up_to_date(tmp_path: Path) -> None:
    with running("up", *PORTS, "--node", "one", home=tmp_path) as service:
        url = service.url("amqp", LOGIN)
        with watch("clients", url, tmp_path) as clients, watch("nodes", url, tmp_path) as nodes:
            until("client", clients)
            until("one", nodes)
            publish(url, CLIENT, NODE)
            until("pc[red]1", clients)
            until("node[red]2", nodes)
