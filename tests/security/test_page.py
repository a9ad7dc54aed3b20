"""What keeps a text in an event from becoming a program in the browser."""

from __future__ import annotations

import re

import pytest

from clacks.dialects.exchange import Response
from tests.dialects.http.asking import Asker


@pytest.mark.parametrize("path", ["/", "/page.js"])
def test_the_page_forbids_scripts_in_line_and_from_elsewhere(path: str) -> None:
    asker = Asker("")
    if ("GET", path) not in asker.routes:
        path = next(path for method, path in asker.routes if method == "GET" and path.endswith(".js"))
    answer = asker.ask("GET", path)
    assert isinstance(answer, Response)
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] in ("'none'", "'self'")
    scripts = policy.get("script-src", policy["default-src"])
    assert re.fullmatch(r"'self'|'none'", scripts), scripts
    assert "unsafe" not in " ".join(policy.values())
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
