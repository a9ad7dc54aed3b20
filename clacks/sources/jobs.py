"""The job runner: named jobs of the settings, run as programs, told as JobStatus events.

What a caller says never becomes a command line: it names a job, and its arguments must match the job's own
regular expressions; then they are single words of a program's arguments. No shell is involved.

A program tells how far it is by lines ``progress: 40 % copying``, and its result by a line ``result: JSON``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from clacks.common.command import Command
from clacks.common.errors import BusError, CommandError, InvalidEvent
from clacks.common.jsonrpc import FORBIDDEN, INVALID_PARAMS, UNAVAILABLE
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import JobSettings, JobsSettings
from clacks.net.programs import Program
from clacks.sources.job_board import BoardFull, Job, JobBoard, JobState, job_event
from clacks.sources.outbox import Publish

__all__ = ["EVERYBODYS", "JobCommands", "JobRunner"]

_log = logging.getLogger(__name__)

EVERYBODYS: Final = "jobs.all"
"""Who may call a command of this name sees and aborts the jobs of all users; it does nothing else."""

_PROGRESS: Final = re.compile(r"progress:\s*([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*%?\s*(.{0,1000})", re.ASCII)
_RESULT: Final = re.compile(r"result:(.+)")
_EVERY: Final = 1.0  # seconds between two events of one running job
_LONGEST: Final = 256  # characters of an argument
_MESSAGE_IDS: Final = 100
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Result = TypeVar("Result")


class JobRunner:
    """Runs jobs. Use `run` as a task, on the loop; `JobCommands` is for callers on other threads.

    Args:
        registry: The event types.
        settings: How many at once.
        jobs: What may be run, by name.
        publish: Sends an event.
        limits: How much output is kept.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        settings: JobsSettings,
        jobs: Mapping[str, JobSettings],
        publish: Publish,
        *,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.jobs = jobs
        self.loop: asyncio.AbstractEventLoop | None = None
        # Numbers of two runners, and of one before and after a restart, should not be the same.
        self.board = JobBoard(
            at_once=settings.at_once,
            waiting=settings.waiting,
            kept=settings.kept,
            log=limits.job_log,
            first=secrets.randbelow(2**30) + 1,
        )
        self._registry = registry
        self._settings = settings
        self._publish = publish
        self._limits = limits
        self._woken = asyncio.Event()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._reasons: dict[int, str] = {}
        self._telling: dict[int, float] = {}

    async def run(self) -> None:
        """Run what is queued, until cancelled; then what runs is aborted."""
        self.loop = asyncio.get_running_loop()
        try:
            while True:
                while (job := self.board.start(time.time())) is not None:
                    task = asyncio.create_task(self._carry_out(job))
                    self._running[job.id] = task
                    task.add_done_callback(lambda task, id_=job.id: self._ended(id_, task))  # type: ignore[misc]
                self._woken.clear()
                await self._woken.wait()
        finally:
            for id_, task in list(self._running.items()):
                self._reasons[id_] = "the runner stopped"
                task.cancel()
            if self._running:
                await asyncio.wait(list(self._running.values()))
            for job in self.board:
                if not job.state.over:
                    await self._tell(self.board.abort(job.id, time.time(), "the runner stopped"))
            self.loop = None

    async def queue(
        self, name: str, arguments: Mapping[str, str], owner: str, message_ids: tuple[str, ...] = ()
    ) -> int:
        """Queue a job and return its number.

        Raises:
            CommandError: There is no such job, an argument does not fit, or too many wait.
        """
        kind = self.jobs.get(name)
        if kind is None:
            raise CommandError(INVALID_PARAMS, f"there is no job {name[:64]!r}")
        _check(kind, arguments)
        words = tuple(tuple(_filled(word, arguments) for word in command) for command in kind.command)
        try:
            job = self.board.add(
                name,
                arguments,
                owner,
                words,
                description=kind.description,
                abortable=kind.abortable,
                message_ids=message_ids,
            )
        except BoardFull as error:
            raise CommandError(UNAVAILABLE, str(error)) from error
        _log.info("job queued id=%d name=%s owner=%s", job.id, name, owner)
        if self._settings.logs is not None:
            job.logs_path = str(self._settings.logs / f"{job.id}.log")
        # The event of WAITING leaves before the caller has the number, so that it comes first for everybody.
        await self._tell(job)
        self._woken.set()
        return job.id

    async def abort(self, id_: int, reason: str) -> bool:
        """End a job and return once it has ended; tell whether there was something to end.

        Raises:
            CommandError: It runs and is not abortable.
        """
        job = self.board.get(id_)
        if job is None or job.state.over:
            return False
        if not job.abortable and job.state is JobState.RUNNING:
            raise CommandError(FORBIDDEN, f"job {id_} ({job.method}) cannot be aborted while it runs")
        task = self._running.get(id_)
        if task is None:
            await self._tell(self.board.abort(id_, time.time(), reason))
            return True
        self._reasons.setdefault(id_, reason)
        task.cancel()
        await asyncio.wait([task])
        if not job.state.over:  # the task was cancelled before it had begun
            await self._tell(self.board.abort(id_, time.time(), reason))
        return True

    # -- one job

    async def _carry_out(self, job: Job) -> None:
        kind = self.jobs[job.method]
        await self._tell(job)
        log = self._open_log(job)
        try:
            async with asyncio.timeout(kind.timeout):
                error, result = await self._programs(job, kind, log)
            self.board.finish(job.id, time.time(), error=error, result=result)
        except TimeoutError:
            self.board.finish(job.id, time.time(), error=f"it took longer than {kind.timeout:g} s")
        except asyncio.CancelledError:
            self.board.abort(job.id, time.time(), self._reasons.get(job.id, "cancelled"))
        finally:
            if log is not None:
                log.close()
        _log.info("job over id=%d name=%s state=%s", job.id, job.method, job.state.value)
        await self._tell(job)

    async def _programs(self, job: Job, kind: JobSettings, log: IO[str] | None) -> tuple[str, Any]:
        """Run the programs one after the other; return an error, or empty, and the result."""
        result: Any = None
        environment = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}
        for words in job.words:
            self.board.step(job.id, shlex.join(words))
            await self._tell(job, soon=True)
            program = Program(
                words,
                directory=kind.directory,
                environment={**environment, **kind.environment},
                longest=self._limits.job_line,
            )
            try:
                async with program:
                    async for line in program.lines():
                        if log is not None:
                            log.write(line)
                            log.flush()
                        if (found := _PROGRESS.match(line)) is not None:
                            self.board.progress(job.id, float(found[1]), found[2].strip())
                        elif (found := _RESULT.match(line)) is not None:
                            result = _json(found[1])
                        self.board.output(job.id, line)
                        await self._tell(job, soon=True)
                    code = await program.wait()
            except (OSError, ValueError) as error:
                return f"{words[0]} cannot be run: {getattr(error, 'strerror', None) or error}", None
            self.board.step_over(job.id, code)
            if code:
                how = f"ended with code {code}" if code > 0 else f"was ended by signal {-code}"
                return f"{words[0]} {how}", None
        return "", result

    def _open_log(self, job: Job) -> IO[str] | None:
        if not job.logs_path:
            return None
        try:
            Path(job.logs_path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(job.logs_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            _log.warning("a job has no log file id=%d reason=%s", job.id, error)
            job.logs_path = ""
            return None
        return os.fdopen(number, "w", encoding="utf-8")

    def _ended(self, id_: int, task: asyncio.Task[None]) -> None:
        self._running.pop(id_, None)
        self._reasons.pop(id_, None)
        self._telling.pop(id_, None)
        self._woken.set()
        if not task.cancelled() and task.exception() is not None:
            _log.error("a job was lost id=%d", id_, exc_info=task.exception())
            if (job := self.board.get(id_)) is not None and not job.state.over:
                self.board.finish(id_, time.time(), error="a fault of the runner")

    async def _tell(self, job: Job, *, soon: bool = False) -> None:
        """Publish where a job stands; what comes ``soon`` is left out if there was an event a moment ago."""
        now = time.monotonic()
        if soon and now - self._telling.get(job.id, float("-inf")) < _EVERY:
            return
        self._telling[job.id] = now
        try:
            await self._publish(job_event(self._registry, job))
        except (BusError, InvalidEvent) as error:
            _log.warning("a JobStatus was not sent id=%d reason=%s", job.id, error)


class JobCommands:
    """The commands ``runJob``, ``getJobs`` and ``abortJob``, for an agent or for a queue of their own.

    Args:
        runner: What carries them out.
        may: Tells whether a user has the right to call a method: `EVERYBODYS` opens the jobs of all.
    """

    def __init__(self, runner: JobRunner, may: Callable[[str, str], bool]) -> None:
        self._runner = runner
        self._may = may

    @Command(needs_user=True)
    def runJob(
        self,
        user: str,
        name: str,
        arguments: dict[str, str] | None = None,
        message_ids: list[str] | None = None,
    ) -> int:
        """Queue a job by its name and return its number; JobStatus events tell the rest.

        Arguments are texts by name, as the settings describe them. A gateway gives the ids of the calls that
        the job is for as message_ids.
        """
        ids = tuple(str(id_)[:200] for id_ in (message_ids or [])[:_MESSAGE_IDS])
        return int(self._on_loop(lambda: self._runner.queue(name, arguments or {}, user, ids)))

    @Command(needs_user=True)
    def getJobs(self, user: str) -> dict[str, Any]:
        """Return the jobs that the settings name, and those that wait, run or were run, the caller's own.

        Who has the right ``jobs.all`` sees those of all users.
        """
        everything = self._may(user, EVERYBODYS)
        event = [
            job_event(self._runner._registry, job).to_json()
            for job in self._runner.board
            if everything or job.owner == user
        ]
        offered = {
            name: {"description": kind.description, "arguments": dict(kind.arguments)}
            for name, kind in self._runner.jobs.items()
        }
        return {"offered": offered, "jobs": event}

    @Command(needs_user=True)
    def abortJob(self, user: str, id: int) -> bool:  # noqa: A002 - the word of the wire
        """End a job that waits or runs, and return once it has ended; false if there is none of that number.

        Its own user may do that, and who has the right ``jobs.all``.
        """
        job = self._runner.board.get(id)
        if job is None or (job.owner != user and not self._may(user, EVERYBODYS)):
            return False
        return bool(self._on_loop(lambda: self._runner.abort(id, f"aborted by {user}")))

    def _on_loop(self, start: Callable[[], Any]) -> Any:
        loop = self._runner.loop
        if loop is None:
            raise CommandError(UNAVAILABLE, "the job runner has stopped")
        return asyncio.run_coroutine_threadsafe(start(), loop).result(30.0)


def _check(kind: JobSettings, arguments: Mapping[str, str]) -> None:
    for name in kind.arguments:
        if name not in arguments:
            raise CommandError(INVALID_PARAMS, f"the argument {name!r} is missing")
    for name, text in arguments.items():
        pattern = kind.arguments.get(name)
        if pattern is None:
            raise CommandError(INVALID_PARAMS, f"there is no argument {name[:64]!r}")
        if len(text) > _LONGEST or "\0" in text or re.fullmatch(pattern, text) is None:
            raise CommandError(INVALID_PARAMS, f"the argument {name!r} does not match {pattern}")


def _filled(word: str, arguments: Mapping[str, str]) -> str:
    """Put arguments into one word, in one pass: what stands in an argument is no place for another."""
    return re.sub(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda found: arguments.get(found[1], found[0]), word)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()
