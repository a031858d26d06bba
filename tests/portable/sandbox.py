"""Another system on this machine: its own root, a network of loopback alone, an ordinary user."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bundler.about import PROGRAM
from tests.processes import needs
from tests.registries import require

Done = subprocess.CompletedProcess[str]

USER = 1000
"""Of the sandbox: not root, and of no name."""

HOME = "/home/carrier"

HERE = f"/opt/{PROGRAM}"
"""Where the portable folder is, read-only."""

OURS = f"{HERE}/{PROGRAM}"

LONG = 600
"""Seconds that a command may take on a busy machine."""

_ENTER = """
set -e
mount -t tmpfs -o noexec,nosuid,mode=1777 tmpfs "$1/tmp"
mount -t tmpfs tmpfs "$1/etc/ssl"
[ ! -d "$1/proc" ] || mount -t proc proc "$1/proc"
mount --bind "$2" "$1/opt/PROGRAM"
mount -o remount,bind,ro "$1/opt/PROGRAM"
mount --bind "$3" "$1/home/carrier"
ip link set lo up
echo ready
exec cat
""".replace("PROGRAM", PROGRAM)

PLACES = ("tmp", "etc/ssl", HERE.lstrip("/"), HOME.lstrip("/"))
"""Folders that every root must have."""


class Sandbox(NamedTuple):
    """A root that processes can be started in, and the folder that is its user's home."""

    root: Path
    home: Path
    process: int

    def inside(self) -> list[str]:
        """The words before a command of this machine that run it in the network of the sandbox."""
        return [require("nsenter"), "--target", str(self.process), "--net"]

    def command(self, *words: str, folder: str = HOME) -> list[str]:
        """The command line that runs `words` in the root, as the user, in a folder."""
        enter = [*self.inside(), "--mount", require("chroot"), f"--userspec={USER}:{USER}", str(self.root)]
        return [*enter, "/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *words]

    def run(self, *words: str, folder: str = HOME, environment: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end."""
        return ended(self.command(*words, folder=folder), environment)

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs until it is ended."""
        with subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()

    def as_root(self, *words: str) -> None:
        """Run a command of this machine that changes what is mounted in the sandbox."""
        enter = [require("nsenter"), "--target", str(self.process), "--mount"]
        subprocess.run([*enter, *words], check=True, capture_output=True)

    def ours(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run the portable program; return what it printed, standard error first."""
        done = self.run(OURS, *arguments, environment=variables)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr + done.stdout


def ended(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end with a path and a home only."""
    return subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": HOME, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def check_namespaces() -> None:
    """Skip with a line where another root can't be entered; fail in continuous integration."""
    needs(os.getuid() == 0, "root, to enter another root")
    tried = subprocess.run([require("unshare"), "--mount", "--net", "true"], capture_output=True, check=False)
    needs(tried.returncode == 0, "the right to make namespaces")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack with tar, as a user does."""
    folder.mkdir(exist_ok=True)
    subprocess.run([require("tar"), "-xf", str(archive), "-C", str(folder)], check=True, capture_output=True)


@contextmanager
def entered(root: Path, program: Path, home: Path) -> Iterator[Sandbox]:
    """Mount the portable folder and a home in a root, in namespaces of their own."""
    check_namespaces()
    for place in PLACES:
        (root / place).mkdir(parents=True, exist_ok=True)
    os.chown(home, USER, USER)
    enter = [require("unshare"), "--mount", "--net", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
    with process_that_says("ready", [*enter, str(root), str(program), str(home)]) as process:
        yield Sandbox(root, home, process)


@contextmanager
def process_that_says(word: str, command: Sequence[str]) -> Iterator[int]:
    """A process that runs until its standard input is closed; `word` says that it is ready."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().strip() == word, command
            yield process.pid
        finally:
            process.terminate()


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Have a folder made by the first process that needs it, while the others wait."""
    done, lock = (folder.with_name(f"{folder.name}.{end}") for end in ("done", "lock"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def names(host: str) -> list[str]:
    """The command of a name server that knows one host, which is this machine."""
    return [sys.executable, str(Path(__file__).with_name("name_server.py")), host]
