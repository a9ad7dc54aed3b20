from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from clacks.common.command import CommandTable
from clacks.common.errors import CommandError
from clacks.common.event import Event
from clacks.common.jsonrpc import FORBIDDEN, INVALID_PARAMS, UNAVAILABLE, Request
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings
from clacks.sources.jobs import EVERYBODYS, JobCommands, JobRunner
from tests.sleepers import SLEEP, sleepers

pytestmark = pytest.mark.slow

SCHEMAS = SchemaRegistry(plugins=False)
# Another number in each process that runs tests: the sleepers of one are not those of another.
SETTINGS = r"""
[sources.jobs]
at_once = 1
waiting = 2
logs = "logs"
[jobs.say]
command = ["/bin/echo", "{text}", "-{text}-"]
arguments = { text = ".*" }
description = "Say it."
[jobs.steps]
command = [
    ["/bin/sh", "-c", "echo 'progress: 40 % copying'; sleep 1.2; echo 'result: {\"files\": 3}'"],
    ["/bin/echo", "two"],
]
[jobs.fails]
command = [["/bin/sh", "-c", "echo oh; exit 3"], ["/bin/echo", "never"]]
[jobs.missing]
command = ["/no/such/program"]
[jobs.sleeps]
command = ["/bin/sh", "-c", "sleep SECONDS & sleep SECONDS"]
[jobs.late]
command = ["/bin/sleep", "SECONDS"]
timeout = 0.2
[jobs.steady]
command = ["/bin/sleep", "SECONDS"]
abortable = false
[jobs.environment]
command = ["/usr/bin/env"]
environment = { MINE = "yes" }
""".replace("SECONDS", SLEEP)


class World:
    """A runner, its commands called from other threads, and the events that it sent."""

    def __init__(self, folder: Path) -> None:
        settings = Settings.parse(SETTINGS, file=str(folder / "settings.toml"))
        self.events: list[dict[str, Any]] = []
        self.runner = JobRunner(SCHEMAS, settings.sources.jobs, settings.jobs, self._publish)
        self.table = CommandTable("test")
        self.table.register(
            JobCommands(self.runner, lambda user, method: user == "root" and method == EVERYBODYS)
        )

    async def _publish(self, event: Event) -> None:
        self.events.append(event.to_json())

    async def call(self, method: str, *params: Any, user: str = "jane") -> Any:
        return await asyncio.to_thread(self.table.run, Request(method, params), user)

    async def over(self, id_: int) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                for event in self.events:
                    if event["Id"] == id_ and "TimeFinished" in event:
                        return event
                await asyncio.sleep(0.01)

    async def running(self, id_: int) -> None:
        async with asyncio.timeout(30):
            while "RUNNING" not in self.states(id_):
                await asyncio.sleep(0.01)

    def states(self, id_: int) -> list[str]:
        return [event["State"] for event in self.events if event["Id"] == id_]


def world(test: Callable[[World], Awaitable[None]]) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        async def live() -> None:
            place = World(tmp_path)
            task = asyncio.ensure_future(place.runner.run())
            await asyncio.sleep(0)
            try:
                await test(place)
            finally:
                task.cancel()
                await asyncio.wait([task])

        asyncio.run(live())

    run.__name__ = test.__name__
    return run


@world
async def test_a_job_is_queued_runs_and_succeeds_with_its_output(place: World) -> None:
    id_ = await place.call("runJob", "say", {"text": "hello"}, ["m-1"])
    over = await place.over(id_)
    assert place.states(id_)[0] == "WAITING"
    assert place.states(id_)[-1] == over["State"] == "SUCCESS"
    assert over["LogsExcerpt"] == "hello -hello-\n"
    assert (over["Owner"], over["MessageIds"], over["Description"]) == ("jane", ["m-1"], "Say it.")
    assert Path(over["LogsPath"]).read_text() == "hello -hello-\n"
    assert Path(over["LogsPath"]).stat().st_mode & 0o777 == 0o600


@world
async def test_what_a_caller_says_is_one_word_and_no_shell_reads_it(place: World) -> None:
    evil = "$(touch /tmp/x); `id` && {text} 'a' \"b\" | cat > c"
    over = await place.over(await place.call("runJob", "say", {"text": evil}))
    assert over["LogsExcerpt"] == f"{evil} -{evil}-\n"


@world
async def test_progress_and_result_are_read_from_what_the_programs_say(place: World) -> None:
    id_ = await place.call("runJob", "steps")
    over = await place.over(id_)
    assert over["Result"] == {"files": 3}
    assert [command["ReturnCode"] for command in over["Command"]] == [0, 0]
    assert over["Progress"]["Description"] == "copying"
    assert any(event["Progress"].get("Percent") == "40.0" for event in place.events)


