from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from clacks.dialects.delivered import Delivered
from clacks.dialects.sysadm.subsystems import args_of, keeps_last, kind_of

from .client import NOW, REGISTRY


def args(kind: str, fields: dict[str, Any], *, replayed: bool = False) -> dict[str, Any]:
    return args_of(Delivered(REGISTRY.from_json(kind, fields), "1-1", NOW, replayed=replayed))


def job(state: str, **more: Any) -> dict[str, Any]:
    fields = {"Id": 7, "Method": "m", "Arguments": [], "State": state, "Progress": {}, "MessageIds": []}
    return args("JobStatus", fields | {"Abortable": False, "Transient": False} | more)


STARTED = "2026-11-21T06:00:00Z"
LOCAL = datetime.fromisoformat(STARTED).astimezone().replace(tzinfo=None).isoformat()


def test_a_waiting_process_is_pending():
    assert job("WAITING") == {"state": "pending", "process_id": "7"}


def test_a_running_process_shows_what_ran_and_what_runs():
    commands = [{"Line": "pkg update", "Log": "done", "ReturnCode": 0}, {"Line": "pkg upgrade"}]
    shown = job(
        "RUNNING",
        EventSystem="sysadm/pkg",
        TimeStarted=STARTED,
        CurrentCommand="pkg upgrade",
        Command=commands,
        Detail=[{"@name": "pkg_log", "#text": "new"}, {"@name": "process_id", "#text": "sysadm_pkg_7"}],
    )
    assert shown == {
        "event_system": "sysadm/pkg",
        "state": "running",
        "process_id": "sysadm_pkg_7",
        "pkg_log": "new",
        "process_details": {
            "state": "running",
            "process_id": "sysadm_pkg_7",
            "time_started": LOCAL,
            "cmd_list": ["pkg update", "pkg upgrade"],
            "pkg update": "done",
            "return_codes/pkg update": "0",
            "current_cmd": "pkg upgrade",
        },
    }


@pytest.mark.parametrize("state", ["SUCCESS", "FAILED", "ABORTED"])
def test_every_end_is_finished(state: str):
    extra: dict[str, Any] = {"Result": 1} if state == "SUCCESS" else {}
    shown = job(state, TimeStarted=STARTED, TimeFinished=STARTED, **extra)
    assert shown["state"] == shown["process_details"]["state"] == "finished"
    assert shown["process_details"]["time_finished"] == LOCAL
    assert "current_cmd" not in shown["process_details"]


def test_equal_commands_do_not_become_one():
    shown = job("SUCCESS", Command=[{"Line": "ls", "Log": "a"}, {"Line": "ls", "Log": "b"}])[
        "process_details"
    ]
    assert shown["cmd_list"] == ["ls", "ls #2"]
    assert (shown["ls"], shown["ls #2"]) == ("a", "b")


def test_no_command_stands_in_for_a_member_of_the_process():
    shown = job("SUCCESS", Command=[{"Line": "state", "Log": "running"}])["process_details"]
    assert shown["state"] == "finished"


def test_a_log_that_xml_cannot_hold_arrives():
    assert job("SUCCESS", Command=[{"Line": "x", "Log": "a\x00b"}])["process_details"]["x"] == "a\x00b"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 - Information"), (3, "3 - Warning"), (6, "6 - Critical"), (9, "9 - Urgent")]
)
def test_a_priority_has_its_number_first(number: int, text: str):
    shown = args("LifePreserver", {"Message": "m", "Priority": number, "Class": "replication"})
    assert shown == {"message": "m", "priority": text, "class": "replication"}


def test_pools_are_members_by_their_names():
    texts = {
        "Size": "107G",
        "Alloc": "13.1G",
        "Free": "93.9G",
        "Frag": "6%",
        "ExpandSz": "-",
        "Dedup": "1.00x",
        "AltRoot": "-",
        "Capacity": "12%",
        "Health": "ONLINE",
    }
    pools = [{"@name": "tank", **texts}, {"@name": "worn out", **texts, "Health": "DEGRADED", "Priority": 9}]
    shown = args(
        "SystemState",
        {
            "Hostname": "nas",
            "HostnameChanged": True,
            "Pool": pools,
            "Updates": {"Status": "noupdates"},
            "Priority": 9,
        },
    )
    assert shown["hostnamechanged"] == "true"
    assert shown["zpools"]["tank"] == {name.lower(): text for name, text in texts.items()}
    assert shown["zpools"]["worn out"]["priority"] == "9 - Urgent"
    assert shown["updates"] == {"status": "noupdates"}


def test_a_name_that_did_not_change_is_not_said_to_have():
    assert "hostnamechanged" not in args(
        "SystemState", {"Hostname": "a", "HostnameChanged": False, "Pool": [], "Priority": 0}
    )


def test_times_of_own_types_are_text():
    event = {"UUID": "7f8c", "ModificationTime": STARTED, "ChangeType": "update"}
    shown = args("ObjectChanged", event)
    assert shown["ModificationTime"] == STARTED


def test_a_replayed_event_of_an_own_type_says_when_it_was():
    status = {"Id": "a", "Load": 0.5, "Latency": 0.1, "Workers": 2}
    assert "@time" not in args("NodeStatus", status)
    assert args("NodeStatus", status, replayed=True)["@time"].startswith("2027-01-15T08:00:00")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dispatcher", "JobStatus"),
        ("life-preserver", "LifePreserver"),
        ("life_preserver", "LifePreserver"),
        ("system-state", "SystemState"),
        ("system_state", "SystemState"),
        ("PhoneStatus", "PhoneStatus"),
        ("JobStatus", None),
        ("bridge", None),
        ("error", None),
        ("Dispatcher", None),
        ("", None),
    ],
)
def test_names_of_subsystems(name: str, kind: str | None):
    assert kind_of(name, REGISTRY) == kind


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("JobStatus", False), ("LifePreserver", True), ("SystemState", True), ("PhoneStatus", False)],
)
def test_the_last_event_is_kept_of_types_that_are_a_state(kind: str, kept: bool):
    assert keeps_last(kind, REGISTRY) is kept
