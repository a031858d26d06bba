"""H. Every point at which an import can be killed, and a bundle not be read: cases 102, 115 and 117.

What is true after each: the target serves what it served before, or the new content; the same command
again ends well, and every tag of the target is the bundle's. What could not be read proves nothing.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.oci.digest import Digest
from bundler.oci.reference import Tag
from bundler.registry.registries import Registries
from tests.builders import Content, a_bundle
from tests.compact.layers import a_night, an_image
from tests.doubles import Answer, FaultProxy, MemoryRegistry, Seen, Wire
from tests.processes import PROGRAM
from tests.registries import RealRegistry
from tests.sweeps import LoadedProgram, was_struck

READS = "openat,read,pread64,preadv,preadv2"
CHANGES = "write,fsync,?rename,?renameat,?renameat2,?unlink,unlinkat"


def a_growing_repository(*versions: str) -> Content:
    """An image for each version; `latest` is the last one."""
    content = Content()
    for version in versions:
        content.add_image(version, version)
    content.tags["latest"] = content.tags[versions[-1]]
    return content


class Imports:
    """A bundle imported over an older one, again and again; each time into a repository of its own."""

    def __init__(
        self, target: RealRegistry, fresh: Callable[[str], str], folder: Path, *, compact: bool
    ) -> None:
        self._target = target
        self._fresh = fresh
        self._numbers = count()
        if compact:
            self.older, self.newer = an_image(0), an_image(0, 1)
            self.older.tags["latest"] = self.older.tags["1.0.0"]
            self.newer.tags["latest"] = self.newer.tags["1.1.0"]
            night = a_night(folder, self.older, self.newer)
            self._older, self.bundle = night.base, night.compact
            return
        self.older, self.newer = a_growing_repository("1.0.0"), a_growing_repository("1.0.0", "1.1.0")
        self._older = a_bundle(folder / "older.tar.zst", {"h.example/app": self.older})
        self.bundle = a_bundle(folder / "newer.tar.zst", {"h.example/app": self.newer})

    def prefix(self) -> str:
        """Where the older bundle was imported to."""
        prefix = self._fresh(f"n{next(self._numbers)}")
        assert run(self.command(prefix, bundle=self._older)) == 0
        return prefix

    def command(self, prefix: str, host: str = "", *, bundle: Path | None = None) -> list[str]:
        """The run that is to be killed; through another host, if there is one."""
        to = f"{host or self._target.host}/{prefix}"
        return ["import", str(bundle or self.bundle), "--to", to, "-q", "-j", "1"]

    def assert_no_harm(self, prefix: str, number: int) -> None:
        """No tag is lost or another; and the same command again ends well."""
        tags = self.tags(prefix)
        assert tags["1.0.0"] == self.newer.tags["1.0.0"], number
        assert tags["1.1.0"] in (None, self.newer.tags["1.1.0"]), number
        assert tags["latest"] in (self.older.tags["latest"], self.newer.tags["latest"]), number
        assert run(self.command(prefix)) == 0, number
        assert self.tags(prefix) == self.newer.tags, number

    def tags(self, prefix: str) -> dict[str, Digest | None]:
        """What the tags of the newer bundle point to at the target."""
        target = Registries().target(self._target.repository(f"{prefix}/app"))
        return {tag: target.digest_of(Tag(tag)) for tag in self.newer.tags}


@pytest.fixture(params=[False, True], ids=["portable", "compact delta"])
def imports(
    request: pytest.FixtureRequest,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
) -> Imports:
    """Imports into a real registry."""
    return Imports(target_registry, fresh, tmp_path, compact=request.param)


def test_killed_after_any_request_the_next_import_ends_well(
    imports: Imports, target_registry: RealRegistry
) -> None:
    """The registry has carried out the request, and nobody is there to take its answer. Case 102."""
    with FaultProxy(target_registry.host) as proxy:
        assert run(imports.command(imports.prefix(), proxy.host)) == 0
        requests = len(proxy.asked())
    for number in range(1, requests + 1):
        prefix, held = imports.prefix(), threading.Event()
        with FaultProxy(target_registry.host) as proxy:
            proxy.on("HEAD|GET|POST|PUT|PATCH|DELETE", "", _held(held), first=number)
            command = [*PROGRAM, *imports.command(prefix, proxy.host)]
            with subprocess.Popen(command) as running:
                while not held.wait(0.01):
                    assert running.poll() is None, number
                running.kill()
        imports.assert_no_harm(prefix, number)
    assert requests >= 13


def _held(held: threading.Event) -> Callable[[Wire, Seen, Answer], bool]:
    """A fault that carries out the request, and keeps the answer."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        answer()
        held.set()
        wire.stall()
        return False

    return fault


