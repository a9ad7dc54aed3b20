"""The dashboard of ``contrib/grafana``, asked of a real Prometheus that scrapes a real ``clacks up``.

On a bad day: every panel has to show something, those about drops and refusals too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clacks.bus import Bus
from clacks.common.errors import ClacksError, LinkRefused
from tests.agent.fleet import free_port
from tests.bus.house import REGISTRY
from tests.cli.processes import Service, clacks, running
from tests.contract.words import node_status, phone
from tests.net.relay import Relay

pytestmark = [
    pytest.mark.slow,
    pytest.mark.net,
    pytest.mark.tool,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus here: make setup-tools"),
]

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "contrib" / "grafana" / "clacks.json").read_text("utf-8")
)
PATIENCE = 90.0
"""Seconds; half a dozen scrapes of half a second are enough."""
# Needs XQuery's cast, which no index knows, and fails on what is no number.
FAILING = (
    "declare namespace f='http://www.gonicus.de/Events'; xs:integer(./f:Event/f:PhoneStatus/f:CallerId) = 5"
)


class Prometheus:
    """A private Prometheus that scrapes ``pages`` twice a second."""

    def __init__(self, folder: Path, pages: list[str]) -> None:
        self.port = free_port()
        hosts = [urllib.parse.urlsplit(page).netloc for page in pages]
        (folder / "prometheus.yml").write_text(
            "global: { scrape_interval: 500ms, scrape_timeout: 500ms }\n"
            "scrape_configs:\n"
            f"  - {{ job_name: clacks, static_configs: [{{ targets: {json.dumps(hosts)} }}] }}\n"
        )
        self._command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self._log = folder / "prometheus.log"

    @contextlib.contextmanager
    def running(self) -> Iterator[Prometheus]:
        """Run it until the end of the block."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield self
        finally:
            process.terminate()
            process.wait(30)

    def ask(self, path: str, **parameters: str) -> Any:
        """Ask its HTTP API; a query that it cannot parse is an error with its words."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # not ready yet
                raise ConnectionError(url) from error
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error


def filled_in(expression: str) -> str:
    """Put in what Grafana puts in: all jobs and instances, and an interval of several scrapes."""
    return re.sub(
        r"\$(job|instance|__rate_interval)",
        lambda found: "10s" if found[1] == "__rate_interval" else ".*",
        expression,
    )


def targets() -> Iterator[tuple[str, str, str]]:
    """Yield panel, query and legend."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], filled_in(target["expr"]), target["legendFormat"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service]]:
    home = tmp_path_factory.mktemp("measured")
    (home / "settings.toml").write_text("[limits]\npresence_events = 5\nconnections = 8\n")
    rights = home / "rights.toml"
    rights.write_text(
        '[users.ann]\nroles = ["reader", "half"]\n'
        '[roles.half]\npublish = ["NodeStatus"]\nannounce = ["mine-*"]\n'
    )
    variables = {"CLACKS_SETTINGS": str(home / "settings.toml"), "CLACKS_RIGHTS": str(rights)}
    free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0", "--metrics", "0")
    users = ("--user", "admin:secret")
    added = clacks("users", "add", "ann", home=home, CLACKS_PASSWORD="ann-secret", **variables)
    assert added.returncode == 0, added.stderr
    with running("up", *free, *users, "--node", "n1", home=home, **variables) as service:
        yield home, service


def metrics_page(service: Service) -> str:
    (line,) = [line for line in service.out if line.startswith("metrics=")]
    return line.removeprefix("metrics=")


