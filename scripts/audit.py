"""Look the locked dependencies up among known vulnerabilities: ``make audit``.

The database is that of the package index, asked as pip-audit asks it. Three things more:

- a package of which everybody knows that it is vulnerable has to be reported so, or there is no database
  behind the index and its silence means nothing;
- an index that answers for the newest version of a package only (a mirror, say) is asked so, and believed for
  that version alone;
- a package about which nobody answers is no package without vulnerabilities.

Exit code: 0, nothing is known; 1, something is; 2, it could not be found out for all of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

__all__ = ["CONTROL", "Ask", "audit", "locked", "main"]

Ask = Callable[[str, Version], list[str] | None]
"""Returns what is known of a version, a line for each vulnerability; None if nobody answers for it.

Raises:
    OSError: There is no index.
"""

CONTROL: Final = ("pycrypto", Version("2.6.1"))
"""Nobody maintains it, so its last version stays vulnerable (CVE-2013-7459)."""

LOCK: Final = Path(__file__).parent.parent / "contrib" / "requirements.txt"


def locked(text: str) -> dict[str, Version]:
    """Return the version of each package of a lock file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {name: Version(version) for name, version in found}


def audit(packages: Mapping[str, Version], ask: Ask, say: Callable[[str], object] = print) -> int:
    """Ask about all packages, say what came of it, and return the exit code."""
    try:
        if not ask(*CONTROL):
            say(f"no database of vulnerabilities: the index knows nothing of {CONTROL[0]} {CONTROL[1]}")
            return 2
        answers = {name: ask(name, version) for name, version in packages.items()}
    except OSError as error:
        say(f"no database of vulnerabilities can be reached: {error}")
        return 2
    known = {name: found for name, found in answers.items() if found}
    for name, found in known.items():
        for line in found:
            say(f"{name} {packages[name]}: {line}")
    silent = [name for name, found in answers.items() if found is None]
    for name in silent:
        say(f"{name} {packages[name]}: nobody answers for this version (make lock takes the newest)")
    asked = len(packages) - len(silent)
    say(f"{asked} of {len(packages)} packages looked up, {len(known)} with vulnerabilities")
    return 1 if known else 2 if silent else 0


class _NewestToo:
    """A session that asks for the newest version where the index has no page for the one that is wanted."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def get(self, *, url: str, timeout: float) -> Any:
        answer = self._session.get(url=url, timeout=timeout)
        if answer.status_code != 404:
            return answer
        *start, version, page = url.split("/")
        newest = self._session.get(url="/".join([*start, page]), timeout=timeout)
        if newest.ok and Version(newest.json()["info"]["version"]) == Version(version):
            return newest
        return answer


def _asking() -> Ask:
    from pip_audit._service import PyPIService, ResolvedDependency, ServiceError

    service = PyPIService(timeout=60)
    service.session = _NewestToo(service.session)  # type: ignore[assignment]

    def ask(name: str, version: Version) -> list[str] | None:
        try:
            dependency, found = service.query(ResolvedDependency(name, version))
        except ServiceError as error:
            raise OSError(str(error) or repr(error.__cause__)) from error
        return None if dependency.is_skipped() else list(_lines(found))

    return ask


def _lines(found: Iterable[Any]) -> Iterable[str]:
    for one in found:
        better = ", ".join(map(str, one.fix_versions)) or "no version"
        yield f"{one.id} ({', '.join(sorted(one.aliases))}), mended in {better}: {one.description[:200]}"


def main() -> int:
    """Ask about the lock file."""
    return audit(locked(LOCK.read_text("utf-8")), _asking())


if __name__ == "__main__":
    sys.exit(main())