@world
async def test_the_first_program_that_fails_ends_the_job(place: World) -> None:
    over = await place.over(await place.call("runJob", "fails"))
    assert (over["State"], over["Error"]) == ("FAILED", "/bin/sh ended with code 3")
    assert [command["ReturnCode"] for command in over["Command"]] == [3]
    missing = await place.over(await place.call("runJob", "missing"))
    assert "/no/such/program cannot be run: No such file" in missing["Error"]
    late = await place.over(await place.call("runJob", "late"))
    assert late["Error"] == "it took longer than 0.2 s"
    assert sleepers() == []


@world
async def test_an_aborted_job_ends_with_everything_that_it_started(place: World) -> None:
    id_ = await place.call("runJob", "sleeps")
    await place.running(id_)
    async with asyncio.timeout(20):
        while len(sleepers()) < 2:
            await asyncio.sleep(0.01)
    assert await place.call("abortJob", id_) is True
    assert place.states(id_)[-1] == "ABORTED"
    assert (await place.over(id_))["Error"] == "aborted by jane"
    async with asyncio.timeout(20):
        while sleepers():  # the kernel takes a moment to forget them
            await asyncio.sleep(0.01)
    assert await place.call("abortJob", id_) is False


@world
async def test_jobs_wait_for_their_turn_and_can_be_aborted_there(place: World) -> None:
    first = await place.call("runJob", "sleeps")
    await place.running(first)
    second, third = [await place.call("runJob", "say", {"text": "x"}) for _ in range(2)]
    with pytest.raises(CommandError) as error:
        await place.call("runJob", "say", {"text": "x"})
    assert error.value.code == UNAVAILABLE
    assert await place.call("abortJob", second) is True
    assert place.states(second) == ["WAITING", "ABORTED"]
    await place.call("abortJob", first)
    assert (await place.over(third))["State"] == "SUCCESS"


@world
async def test_users_see_and_abort_their_own_jobs_and_who_may_all(place: World) -> None:
    id_ = await place.call("runJob", "sleeps")
    await place.running(id_)
    assert (await place.call("getJobs", user="bob"))["jobs"] == []
    assert await place.call("abortJob", id_, user="bob") is False
    assert [job["Id"] for job in (await place.call("getJobs", user="root"))["jobs"]] == [id_]
    assert "say" in (await place.call("getJobs"))["offered"]
    assert await place.call("abortJob", id_, user="root") is True


@world
async def test_a_job_that_is_not_abortable_runs_on(place: World) -> None:
    id_ = await place.call("runJob", "steady")
    await place.running(id_)
    with pytest.raises(CommandError) as error:
        await place.call("abortJob", id_)
    assert error.value.code == FORBIDDEN


@world
async def test_programs_see_only_the_environment_that_they_are_given(place: World) -> None:
    over = await place.over(await place.call("runJob", "environment"))
    names = {line.partition("=")[0] for line in over["LogsExcerpt"].splitlines()}
    assert names == {"PATH", "LANG", "HOME", "MINE"}


@pytest.mark.parametrize(
    "params",
    [
        ("rm -rf /",),
        ("say",),
        ("say", {"text": "x", "more": "y"}),
        ("say", {"text": "x" * 300}),
        ("say", {"text": "a\0b"}),
        ("say", {"text": "two\nlines"}),
        ("say", {"text": 3}),
    ],
)
def test_what_is_no_job_or_no_argument_of_it_is_refused(params: tuple[Any, ...], tmp_path: Path) -> None:
    @world
    async def refused(place: World) -> None:
        with pytest.raises(CommandError) as error:
            await place.call("runJob", *params)
        assert error.value.code == INVALID_PARAMS
        assert place.events == []

    refused(tmp_path)


def test_when_the_runner_stops_what_runs_and_waits_is_aborted(tmp_path: Path) -> None:
    async def live() -> None:
        place = World(tmp_path)
        task = asyncio.ensure_future(place.runner.run())
        await asyncio.sleep(0)
        first = await place.call("runJob", "sleeps")
        second = await place.call("runJob", "sleeps")
        await place.running(first)
        task.cancel()
        await asyncio.wait([task])
        assert place.states(first)[-1] == place.states(second)[-1] == "ABORTED"
        with pytest.raises(CommandError, match="has stopped"):
            await place.call("runJob", "sleeps")

    asyncio.run(live())
    assert sleepers() == []
