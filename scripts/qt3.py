"""Run W3C's XQuery tests (QT3) and compare with the list of those that are known to fail.

    scripts/qt3.py DIR           fail if a test fails that is not on the list
    scripts/qt3.py DIR --code    the same, and everything is made Python code before it runs
    scripts/qt3.py DIR --write   write the list anew; reasons that are there stay

DIR holds the runner, run_qt3.py, and the suite. The list is tests/conformance/failing.txt: a line for each,
the name of the test, white space, the reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFORMANCE = ROOT / "tests" / "conformance"
KNOWN = CONFORMANCE / "failing.txt"
MOST_AGAIN = 25
LIMIT = 5
LIMIT_ALONE = 20
"""Seconds that a test has, by the clock, beside another one and by itself."""


def known() -> dict[str, str]:
    """Return the reasons of the list by test."""
    lines = KNOWN.read_text("utf-8").splitlines() if KNOWN.exists() else []
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {name: "".join(reason) for name, *reason in pairs}


def run(folder: Path, limit: int, *options: str) -> dict[str, str]:
    """Run tests of at most ``limit`` seconds each; return the status of each that ran."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        subprocess.run(
            [
                sys.executable,
                str(folder / "run_qt3.py"),
                *("--engine", "qt3_adapter:Engine", "--spec", "XQ31", "--quiet"),
                *("--limit", str(limit), "--out", str(report)),
                *options,
            ],
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{CONFORMANCE}",
                "QT3_LIMIT": str(limit),
            },
            cwd=folder,
            check=True,
        )
        results = json.loads(report.read_text("utf-8"))["results"]
    return {f"{row['set']}/{row['case']}": row["status"] for row in results if row["status"] != "skip"}


def main(folder: Path, write: bool, code: bool) -> int:
    """Run everything; return the exit code."""
    if code:
        os.environ["QT3_OFTEN"] = "0"
    ran = run(folder, LIMIT, "--workers", "2")
    failing = {test: status for test, status in ran.items() if status != "pass"}
    reasons = known()
    if write:
        lines = [f"{test} {reasons.get(test, failing[test])}" for test in sorted(failing)]
        KNOWN.write_text(
            "# The QT3 tests that fail, and why. May only shrink.\n" + "\n".join(lines) + "\n", "utf-8"
        )
        return 0
    new = sorted(set(failing) - set(reasons))
    if 0 < len(new) <= MOST_AGAIN:
        # The limit is wall time, and two workers share the machine with whatever else runs: what is slow for
        # that reason is measured once more by itself. What is wrong is wrong again.
        again = "|".join(re.escape(test) for test in new)
        alone = run(folder, LIMIT_ALONE, "--workers", "1", "--filter", f"^(?:{again})$")
        failing.update(alone)
        new = [test for test in new if failing[test] != "pass"]
    for test in new:
        print(f"fails and is not on the list: {test} ({failing[test]})")
    for test in sorted(set(reasons) & set(ran)):
        if failing.get(test, "pass") == "pass":
            print(f"passes now, take it from the list: {test}")
    failed = sum(status != "pass" for status in failing.values())
    print(f"{len(ran) - failed} passed, {failed} failed, {len(new)} of them new")
    return 1 if new or not ran else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), "--write" in sys.argv[2:], "--code" in sys.argv[2:]))