class BadDay:
    """What goes through, and what goes wrong, again and again."""

    def __init__(self, service: Service, relay: Relay) -> None:
        self._service = service
        self._relay = relay
        self._port = int(service.url("amqp").rpartition(":")[2].partition("/")[0])

    def bus(self, user: str, password: str) -> Bus:
        return Bus(f"amqp://{user}:{password}@127.0.0.1:{self._port}/org.clacks", registry=REGISTRY)

    async def live(self) -> None:
        async with self.bus("admin", "secret") as admin, self.bus("ann", "ann-secret") as ann:
            await admin.subscribe(FAILING, queue_events=10)
            while True:
                for caller in ("4", "five", "5"):
                    await admin.publish(phone(caller))
                for _ in range(200):  # more than the agent's queue holds
                    await ann.publish(node_status("mine-1"))
                await ann.publish(node_status("yours"))
                with contextlib.suppress(LinkRefused):
                    await ann.publish(phone())
                with contextlib.suppress(ClacksError):
                    await self.bus("ann", "wrong").start()
                await self._too_many()
                await asyncio.to_thread(self._visit)
                self._relay.cut()
                await asyncio.sleep(0.3)

    async def _too_many(self) -> None:
        more = [self.bus("admin", "secret") for _ in range(4)]
        await asyncio.gather(*(bus.start() for bus in more), return_exceptions=True)
        await asyncio.gather(*(bus.close() for bus in more))

    def _visit(self) -> None:
        for headers in ({"Host": "evil.example"}, {"Authorization": "Basic YW5uOndyb25n"}):
            asked = urllib.request.Request(f"{self._service.url('http')}api/clients", headers=headers)
            with contextlib.suppress(urllib.error.URLError):
                urllib.request.urlopen(asked, timeout=10).close()


def shows(found: list[dict[str, Any]], legend: str) -> bool:
    """Tell whether there is a number to draw, with every label that its legend names."""
    labels = set(re.findall(r"{{(\w+)}}", legend))
    return any(
        math.isfinite(float(series["value"][1])) and labels <= series["metric"].keys() for series in found
    )


def test_every_panel_shows_something_on_a_bad_day(up: tuple[Path, Service], tmp_path: Path) -> None:
    home, service = up
    wanted = {(title, query): legend for title, query, legend in targets()}
    figures = {panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "stat"}
    quiet = {key: legend for key, legend in wanted.items() if key[0] in figures}

    async def work() -> None:
        async with Relay(int(service.url("amqp").rpartition(":")[2].partition("/")[0])) as relay:
            url = f"amqp://admin@127.0.0.1:{relay.port}/org.clacks"
            agent = running(
                *("agent", "--url", url, "--node", "n2", "--metrics", "0"),
                home=home,
                CLACKS_PASSWORD="secret",
            )
            other = await asyncio.to_thread(agent.__enter__)
            try:
                pages = [metrics_page(service), metrics_page(other)]
                with Prometheus(tmp_path, pages).running() as prometheus:
                    # Nothing has gone wrong so far: the figures on top say so with a nought, not with a gap.
                    await asyncio.to_thread(_look, prometheus, quiet, {})
                    day = asyncio.ensure_future(BadDay(service, relay).live())
                    try:
                        await asyncio.to_thread(_look, prometheus, wanted, {})
                    finally:
                        day.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await day
            finally:
                await asyncio.to_thread(agent.__exit__, None, None, None)

    asyncio.run(work())


def _look(
    prometheus: Prometheus, wanted: dict[tuple[str, str], str], seen: dict[tuple[str, str], Any]
) -> None:
    end = time.monotonic() + PATIENCE
    while missing := [key for key in wanted if key not in seen]:
        assert time.monotonic() < end, f"nothing to see: {missing}"
        time.sleep(0.5)
        with contextlib.suppress(ConnectionError, urllib.error.URLError):
            for key in missing:
                found = prometheus.ask("query", query=key[1])["result"]
                if shows(found, wanted[key]):
                    seen[key] = found
    # What the variables of the dashboard offer.
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            matched, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert prometheus.ask(f"label/{label}/values", **{"match[]": filled_in(matched)})


def test_the_page_is_as_prometheus_wants_it(up: tuple[Path, Service]) -> None:
    with urllib.request.urlopen(metrics_page(up[1]), timeout=30) as answer:
        page = answer.read()
    # Its linter finds the numbers that prometheus_client shows of Python itself wanting, ours it must not.
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    said = done.stderr.decode()
    assert not [line for line in said.splitlines() if "clacks_" in line or "error while linting" in line], (
        said
    )