@pytest.mark.parametrize(("call", "least"), [("sendto", 6), ("connect", 1)])
def test_killed_at_a_network_call_the_next_import_ends_well(
    call: str, least: int, imports: Imports, program: LoadedProgram, tmp_path: Path
) -> None:
    """Before a request, and inside of one: at the N-th call of the first thread that makes so many.

    Case 102.
    """
    log = tmp_path / "strace"
    for number in count(1):
        prefix = imports.prefix()
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
        ended = program.traced(log, *imports.command(prefix), options=inject)
        if not was_struck(log):
            break
        assert ended.code == -signal.SIGKILL
        imports.assert_no_harm(prefix, number)
    assert ended.code == 0
    assert number - 1 >= least


def test_killed_while_reading_the_bundle_the_next_import_is_well(
    imports: Imports, program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 102."""
    points = program.points_of(tmp_path, *imports.command(imports.prefix()), calls=READS)
    for number, point in enumerate(points):
        prefix = imports.prefix()
        killed = program.struck(tmp_path, point, "signal=KILL", *imports.command(prefix))
        assert killed == (-signal.SIGKILL, ""), point
        imports.assert_no_harm(prefix, number)
    assert len(points) >= 9


@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
def test_struck_at_its_own_files_an_import_loses_no_tag_or_undo(
    fault: str, imports: Imports, program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 117."""

    def command(folder: Path, prefix: str) -> list[str]:
        files = {
            "--rollback-file": "back",
            "--receipt": "receipt",
            "--report": "report",
            "--metrics": "m.prom",
        }
        options = [word for option, name in files.items() for word in (option, str(folder / name))]
        return [*imports.command(prefix), *options]

    def folder_named(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    whole, prefix = folder_named("whole"), imports.prefix()
    points = program.points_of(whole, *command(whole, prefix), calls=CHANGES)
    for number, point in enumerate(points):
        folder, prefix = folder_named(str(number)), imports.prefix()
        struck = program.struck(folder, point, fault, *command(folder, prefix))
        assert struck.code == (-signal.SIGKILL if "KILL" in fault else 9), (point, struck)
        moved = imports.tags(prefix)["latest"] != imports.older.tags["latest"]
        assert not moved or (folder / "back").exists(), point
        assert run(command(folder, prefix)) == 0, point
        assert imports.tags(prefix) == imports.newer.tags, point
        assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}, point
        assert run(["import", "--rollback", str(folder / "back"), "-q"]) == 0, point
        assert imports.tags(prefix)["latest"] == imports.older.tags["latest"], point
    assert len(points) >= 12


# --- verify and inspect --------------------------------------------------------------------------------


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A folder with a bundle in both of its forms."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    with MemoryRegistry({"app": a_growing_repository("1.0.0")}) as registry:
        for out in ("bundle.tar.zst", "directory"):
            assert run(["export", f"{registry.host}/app:1.0.0", "-o", str(folder / out), "-q"]) == 0
    return folder


@pytest.mark.parametrize(
    ("command", "out", "least"),
    [
        ("verify -q", "bundle.tar.zst", 10),
        ("verify -q", "directory", 18),
        ("inspect", "bundle.tar.zst", 5),
        ("inspect", "directory", 10),
    ],
)
def test_what_can_not_be_read_proves_nothing(
    command: str, out: str, least: int, outputs: Path, program: LoadedProgram
) -> None:
    """Case 115."""
    arguments = (*command.split(), str(outputs / out))
    points = program.points_of(outputs, *arguments, calls=READS)
    for point in points:
        failed = program.struck(outputs, point, "error=EIO", *arguments)
        assert failed.code == 9, (point, failed)
        assert failed.said.startswith(f"timoni-bundler: error: {outputs / out}"), (point, failed)
        assert failed.said.count("\n") == 1, (point, failed)
    assert len(points) >= least
