"""Print the CPU time of the portable archive beside that of an environment, in pairs. Nothing is asserted.

usage: python -m bench.portable FOLDER [VENV]     the unpacked archive; by default, this environment
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.compare import OURS, a_repository
from bundler.about import PROGRAM
from tests.builders import a_bundle

PAIRS = 15


def cpu_seconds(command: list[str]) -> float:
    """Seconds of CPU that a whole process takes, with those that it starts."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def paired(installed: str, portable: str, *arguments: str) -> None:
    """Both in turn, after one of each; medians, and the median of the ratios."""
    commands = [[program, *arguments] for program in (installed, portable)]
    pairs = [tuple(map(cpu_seconds, commands)) for _ in range(PAIRS + 1)][1:]
    ours, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(second / first for first, second in pairs)
    print(f"| `{arguments[0]}` | {ours:.3f} s | {theirs:.3f} s | {ratio:.2f} |", flush=True)


def main(folder: str, environment: str = "") -> None:
    """Measure both commands."""
    installed = str(Path(environment, "bin", PROGRAM)) if environment else OURS
    portable = str(Path(folder, PROGRAM))
    with tempfile.TemporaryDirectory() as scratch:
        bundle = a_bundle(Path(scratch, "b.tar.zst"), {"ghcr.io/podinfo": a_repository("podinfo")})
        paired(installed, portable, "--version")
        paired(installed, portable, "verify", str(bundle))


if __name__ == "__main__":
    main(sys.argv[1])
