from __future__ import annotations

import pytest

from clacks.common.schema import SchemaRegistry
from clacks.sources.job_board import BoardFull, Job, JobBoard, JobState, job_event

SCHEMAS = SchemaRegistry(plugins=False)


def board(**more: int) -> JobBoard:
    return JobBoard(**{"at_once": 1, "waiting": 3, "kept": 2, **more})


def add(jobs: JobBoard, name: str = "backup", steps: int = 1) -> Job:
    return jobs.add(name, {"what": "x"}, "jane", (("/bin/true",),) * steps)


def test_jobs_run_in_their_order_and_only_so_many_at_once() -> None:
    jobs = board()
    first, second = add(jobs), add(jobs)
    assert jobs.start(1.0) is first
    assert jobs.start(1.0) is None
    jobs.finish(first.id, 2.0)
    assert jobs.start(3.0) is second


def test_more_than_may_wait_are_refused() -> None:
    jobs = board()
    for _ in range(3):
        add(jobs)
    with pytest.raises(BoardFull, match="3 jobs wait"):
        add(jobs)


def test_jobs_that_are_over_are_remembered_for_a_while() -> None:
    jobs = board(waiting=10)
    ids = []
    for _ in range(5):
        job = add(jobs)
        jobs.start(1.0)
        jobs.finish(job.id, 2.0)
        ids.append(job.id)
    assert [job.id for job in jobs] == ids[-2:]


def test_a_job_that_waits_can_be_aborted_and_does_not_run() -> None:
    jobs = board()
    job = add(jobs)
    assert jobs.abort(job.id, 5.0, "no").state is JobState.ABORTED
    assert jobs.start(6.0) is None
    assert jobs.finish(job.id, 7.0).state is JobState.ABORTED, "what is over stays so"


def test_the_end_of_a_long_output_is_kept() -> None:
    jobs = board(log=100)
    job = add(jobs)
    jobs.start(1.0)
    jobs.step(job.id, "/bin/true")
    for number in range(1000):
        jobs.output(job.id, f"line {number}\n")
    assert len(job.log) == 100
    assert job.log.endswith("line 999\n")
    assert len(job.steps[0].log) <= 100


def test_programs_of_a_job_move_its_progress() -> None:
    jobs = board()
    job = add(jobs, steps=4)
    jobs.start(1.0)
    jobs.step(job.id, "one")
    jobs.step_over(job.id, 0)
    assert job.percent == 25.0
    jobs.progress(job.id, 250.0, "far")
    assert (job.percent, job.progress) == (100.0, "far")


def test_numbers_begin_anew_where_the_event_has_no_larger_ones() -> None:
    jobs = board(first=2**31 - 1)
    assert [add(jobs).id, add(jobs).id] == [2**31 - 1, 1]


def test_each_state_is_a_valid_event_with_what_foreign_clients_need() -> None:
    jobs = board()
    job = jobs.add("backup", {"what": "x"}, "jane", (("/bin/x",),), message_ids=("m-1",))
    waiting = job_event(SCHEMAS, job).to_json()
    assert (waiting["State"], waiting["MessageIds"], waiting["Abortable"]) == ("WAITING", ["m-1"], True)
    assert {"Result", "TimeStarted", "ExcInfo"}.isdisjoint(waiting)
    jobs.start(1.0)
    jobs.step(job.id, "/bin/x")
    jobs.output(job.id, "\x00 said\n")
    running = job_event(SCHEMAS, job).to_json()
    assert (running["State"], running["CurrentCommand"]) == ("RUNNING", "/bin/x")
    assert running["LogsExcerpt"] == "\x00 said\n"
    jobs.step_over(job.id, 0)
    jobs.finish(job.id, 3.0, result={"files": 3})
    over = job_event(SCHEMAS, job).to_json()
    assert (over["State"], over["Result"], over["Abortable"]) == ("SUCCESS", {"files": 3}, False)
    assert over["Command"][0]["ReturnCode"] == 0
    failed = add(jobs)
    jobs.start(1.0)
    jobs.finish(failed.id, 2.0, error="it broke")
    told = job_event(SCHEMAS, failed).to_json()
    assert (told["State"], told["Error"], told["ExcInfo"]["repr"]) == ("FAILED", "it broke", "it broke")
