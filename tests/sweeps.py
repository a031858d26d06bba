"""Runs of the program that are struck at one system call: by an error, or by SIGKILL.

strace counts calls for each thread and each name by itself: over a whole process, the N-th call is
mostly not the one that is struck. With its path a call is found again, because one thread works on
one path. So the calls of an undisturbed run are listed first, and then struck one by one; and a run
that was not struck, by strace's own log, is a failure of the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Self

from tests.processes import needs

# A program that starts anew for each point spends nine tenths of its time on imports, under strace.
_LOADED = """
import ctypes, json, os, pkgutil, signal, sys
from importlib import import_module
import bundler
for module in pkgutil.walk_packages(bundler.__path__, "bundler."):
    import_module(module.name)
from pydantic import TypeAdapter, ValidationError, with_config
from bundler.__main__ import main
for line in sys.stdin:
    arguments, said, environment = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        sys.argv[1:] = arguments
        os.environ.update(environment)
        signal.alarm(300)
        # PR_SET_PTRACER, PR_SET_PTRACER_ANY: Debian and Ubuntu let nobody trace a stranger's child.
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        main()
    os.waitpid(child, os.WUNTRACED)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_CALL = re.compile(r'([0-9]+) +(\w+)\((?:[0-9]+<|"|AT_FDCWD<[^>]*>, ")([^>"]+)')


class Ended(NamedTuple):
    """The exit code, negative for a signal, and what was said on standard error."""

    code: int
    said: str


class Point(NamedTuple):
    """A system call of a run: the `number`-th of its name on one path, in the thread that makes it."""

    call: str
    path: str
    """Below the folder of the run; that of a directory where the call has a descriptor of it."""
    number: int
    line: str
    """As strace saw it in the undisturbed run."""

    @property
    def kind(self) -> str:
        """Its name, the same for `unlink`, `unlinkat` and `rmdir`: which one is used, libraries decide."""
        name = re.sub("at2?$", "", self.call)
        return "unlink" if name == "rmdir" else name


class LoadedProgram:
    """The program, loaded once; every run is a child that strace holds before its first call."""

    def __init__(self) -> None:
        needs(shutil.which("strace") is not None, "strace")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOADED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate(timeout=120)

    def points_of(self, folder: Path, *arguments: str, calls: str) -> list[Point]:
        """Every call of these names on a path in `folder` that an undisturbed run makes.

        A call that a second thread makes on the same path, with the same number, is left out; so is one on
        a file without a name, which is another in each run.
        """
        log = _log_of(folder)
        ended = self.traced(log, *arguments, options=("-y", "-e", f"trace={calls}"))
        assert ended.code == 0, ended
        counted: Counter[tuple[str | None, ...]] = Counter()
        found: dict[tuple[str, str, int], Point] = {}
        for line in log.read_text().splitlines():
            match = _CALL.match(line)
            if match and Path(match[3]).is_relative_to(folder) and "/#" not in match[3]:
                counted[match.groups()] += 1
                path = str(Path(match[3]).relative_to(folder))
                key = (match[2], path, counted[match.groups()])
                found.setdefault(key, Point(*key, line))
        return list(found.values())

    def struck(self, folder: Path, point: Point, fault: str, *arguments: str) -> Ended:
        """A run with `error=NAME` or `signal=KILL` at one point. Fails if nothing was struck."""
        log = _log_of(folder)
        inject = f"inject={point.call}:{fault}:when={point.number}"
        options = ("-P", str(folder / point.path), "-e", f"trace={point.call}", "-e", inject)
        ended = self.traced(log, *arguments, options=options)
        assert was_struck(log), point
        return ended

    def traced(self, log: Path, *arguments: str, options: tuple[str, ...]) -> Ended:
        """A run under strace, which writes into `log`."""
        said = log.with_suffix(".said")
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([arguments, str(said), dict(os.environ)]) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        command = ["strace", "-f", "-o", str(log), "-p", str(child), *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr
            attached = any("attached" in line for line in strace.stderr)
            os.kill(child, signal.SIGCONT if attached else signal.SIGKILL)
            code = int(self._process.stdout.readline())
            strace.communicate()
        needs(attached, "the right to trace a process")
        return Ended(code, said.read_text())


def was_struck(log: Path) -> bool:
    """Whether strace did what it was told to."""
    text = log.read_text()
    return "(INJECTED)" in text or "killed by SIGKILL" in text


def _log_of(folder: Path) -> Path:
    """Beside the folder, so that it is not among what a run leaves."""
    return folder.with_name(f"{folder.name}.strace")
