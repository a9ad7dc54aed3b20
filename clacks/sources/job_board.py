"""Jobs: which wait, run and are over. Pure: what happens comes in with its time, JobStatus events come out.

The words are those of the event: a job is WAITING, then RUNNING, then SUCCESS, FAILED or ABORTED.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry

__all__ = ["BoardFull", "Job", "JobBoard", "JobState", "Step", "job_event", "job_fields"]

_HIGHEST: Final = 2**31 - 1
"""The largest Id of the event (xs:int)."""


class BoardFull(Exception):
    """No more jobs may wait."""


class JobState(enum.Enum):
    """Where a job stands; the words of the event."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    ABORTED = "ABORTED"

    @property
    def over(self) -> bool:
        """Whether nothing more happens to the job."""
        return self not in (JobState.WAITING, JobState.RUNNING)


@dataclass(slots=True)
class Step:
    """One program of a job."""

    line: str
    log: str = ""
    code: int | None = None


@dataclass(slots=True)
class Job:
    """One job and all that is known of it; times are seconds since 1970."""

    id: int
    method: str
    arguments: Mapping[str, str]
    owner: str
    words: tuple[tuple[str, ...], ...]
    description: str = ""
    abortable: bool = True
    message_ids: tuple[str, ...] = ()
    state: JobState = JobState.WAITING
    percent: float | None = None
    progress: str = ""
    result: Any = None
    error: str = ""
    exception: str = ""
    started: float | None = None
    finished: float | None = None
    logs_path: str = ""
    log: str = ""
    current: int | None = None
    steps: list[Step] = field(default_factory=list)


class JobBoard:
    """All jobs of one runner.

    Args:
        at_once: Jobs that may run side by side.
        waiting: Jobs that may wait.
        kept: Jobs that are over and still remembered.
        log: Characters of output that a job keeps: the end of it.
        first: Number of the first job.

    Example:
        >>> board = JobBoard(at_once=1, waiting=5, kept=5)
        >>> job = board.add("backup", {}, "jane", (("/usr/bin/backup",),))
        >>> board.start(10.0).id == job.id
        True
        >>> board.finish(job.id, 12.0).state
        <JobState.SUCCESS: 'SUCCESS'>
    """

    def __init__(
        self, *, at_once: int, waiting: int, kept: int, log: int = 64 * 1024, first: int = 1
    ) -> None:
        self._at_once = at_once
        self._most_waiting = waiting
        self._kept = kept
        self._log = log
        self._next = first
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[int] = deque()
        self._running: set[int] = set()
        self._over: deque[int] = deque()

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def get(self, id_: int) -> Job | None:
        """Return a job, or None if there is none of that number."""
        return self._jobs.get(id_)

    def add(
        self,
        method: str,
        arguments: Mapping[str, str],
        owner: str,
        words: Sequence[tuple[str, ...]],
        *,
        description: str = "",
        abortable: bool = True,
        message_ids: tuple[str, ...] = (),
    ) -> Job:
        """Queue a job.

        Raises:
            BoardFull: Too many wait.
        """
        if len(self._waiting) >= self._most_waiting:
            raise BoardFull(f"{len(self._waiting)} jobs wait already")
        job = Job(
            self._next, method, dict(arguments), owner, tuple(words), description, abortable, message_ids
        )
        self._next = self._next + 1 if self._next < _HIGHEST else 1
        self._jobs[job.id] = job
        self._waiting.append(job.id)
        return job

    def start(self, now: float) -> Job | None:
        """Return the next job to run, running; None if none waits or enough run."""
        if not self._waiting or len(self._running) >= self._at_once:
            return None
        job = self._jobs[self._waiting.popleft()]
        job.state, job.started, job.percent = JobState.RUNNING, now, 0.0
        self._running.add(job.id)
        return job

    def step(self, id_: int, line: str) -> Job:
        """Note that the next program of a job begins."""
        job = self._jobs[id_]
        job.current = len(job.steps)
        job.steps.append(Step(line))
        return job

    def output(self, id_: int, text: str) -> Job:
        """Note what a program said; of much only the end is kept."""
        job = self._jobs[id_]
        job.log = (job.log + text)[-self._log :]
        if job.steps:
            step = job.steps[-1]
            step.log = (step.log + text)[-self._log // max(1, len(job.words)) :]
        return job

    def progress(self, id_: int, percent: float | None, description: str | None) -> Job:
        """Note how far a job is."""
        job = self._jobs[id_]
        if percent is not None:
            job.percent = min(max(percent, 0.0), 100.0)
        if description is not None:
            job.progress = description
        return job

    def step_over(self, id_: int, code: int) -> Job:
        """Note the end of a program."""
        job = self._jobs[id_]
        job.steps[-1].code = code
        if code == 0 and len(job.words) > 1:
            job.percent = max(job.percent or 0.0, 100.0 * len(job.steps) / len(job.words))
        return job

    def finish(
        self, id_: int, now: float, *, error: str = "", exception: str = "", result: Any = None
    ) -> Job:
        """Note the end of a job: a success unless there is an error."""
        return self._end(id_, now, JobState.FAILED if error else JobState.SUCCESS, error, exception, result)

    def abort(self, id_: int, now: float, reason: str) -> Job:
        """Note that a job was ended by somebody."""
        return self._end(id_, now, JobState.ABORTED, reason, "", None)

    def _end(self, id_: int, now: float, state: JobState, error: str, exception: str, result: Any) -> Job:
        job = self._jobs[id_]
        if job.state.over:
            return job
        if job.state is JobState.WAITING:
            self._waiting.remove(id_)
        self._running.discard(id_)
        job.state, job.finished, job.current = state, now, None
        job.error, job.exception, job.result = error, exception, result
        if state is JobState.SUCCESS:
            job.percent = 100.0
        self._over.append(id_)
        while len(self._over) > self._kept:
            del self._jobs[self._over.popleft()]
        return job


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(round(seconds, 3), UTC)


def job_event(registry: SchemaRegistry, job: Job) -> Event:
    """Return the event JobStatus."""
    return registry.from_dict("JobStatus", job_fields(job))


def job_fields(job: Job) -> dict[str, Any]:
    """Return what the event says of a job, as Python values."""
    fields: dict[str, Any] = {
        "Id": job.id,
        "Method": job.method,
        "Arguments": [dict(job.arguments)],
        "State": job.state.value,
        "Progress": {
            "Percent": None if job.percent is None else round(job.percent, 1),
            "Description": job.progress or None,
        },
        "Error": job.error or None,
        "Exception": job.exception or None,
        "TimeStarted": _time(job.started),
        "TimeFinished": _time(job.finished),
        "LogsPath": job.logs_path or None,
        "LogsExcerpt": job.log or None,
        "MessageIds": list(job.message_ids),
        "Description": job.description or None,
        "Abortable": job.abortable and not job.state.over,
        "Transient": False,
        "Owner": job.owner,
        "EventSystem": f"clacks/{job.method}",
        "CurrentCommand": job.steps[job.current].line if job.current is not None else None,
        "Command": [
            {"Line": step.line, "Log": step.log or None, "ReturnCode": step.code} for step in job.steps
        ],
    }
    # Both are JSON, where None is a value.
    if job.state is JobState.SUCCESS:
        fields["Result"] = job.result
    if job.state is JobState.FAILED:
        fields["ExcInfo"] = {"type": "CallError", "repr": job.error, "errno": None, "extra": None}
    return fields
