"""Try the tests that failed last once more, one after the other, with the machine to themselves.

    scripts/test_again.py -m "not broker and not soak"        (options of pytest)

Some tests are about time, and a machine that others use too can starve one of them. Such a test passes here,
and its name stands in the output as unsteady: a fault to look for, not a pass to forget. What is wrong is
wrong again. With more than two failures there is no second try.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
MOST = 2


def main(options: list[str]) -> int:
    """Run them; return the exit code."""
    names = sorted(json.loads(FAILED.read_text("utf-8"))) if FAILED.exists() else []
    if not 0 < len(names) <= MOST:
        print(f"{len(names)} tests failed: no second try", file=sys.stderr)
        return 1
    for name in names:
        print(f"unsteady, tried again alone: {name}", flush=True)
    command = [sys.executable, "-m", "pytest", *options, *names]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
