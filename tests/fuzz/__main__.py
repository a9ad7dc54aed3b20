"""``python -m tests.fuzz [NAME ...] --seconds N``: feed targets with bad inputs, watch what becomes of them.

Each target runs in a process of its own, so that an abort inside a C library is a finding and not the end.
The input that is being tried lies in a file that both see: after an abort or a hang it is still there. A
finding is an exception, a signal, an input that takes more than ten seconds, or memory that keeps growing.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import importlib.util
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.fuzz.mutation import LARGEST, mutate

__all__ = ["Report", "fuzz", "main"]

HANG = 10.0
"""Seconds that one input may take; the largest budget that one of them has is a tenth of a second."""
GROWTH = 48 * 1024 * 1024
"""Bytes that a process may grow after its first quarter: caches fill, and freed memory is not given back."""
_HEAD = 24
FOUND = Path("build") / "fuzz"


@dataclass(frozen=True)
class Report:
    """What came of one target; ``growth`` is in bytes, None where it was not measured."""

    name: str
    inputs: int
    seconds: float
    growth: int | None
    finding: str = ""
    data: bytes = b""

    def line(self) -> str:
        """Return it for people."""
        work = f"{self.name:13} {self.inputs:>9,} inputs {self.seconds:7.1f} s"
        # Steered by coverage the corpus grows in memory, too: there only the limit of libFuzzer is watched.
        memory = "by coverage       " if self.growth is None else f"memory {self.growth / 1e6:+6.1f} MB  "
        return f"{work}  {memory}{'FINDING' if self.finding else 'ok'}"


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Slate:
    """Memory that parent and child share: inputs so far, growth, and the input that is being tried."""

    def __init__(self, file: Path) -> None:
        size = _HEAD + LARGEST
        if not file.exists():
            file.write_bytes(bytes(size))
        self._file = file.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), size)

    def begin(self, number: int, data: bytes) -> None:
        self._map[_HEAD : _HEAD + len(data)] = data
        self._map[:16] = number.to_bytes(8, "big") + len(data).to_bytes(8, "big")

    def grown(self, growth: int) -> None:
        self._map[16:24] = growth.to_bytes(8, "big", signed=True)

    def read(self) -> tuple[int, int, bytes]:
        number, size = (int.from_bytes(self._map[at : at + 8], "big") for at in (0, 8))
        return number, int.from_bytes(self._map[16:24], "big", signed=True), self._map[_HEAD : _HEAD + size]

    def close(self) -> None:
        self._map.close()
        self._file.close()


def _child(name: str, slate: _Slate, seconds: float, count: int, seed: int) -> int:
    """Feed one target; return the exit code: 1 for a finding, which stands on standard error."""
    from tests.fuzz.targets import FAULT, TARGETS

    faulthandler.enable()
    target = FAULT if name == "fault" else TARGETS[name]
    chance = random.Random(seed)
    seeds = target.seeds(name)
    begun = time.monotonic()
    until = begun + seconds
    number, base = 0, 0
    with target.make() as one:
        while number < count if count else time.monotonic() < until:
            data = seeds[number] if number < len(seeds) else mutate(seeds, target.words, chance)
            number += 1
            slate.begin(number, data)
            try:
                one(data)
            except Exception:
                traceback.print_exc()
                return 1
            if number % 1000 == 0:
                part = number / count if count else (time.monotonic() - begun) / seconds
                if part >= 0.25:
                    gc.collect()
                    base = base or resident()
                    growth = resident() - base
                    slate.grown(growth)
                    if growth > GROWTH:
                        print(f"memory grew by {growth} bytes", file=sys.stderr)
                        return 1
        gc.collect()
    return 0


def _steered(name: str, slate: _Slate, seconds: float, seed: int, corpus: Path) -> int:
    """The same, steered by coverage; what is worth keeping goes to ``corpus``."""
    import atheris

    with atheris.instrument_imports(include=["clacks", "aiohttp", "jwt"]):
        from tests.fuzz.targets import CORPUS, TARGETS
    faulthandler.enable()
    target = TARGETS[name]
    words = FOUND / f"{name}.words"
    words.write_text("".join('"' + "".join(f"\\x{b:02x}" for b in w) + '"\n' for w in target.words), "ascii")
    number = 0
    with target.make() as one:

        def try_one(data: bytes) -> None:
            nonlocal number
            number += 1
            slate.begin(number, data)
            one(data)

        atheris.Setup(
            [
                "fuzz",
                f"-max_total_time={int(seconds)}",
                f"-seed={seed}",
                f"-max_len={LARGEST}",
                f"-timeout={int(HANG)}",
                "-rss_limit_mb=2048",
                f"-dict={words}",
                f"-artifact_prefix={FOUND}/",
                "-print_final_stats=0",
                "-verbosity=0",
                str(corpus),
                str(CORPUS / name),
            ],
            try_one,
        )
        atheris.Fuzz()
    return 0


def fuzz(name: str, *, seconds: float = 0.0, count: int = 0, seed: int = 1, steered: bool = False) -> Report:
    """Feed one target in a process of its own, for so long or with so many inputs."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "slate"
        slate = _Slate(file)
        errors = Path(place) / "errors"
        command = [sys.executable, "-m", "tests.fuzz", name, "--child", str(file), "--seed", str(seed)]
        command += ["--seconds", str(seconds), "--count", str(count), *(["--steered"] if steered else [])]
        begun = time.monotonic()
        with errors.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
        hung = _watch(process, slate)
        inputs, growth, data = slate.read()
        slate.close()
        words = errors.read_text("utf-8", "replace")
        finding = ""
        if hung:
            finding = f"one input took more than {HANG:g} s\n{words}"
        elif process.returncode:
            finding = f"ended with {process.returncode}\n{words}"
        took = time.monotonic() - begun
        return Report(name, inputs, took, None if steered else growth, finding, data if finding else b"")


