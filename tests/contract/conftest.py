from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.brokers.distributions import Unavailable
from scripts.brokers.java import JavaBroker
from scripts.brokers.products import PRODUCTS
from scripts.brokers.rabbitmq import RabbitMQ
from tests.contract.brokers import FACTS, RIGHTS, USERS, ContractBroker, Embedded, Site, Standing
from tests.contract.table import BROKERS, Cell, Results, table

LIMIT = 180.0
"""Seconds that a test may take before it counts as stuck."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines, each on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def bounded() -> None:
        async with asyncio.timeout(LIMIT):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", metavar="FILE", help="write the table of features by broker to this page")


def pytest_configure(config: pytest.Config) -> None:
    # Workers of xdist send their reports to one process, which writes.
    if not hasattr(config, "workerinput"):
        config.stash[RESULTS] = Results()
        config.pluginmanager.register(_Reader(config.stash[RESULTS]))


class _Reader:
    """Hears what came out of each test, also of those in other processes."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note it."""
        if report.when == "call" or report.outcome != "passed":
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self._results.note(report.nodeid, report.outcome, report.user_properties, why)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say which brokers were left out and why, and write the table if it was asked for."""
    results = config.stash.get(RESULTS, None)
    if results is None:
        return
    for broker, why in sorted(results.left_out.items()):
        terminalreporter.line(f"{broker}: {why}")
    page = config.getoption("--table")
    if page and (set(BROKERS) - results.left_out.keys()) - {broker for _, broker in results.outcomes}:
        terminalreporter.line(f"not written, because not all brokers were seen: {page}")
    elif page:
        Path(page).write_text(table(results), "utf-8")
        terminalreporter.line(f"written: {page}")


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Cell:
    """Return what says in a word what the test saw, for the table of features by broker."""
    return lambda words: record_property("cell", words)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return certificates and event types."""
    return Site.build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def rabbitmq_node(site: Site) -> Iterator[RabbitMQ]:
    """Return a private node, which ends with the session however that ends."""
    if not RabbitMQ.available():
        pytest.fail("RabbitMQ is not installed: make setup-brokers", pytrace=False)
    with RabbitMQ(USERS, certificate=(site.certificate, site.certificate)) as node:
        yield node


class JavaNodes:
    """Nodes of the Java brokers, each started when a test asks for it first."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._nodes: dict[str, JavaBroker] = {}
        self._left_out: dict[str, str] = {}

    def get(self, name: str) -> JavaBroker:
        """Return the running node; a broker that cannot be had here is left out, with the reason."""
        if name in self._left_out:
            pytest.skip(self._left_out[name])
        if name not in self._nodes:
            node = JavaBroker(PRODUCTS[name], USERS, certificate=self._site.certificate)
            try:
                node.start()
            except Unavailable as error:
                self._left_out[name] = f"left out: {error}"
                pytest.skip(self._left_out[name])
            self._nodes[name] = node
        return self._nodes[name]

    def close(self) -> None:
        """End them."""
        for node in self._nodes.values():
            node.stop()


@pytest.fixture(scope="session")
def java_nodes(site: Site) -> Iterator[JavaNodes]:
    """Return private nodes of the Java brokers, which end with the session however that ends."""
    nodes = JavaNodes(site)
    yield nodes
    nodes.close()


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=[pytest.mark.net, pytest.mark.slow]),
        *(
            pytest.param(name, marks=[pytest.mark.broker, pytest.mark.xdist_group(name)])
            for name in ("rabbitmq", *PRODUCTS)
        ),
    ]
)
def broker(request: pytest.FixtureRequest, site: Site) -> Iterator[ContractBroker]:
    """Return a running broker: each test runs on every one."""
    name: str = request.param
    if name == "embedded":
        with Embedded(site) as embedded:
            yield embedded
    elif name == "rabbitmq":
        yield Standing(site, request.getfixturevalue("rabbitmq_node"), name, FACTS[name])
    else:
        yield Standing(site, request.getfixturevalue("java_nodes").get(name), name, FACTS[name])


@pytest.fixture
def rights_file(tmp_path: Path) -> Path:
    """Return the rights as agents read them."""
    file = tmp_path / "rights.toml"
    file.write_text(RIGHTS)
    return file
