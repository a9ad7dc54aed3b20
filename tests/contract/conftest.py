from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.brokers.rabbitmq import RabbitMQ
from tests.contract.brokers import RIGHTS, USERS, ContractBroker, Embedded, Rabbit, Site

LIMIT = 60.0
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


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=[pytest.mark.net, pytest.mark.slow]),
        pytest.param("rabbitmq", marks=[pytest.mark.broker, pytest.mark.xdist_group("rabbitmq")]),
    ]
)
def broker(request: pytest.FixtureRequest, site: Site) -> Iterator[ContractBroker]:
    """Return a running broker: each test runs on every one."""
    if request.param == "embedded":
        with Embedded(site) as embedded:
            yield embedded
    else:
        yield Rabbit(site, request.getfixturevalue("rabbitmq_node"))


@pytest.fixture
def rights_file(tmp_path: Path) -> Path:
    """Return the rights as agents read them."""
    file = tmp_path / "rights.toml"
    file.write_text(RIGHTS)
    return file
