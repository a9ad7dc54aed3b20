from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.schema import SchemaRegistry
from clacks.sources.puppet_report import Log, Report, ReportError, read_report, report_event

SCHEMAS = SchemaRegistry(plugins=False)
REAL = (Path(__file__).parent / "data" / "report.yaml").read_bytes()

# As Ruby wrote them before Puppet 4, with symbols, objects, anchors and another form of time.
OLD = b"""--- !ruby/object:Puppet::Transaction::Report
  configuration_version: &1 1355
  resource_statuses:
    x: !ruby/object:Puppet::Resource::Status
      tags: &id002 !ruby/object:Puppet::Util::TagSet
        hash: {notice: true}
      title: &id001 Exec[x]
  host: old
  logs:
    - !ruby/object:Puppet::Util::Log
      level: !ruby/sym err
      tags: *id002
      message: "gone\\0wrong"
      source: *id001
      time: 2012-12-17 12:14:37.812345678 +01:00
      file: &3 /etc/site.pp
      line: 7
    - !ruby/object:Puppet::Util::Log
      level: :notice
      message: !binary |-
        w6QB
      source: Puppet
      time: 2012-12-17 11:14:38 Z
      file: *3
  kind: apply
  status: failed
  time: 2012-12-17 12:14:30 +01:00
"""


def test_a_real_report_is_read() -> None:
    report = read_report(REAL)
    assert (report.host, report.version, report.status) == ("vm", "1795247530", "failed")
    assert [log.level for log in report.logs] == ["notice", "notice", "notice", "err", "err", "notice"]
    first = report.logs[0]
    assert (first.source, first.file, first.line) == (
        "/Stage[main]/Main/File[/tmp/pp/hello]/ensure",
        "/tmp/pp/m.pp",
        1,
    )
    assert first.tags == ("notice", "file", "class")
    assert first.time == pytest.approx(1795247530.330981)
    assert report.logs[1].message == "say 'it' \U0001f600"


def test_a_real_report_becomes_an_event() -> None:
    told = report_event(SCHEMAS, read_report(REAL)).to_dict()
    assert told["Id"] == "vm"
    assert told["PuppetLog"][3]["Message"] == "'/bin/false' returned 1 instead of one of [0]"
    assert told["PuppetLog"][3]["Level"] == "err"
    assert told["PuppetLog"][0]["Tag"] == {"value": ["notice", "file", "class"]}


def test_old_reports_with_symbols_objects_and_anchors_are_read() -> None:
    report = read_report(OLD)
    first, second = report.logs
    assert (report.host, report.version) == ("old", "1355")
    assert (first.level, first.source, first.file, first.line) == ("err", "Exec[x]", "/etc/site.pp", 7)
    assert first.time == pytest.approx(1355742877.812345)
    assert first.tags == ()
    assert (second.level, second.message, second.file) == ("notice", "\u00e4\x01", "/etc/site.pp")


def test_text_that_xml_cannot_hold_comes_through() -> None:
    told = report_event(SCHEMAS, read_report(OLD), id="desk-1").to_dict()
    assert told["Id"] == "desk-1"
    assert [log["Message"] for log in told["PuppetLog"]] == ["gone\0wrong", "\u00e4\x01"]


def test_lines_below_a_level_are_left_out_and_a_silent_run_still_makes_an_event() -> None:
    told = report_event(SCHEMAS, read_report(REAL), level="err").to_dict()
    assert {log["Level"] for log in told["PuppetLog"]} == {"err"}
    (only,) = report_event(SCHEMAS, read_report(REAL), level="crit").to_dict()["PuppetLog"]
    assert "its status is failed" in only["Message"]


def test_of_too_many_lines_the_gravest_are_kept_in_their_order_and_the_rest_is_counted() -> None:
    logs = [Log("notice" if number % 10 else "err", f"line {number}", 1.0) for number in range(1000)]
    report = Report("h", 1.0, "failed", "1", tuple(logs))
    told = report_event(SCHEMAS, report, limits=replace(DEFAULT_LIMITS, report_logs=150)).to_dict()
    messages = [log["Message"] for log in told["PuppetLog"]]
    assert len(messages) == 151
    assert messages[-1].startswith("850 lines of this report are left out")
    numbers = [int(message.split()[1]) for message in messages[:-1]]
    assert numbers == sorted(numbers)
    assert set(range(0, 1000, 10)) <= set(numbers)


def test_an_event_of_a_huge_report_still_fits_into_a_message() -> None:
    logs = tuple(Log("notice", "x" * 60_000, 1.0) for _ in range(500))
    event = report_event(SCHEMAS, Report("h", 1.0, "", "", logs))
    assert len(event.xml) < DEFAULT_LIMITS.message_size


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a mapping"),
        (b"- 1\n- 2\n", "not a mapping"),
        (b"host: h\n", "host or logs are missing"),
        (b"host: [h]\nlogs: []\n", "host or logs are missing"),
        (b"host: h\nlogs: {a: b}\n", "host or logs are missing"),
        (b"host: h\nlogs:\n - level: err\n  message: x\n", "no YAML"),
        (b"host: h\nlogs: [", "no YAML"),
        (b"\xff\xfe\xff", "no YAML"),
        (b"host: h\nx: " + b"[" * 5000, "deeper than 100 levels"),
        (b"host: h\nlogs: [" + b"{a: " * 5000, "deeper than 100 levels"),
        (b"x" * (DEFAULT_LIMITS.report_size + 1), "too many"),
    ],
)
def test_what_is_no_report_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ReportError) as error:
        read_report(data)
    assert reason in str(error.value)


def test_tags_of_python_are_text_and_run_nothing(tmp_path: Path) -> None:
    hostile = (
        f"host: h\nlogs:\n- level: err\n  message: !!python/object/apply:os.mkdir ['{tmp_path}/x']\n"
        f"x: !!python/object/apply:os.mkdir ['{tmp_path}/y']\n"
    ).encode()
    assert read_report(hostile).logs[0].message == ""
    assert list(tmp_path.iterdir()) == []


def test_aliases_that_multiply_cost_nothing() -> None:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 30)]
    bomb = b"\n".join([*lines, b"host: h", b"logs:", b"- {level: err, message: *a29, tags: *a29}"])
    began = time.process_time()
    assert read_report(bomb).logs[0].tags == ()
    assert time.process_time() - began < 2.0


def test_damaged_reports_are_read_or_refused_and_nothing_else() -> None:
    dice = random.Random(3)
    for _ in range(300):
        damaged = bytearray(dice.choice([OLD, REAL[:3000]]))
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            report = read_report(bytes(damaged))
        except ReportError:
            continue
        assert isinstance(report, Report)
