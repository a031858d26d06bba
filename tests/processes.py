"""The program as a process: for signals, limits, full disks and injected faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.leaks import assert_none_in

PROGRAM = [sys.executable, "-m", "bundler"]


def bundler(
    *arguments: str, before: tuple[str, ...] = (), **more: object
) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end; `before` is a program that starts it, such as strace."""
    command = [*before, *PROGRAM, *arguments]
    ended: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, **more
    )  # type: ignore[call-overload]
    assert_none_in(f"{ended.stdout}{ended.stderr}", "the output")
    return ended


def clean_environment(**more: str) -> Mapping[str, str]:
    """What a program can count on: a path, and nothing else."""
    return {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **more}


def needs(condition: bool, what: str) -> None:
    """Skip with one line where something is missing; fail where it must be there."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def strace(log: Path, *options: str) -> tuple[str, ...]:
    """What starts a program under strace, which writes what it sees into `log`."""
    needs(shutil.which("strace") is not None, "strace")
    return ("strace", "-f", "-qq", "-o", str(log), *options)


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[None]:
    """A tmpfs of `size` bytes at `path`."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, check=False
    )
    needs(mounted.returncode == 0, "the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


def enlarge(path: Path, size: int) -> None:
    """Give a small disk more room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True, capture_output=True)