def _watch(process: subprocess.Popen[bytes], slate: _Slate) -> bool:
    """Wait for the end; tell whether one input took too long, measured by the CPU time of the process."""
    seen, since, waited = 0, 0.0, time.monotonic()
    while True:
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            pass
        else:
            return False
        number = slate.read()[0]
        spent = _cpu_seconds(process.pid)
        if number != seen or number == 0:
            seen, since, waited = number, spent, time.monotonic()
        elif spent - since > HANG or time.monotonic() - waited > 12 * HANG:
            process.send_signal(signal.SIGABRT)  # faulthandler says where it is
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
            return True


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all if none is named")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target")
    parser.add_argument("--count", type=int, default=0, help="inputs for each target, instead of seconds")
    parser.add_argument(
        "--seed", type=int, default=0, help="the same number gives the same inputs; 0: by the time"
    )
    parser.add_argument("--try", dest="file", type=Path, help="try this one input on the named target")
    parser.add_argument("--plain", action="store_true", help="do not use atheris though it is there")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--steered", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child is not None:
        slate = _Slate(given.child)
        if given.steered:
            corpus = FOUND / "corpus" / given.names[0]
            corpus.mkdir(parents=True, exist_ok=True)
            return _steered(given.names[0], slate, given.seconds, given.seed, corpus)
        return _child(given.names[0], slate, given.seconds, given.count, given.seed)

    from tests.fuzz.targets import TARGETS

    if given.file is not None:
        with TARGETS[given.names[0]].make() as one:
            one(given.file.read_bytes())
        return 0
    steered = not given.plain and not given.count and importlib.util.find_spec("atheris") is not None
    seed = given.seed or int(time.time())
    print(f"seed {seed}, {'steered by coverage (atheris) and ' if steered else ''}mutations of the corpus")
    reports: list[Report] = []
    for name in given.names or list(TARGETS):
        # Half of the time each: coverage finds new paths, plain mutation is faster and watches the memory.
        runs = (
            [(given.seconds / 2, True), (given.seconds / 2, False)] if steered else [(given.seconds, False)]
        )
        for seconds, by_coverage in runs:
            report = fuzz(name, seconds=seconds, count=given.count, seed=seed, steered=by_coverage)
            reports.append(report)
            print(report.line(), flush=True)
            if report.finding:
                FOUND.mkdir(parents=True, exist_ok=True)
                file = FOUND / f"{name}-{sha256(report.data).hexdigest()[:12]}"
                file.write_bytes(report.data)
                print(
                    f"{report.finding[-4000:]}\nagain: python -m tests.fuzz {name} --try {file}", flush=True
                )
    found = sum(bool(report.finding) for report in reports)
    print(f"{sum(report.inputs for report in reports):,} inputs, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
