"""The HTTP interface does what its description says: schemathesis makes requests of it, good and bad."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import running

pytestmark = [pytest.mark.slow, pytest.mark.net]


def test_every_answer_is_one_that_the_description_has(tmp_path: Path) -> None:
    free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0")
    with running("up", *free, "--user", "ann:secret", home=tmp_path) as service:
        url = service.url("http").rstrip("/")
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json"),
                *(
                    "--auth",
                    "ann:secret",
                    "--max-examples",
                    "8",
                    "--seed",
                    "1",
                    "--phases",
                    "examples,fuzzing",
                ),
                # A stream never ends, and is tested by itself.
                *("--exclude-operation-id", "listen"),
                *("--checks", "status_code_conformance,content_type_conformance,response_schema_conformance"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout or "passed" in done.stdout
