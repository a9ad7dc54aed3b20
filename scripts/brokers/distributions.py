"""The Java brokers as their makers publish them on Maven Central: fetched once, checked, unpacked in a cache.

    python -m scripts.brokers.distributions          # fetch what is not there yet, say what could not be had

The cache is ``$CLACKS_BROKERS``, else ``~/.cache/clacks/brokers``. What is in it has the checksum below: a
file with another one is thrown away, and the broker counts as not to be had.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DISTRIBUTIONS", "Distribution", "Unavailable", "cache", "java"]

_PLUGIN: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_FETCH_SECONDS: Final = 240
_OLDEST_JAVA: Final = 17


class Unavailable(Exception):
    """A broker cannot be had here; the text says why."""


@dataclass(frozen=True)
class Distribution:
    """One broker product in one version.

    Attributes:
        name: As the tests call it.
        group, artifact, version, packaging: Its coordinates; the classifier is ``bin``.
        sha256: Checksum of the archive.
        home: The folder that the archive makes.
    """

    name: str
    group: str
    artifact: str
    version: str
    packaging: str
    sha256: str
    home: str

    @property
    def title(self) -> str:
        """Product and version for people."""
        return f"{self.artifact} {self.version}"

    def is_there(self) -> bool:
        """Whether it is in the cache."""
        return (cache() / f"{self.name}-{self.version}" / self.home).is_dir()

    def folder(self) -> Path:
        """Return where it is unpacked.

        Raises:
            Unavailable: It has not been fetched, or there is no Java for it.
        """
        java()
        folder = cache() / f"{self.name}-{self.version}" / self.home
        if not folder.is_dir():
            raise Unavailable(f"{self.title} is not in {cache()}: make setup-brokers")
        return folder

    def fetch(self) -> Path:
        """Fetch, check and unpack it if it is not there; return its folder.

        Raises:
            Unavailable: No Java, no Maven, Maven Central does not answer, or the checksum is another.
        """
        java()
        whole = cache() / f"{self.name}-{self.version}"
        if not (whole / self.home).is_dir():
            cache().mkdir(parents=True, exist_ok=True)
            # Beside its place, so that it can be moved there: half a broker is never seen.
            with tempfile.TemporaryDirectory(dir=cache()) as draft:
                self._download(Path(draft))
                archive = Path(draft) / f"{self.artifact}-{self.version}-bin.{self.packaging}"
                self._check(archive)
                _unpack(archive, Path(draft) / "unpacked")
                shutil.rmtree(whole, ignore_errors=True)
                (Path(draft) / "unpacked").rename(whole)
        return whole / self.home

    def _download(self, target: Path) -> None:
        program = shutil.which("mvn")
        if program is None:
            raise Unavailable(f"{self.title}: there is no mvn (Debian: maven)")
        what = f"{self.group}:{self.artifact}:{self.version}:{self.packaging}:bin"
        arguments = [program, "-q", "-B", _PLUGIN, f"-Dartifact={what}", f"-DoutputDirectory={target}"]
        try:
            done = subprocess.run(
                arguments,
                cwd=target,  # not ours: a pom.xml there would be read
                capture_output=True,
                text=True,
                timeout=_FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{self.title}: Maven Central did not answer in {_FETCH_SECONDS} s") from None
        if done.returncode:
            first = next((line for line in done.stdout.splitlines() if "[ERROR]" in line), "mvn failed")
            raise Unavailable(f"{self.title}: {first[:300]}")

    def _check(self, archive: Path) -> None:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.sha256:
            raise Unavailable(f"{self.title}: its checksum is {found}, not {self.sha256}")


DISTRIBUTIONS: Final[Mapping[str, Distribution]] = {
    one.name: one
    for one in (
        Distribution(
            "activemq",
            "org.apache.activemq",
            "apache-activemq",
            "5.18.3",
            "tar.gz",
            "943381aa6d340707de6c42eadbf7b41b7fdf93df604156d972d50c4da783544f",
            "apache-activemq-5.18.3",
        ),
        # From 2.50 on the group is org.apache.artemis.
        Distribution(
            "artemis",
            "org.apache.activemq",
            "apache-artemis",
            "2.44.0",
            "zip",
            "d711e6aacd43fd2e3e90993260b2ad391a2e13392d6100e8f6f304f8a7bee801",
            "apache-artemis-2.44.0",
        ),
        Distribution(
            "broker-j",
            "org.apache.qpid",
            "apache-qpid-broker-j",
            "9.2.1",
            "tar.gz",
            "bfbfbcffc6a8ad904f97edc6dcebc688f232b582843b9cb1f240decb8b8a181a",
            "qpid-broker/9.2.1",
        ),
    )
}
"""By the names that the tests use."""


def cache() -> Path:
    """Return the folder in which they are kept."""
    named = os.environ.get("CLACKS_BROKERS")
    return Path(named) if named else Path.home() / ".cache" / "clacks" / "brokers"


def java() -> str:
    """Return the Java that runs them.

    Raises:
        Unavailable: There is none, or it is too old.
    """
    program = shutil.which("java")
    if program is None:
        raise Unavailable(f"there is no Java; {_OLDEST_JAVA} or newer (Debian: default-jre-headless)")
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        raise Unavailable(f"Java {found[1] if found else '?'} is too old: {_OLDEST_JAVA} is needed")
    return program


def _unpack(archive: Path, target: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            file.extractall(target)
    else:
        with tarfile.open(archive) as file:
            file.extractall(target, filter="data")


def main() -> int:
    """Fetch all; what cannot be had is said and is no error: the tests leave it out and say so, too.

    With ``--there`` nothing is fetched: the status tells whether all are there.
    """
    if sys.argv[1:] == ["--there"]:
        return int(not all(one.is_there() for one in DISTRIBUTIONS.values()))
    for distribution in DISTRIBUTIONS.values():
        try:
            print(f"{distribution.title}: {distribution.fetch()}")
        except Unavailable as error:
            print(f"left out: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
