from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clacks.common.components import AMQPEventConsumer, AMQPServiceProxy
from tests.cli.processes import CLACKS, Service, clacks, environment, running
from tests.common.components.world import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.net]

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "tests" / "sources" / "data" / "report.yaml"
SETTINGS = """
[sources.host]
realtime = 0.3
zpool = ""
[sources.jobs]
queue = "work"
[jobs.greet]
command = ["/bin/echo", "Hello {who}"]
arguments = { who = "[A-Z][a-z]+" }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "settings.toml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Service]:
    arguments = ("--port", "0", "--tls-port", "0", "--user", "admin:secret")
    rights = place / "state" / "clacks" / "rights.toml"
    rights.parent.mkdir(parents=True)
    rights.write_text('[users.admin]\nroles = ["admin"]\n')
    with running("up", *arguments, home=place, CLACKS_SETTINGS=str(place / "settings.toml")) as service:
        yield service


def login(up: Service, place: Path) -> dict[str, str]:
    return {
        "CLACKS_URL": up.url("amqp", "admin"),
        "CLACKS_PASSWORD": "secret",
        "CLACKS_SETTINGS": str(place / "settings.toml"),
    }


class Ear:
    """The events of a type."""

    def __init__(self, up: Service, kind: str) -> None:
        self.heard: list[Any] = []
        self.consumer = AMQPEventConsumer(
            up.url("amqp", "admin:secret"),
            xquery=f"declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:{kind}",
            callback=self.heard.append,
        )

    def texts(self, name: str) -> list[str]:
        return [event.findtext(f".//{{*}}{name}") for event in self.heard]

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close()


def test_the_host_source_tells_about_this_machine(up: Service, place: Path) -> None:
    with (
        Ear(up, "RealtimeReport") as reports,
        Ear(up, "NodeStatus"),
        running("source", "host", "--status", home=place, **login(up, place)) as source,
    ):
        wait_for(lambda: len(reports.heard) >= 2, 30)
        assert int(reports.texts("Total")[0]) > 2**20
        assert source.stop() == 0


def test_one_report_of_puppet_is_sent(up: Service, place: Path) -> None:
    with Ear(up, "PuppetReport") as reports:
        done = clacks("source", "puppet", "--report", str(REPORT), home=place, **login(up, place))
        assert (done.returncode, done.stderr) == (0, "")
        wait_for(lambda: reports.texts("Id") == ["vm"])
        assert len(reports.heard[0].findall(".//{*}PuppetLog")) == 6
    broken = place / "broken.yaml"
    broken.write_text("[[[")
    done = clacks("source", "puppet", "--report", str(broken), home=place, **login(up, place))
    assert done.returncode != 0
    assert "not a mapping" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.tool
def test_a_real_run_of_puppet_is_told_by_processor_and_by_watcher(up: Service, place: Path) -> None:
    program = place / "clacks"
    program.write_text(f'#!/bin/sh\nexec {" ".join(CLACKS)} "$@"\n')
    program.chmod(0o755)
    (place / "site.pp").write_text(
        f"file {{ '{place}/hello': content => 'hi' }}\nnotify {{ 'sagt \u00e4': }}\n"
    )
    puppet = shutil.which("puppet")
    assert puppet, "puppet is missing: make setup-tools"
    options = ["--reports", "store,clacks", "--libdir", str(ROOT / "contrib" / "puppet" / "lib")]
    for option, name in {"--reportdir": "reports", "--vardir": "var", "--confdir": "conf"}.items():
        options += [option, str(place / name)]
    variables = environment(place, CLACKS_PROGRAM=str(program), PYTHONPATH=str(ROOT), **login(up, place))
    with (
        Ear(up, "PuppetReport") as reports,
        running("source", "puppet", "--reports", str(place / "reports"), home=place, **login(up, place)),
    ):
        done = subprocess.run(
            [puppet, "apply", *options, str(place / "site.pp")],
            env=variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "did not take" not in done.stderr
        wait_for(lambda: len(reports.heard) == 2, 30)
        for event in reports.heard:
            messages = [node.text for node in event.iter("{*}Message")]
            assert "sagt \u00e4" in messages
            assert any("defined content as" in message for message in messages)


def test_jobs_are_run_by_the_agent_and_by_the_source(up: Service, place: Path) -> None:
    proxy = AMQPServiceProxy(up.url("amqp", "admin:secret"))
    with Ear(up, "JobStatus") as jobs:
        number = proxy.runJob("greet", {"who": "World"})
        wait_for(lambda: "SUCCESS" in jobs.texts("State"))
        assert jobs.texts("State")[0] == "WAITING"
        assert jobs.texts("LogsExcerpt")[-1] == "Hello World\n"
        assert [job["Id"] for job in proxy.getJobs()["jobs"]] == [number]
    with running("source", "jobs", home=place, **login(up, place)) as source:
        script = (
            "import asyncio, json, sys\nfrom clacks.bus import Bus\n"
            "async def main():\n"
            "    async with Bus(sys.argv[1]) as bus:\n"
            "        print(json.dumps(await bus.call('getJobs', address='org.clacks.command.work')))\n"
            "asyncio.run(main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, up.url("amqp", "admin:secret")],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert set(json.loads(done.stdout)["offered"]) == {"greet"}
        assert source.stop() == 0


def test_what_a_source_needs_and_has_not_is_said_in_one_line(up: Service, place: Path) -> None:
    with_login = login(up, place)
    asterisk = clacks("source", "asterisk", home=place, **with_login)
    assert "no secret; name a password_file" in asterisk.stderr
    (place / "empty.toml").write_text("")
    jobs = clacks(
        "source", "jobs", home=place, **{**with_login, "CLACKS_SETTINGS": str(place / "empty.toml")}
    )
    assert "there is no job; write a table [jobs.NAME]" in jobs.stderr
    taken = clacks("source", "collectd", "--host", "192.0.2.254", home=place, **with_login)
    assert "cannot listen on UDP 192.0.2.254:25826" in taken.stderr
    for done in (asterisk, jobs, taken):
        assert done.returncode not in (0, 1)
        assert "Traceback" not in done.stderr
