"""H. Every point at which an export can be struck: cases 115 and 117, by strace, call by call.

What is true after each: the final name is absent or whole (what was there before, or the new one);
an error is 9 and one line that names the file; the same command again, undisturbed, ends with 0 and
the same bytes, and leaves nothing but its output.
"""

from __future__ import annotations

import hashlib
import re
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.__main__ import run
from bundler.bundle.inventory import INVENTORY_FILE
from bundler.exporter.fetch.fetch_plan import STREAMED
from bundler.store.blob_store import SMALL
from tests.builders import Content, manifest_document, noise
from tests.compact.layers import an_image
from tests.doubles import MemoryRegistry
from tests.processes import bundler
from tests.sweeps import Ended, LoadedProgram, Point

CHANGES = "write,openat,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,unlinkat,?mkdir,?mkdirat,?rmdir"
"""What changes the disk: between two of these it makes no difference where a process is killed."""
LOCKS = "flock,ftruncate"
LOOKS = "newfstatat,getdents64,statfs,lseek,read,close"
ERRORS = {
    "write": ("ENOSPC", "EIO"),
    "open": ("EMFILE", "EACCES", "EROFS", "EIO"),
    "fsync": ("EIO", "ENOSPC"),
    "rename": ("EIO", "EROFS", "EACCES"),
    "unlink": ("EROFS", "EACCES", "EIO"),
    "mkdir": ("ENOSPC", "EROFS", "EACCES"),
    "flock": ("ENOLCK",),
    "ftruncate": ("EIO", "EROFS"),
}


class Case(NamedTuple):
    """What an export makes; and at how many points of each kind it must be struck at least."""

    out: str
    points: dict[str, int]
    opened: int
    """Points at which files are opened to be read, or directories: only an error makes a difference."""
    store: bool = False
    older: bool = False
    """Whether an older output with fewer tags is there already."""
    jobs: int = 1
    night: str = ""
    """What comes after a first night: `delta`, or `merge`."""
    compact: bool = False
    size: int = SMALL + 1
    """The size of its blobs, about: small ones stay in memory, streamed ones go straight into the bundle."""

    @property
    def streams(self) -> bool:
        """Whether what was written of the bundle is kept."""
        return self.size >= STREAMED


NEW_FILE = Case(
    "b.tar.zst", {"write": 7, "open": 6, "fsync": 10, "rename": 5, "unlink": 8, "mkdir": 4}, opened=10
)
CASES = {
    "a new file": NEW_FILE,
    "a new file, by many threads": NEW_FILE._replace(jobs=16),
    "a new file of small blobs": NEW_FILE._replace(
        points={"write": 5, "open": 4, "fsync": 8, "rename": 3, "unlink": 6, "mkdir": 4}, size=100
    ),
    "a new file of large blobs": NEW_FILE._replace(
        points={"write": 9, "open": 4, "fsync": 6, "rename": 3, "unlink": 6, "mkdir": 4}, size=STREAMED
    ),
    "a file in place of an older one, with a store": Case(
        "b.tar.zst",
        {"write": 7, "open": 6, "fsync": 9, "rename": 5, "unlink": 1},
        opened=10,
        store=True,
        older=True,
    ),
    "a new directory": Case(
        "directory", {"write": 7, "open": 7, "fsync": 11, "rename": 6, "mkdir": 5}, opened=6
    ),
    "a directory in place of an older one": Case(
        "directory", {"write": 6, "open": 6, "fsync": 9, "rename": 5}, opened=6, older=True
    ),
    "a delta on the night before": Case(
        "b.tar.zst",
        {"write": 8, "open": 7, "fsync": 10, "rename": 6},
        opened=10,
        store=True,
        night="delta",
    ),
    "a full bundle of two nights": Case(
        "b.tar.zst", {"write": 3, "open": 2, "fsync": 4, "rename": 2}, opened=4, night="merge"
    ),
    "a compact file in place of an older one": Case(
        "b.compact.zst", {"write": 3, "open": 2, "fsync": 4, "rename": 2}, opened=4, older=True, compact=True
    ),
    "a compact delta on the night before": Case(
        "b.compact.zst",
        {"write": 8, "open": 7, "fsync": 10, "rename": 6},
        opened=10,
        store=True,
        night="delta",
        compact=True,
    ),
    "a compact bundle of two nights": Case(
        "b.compact.zst",
        {"write": 3, "open": 2, "fsync": 4, "rename": 2},
        opened=4,
        night="merge",
        compact=True,
    ),
}


class Exports:
    """One export made again and again: undisturbed, struck, and once more; each in its own folder."""

    def __init__(self, program: LoadedProgram, host: str, case: Case, root: Path) -> None:
        self._program = program
        self._host = host
        self._case = case
        self._root = root
        self._numbers = count()
        self._form = ["--compact"] if case.compact else []
        self._suffix = ".compact.zst" if case.compact else ".tar.zst"
        self._older = self._whole = ""
        self._left: list[str] = []

    def points(self, calls: str) -> list[Point]:
        """Where it can be struck. Run first: it is also what an undisturbed run makes."""
        folder = self.folder()
        self._older = self._identity(folder)
        points = self._program.points_of(folder, *self.command(folder), calls=calls)
        self._whole, self._left = self._identity(folder), _names(folder)
        own = {self._case.out, f"{self._case.out}.sha256", *(["store"] if self._case.store else [])}
        own |= {path.name for path in (self._root / "before").iterdir()}
        assert {name.split("/")[0] for name in self._left} <= own
        assert not [name for name in self._left if re.search(r"\.tmp$|\.partial/", name)]
        return points

    def folder(self) -> Path:
        """What is there before the run."""
        folder, before = self._root / str(next(self._numbers)), self._root / "before"
        if not before.exists():
            before.mkdir()
            assert not self._case.older or run(self.command(before, "app:1.0.0")) == 0
            self._nights_before(before)
        return shutil.copytree(before, folder)

    def _nights_before(self, folder: Path) -> None:
        store = ["--store", str(folder / "store"), "--base", "last", "-q", *self._form]
        nights = {"": [], "delta": ["app:1.0.0"], "merge": ["app:1.0.0", "app"]}[self._case.night]
        for number, source in enumerate(nights):
            out = str(folder / f"{number}{self._suffix}")
            assert run(["export", f"{self._host}/{source}", *store, "-o", out]) == 0
        if self._case.night == "merge":
            shutil.rmtree(folder / "store")

    def command(self, folder: Path, source: str = "") -> list[str]:
        """The run that is to be struck; or one of another source."""
        if self._case.night == "merge":
            nights = [str(folder / f"{number}{self._suffix}") for number in range(2)]
            return ["merge", *nights, "-o", str(folder / self._case.out), "-q"]
        source = source or ("app" if self._case.older or self._case.night else "app:1.0.0")
        store = ["--store", str(folder / "store")] if self._case.store else []
        store += ["--base", "last"] if self._case.night else []
        options = ["-o", str(folder / self._case.out), *store, *self._form, "-q", "-j", str(self._case.jobs)]
        return ["export", f"{self._host}/{source}", *options]

    def struck(self, folder: Path, point: Point, fault: str, source: str = "") -> Ended:
        """The run, struck."""
        return self._program.struck(folder, point, fault, *self.command(folder, source))

    def assert_no_harm(self, folder: Path, point: Point | None = None) -> None:
        """The final name is absent or whole, and the same command again makes it so, and no more."""
        out, found = folder / self._case.out, self._identity(folder)
        assert found in (self._older, self._whole), point
        if out.exists():
            # Before its last file is written, a directory is no bundle, and is taken for none.
            codes = (0, 7) if out.is_dir() and found != self._whole else (0,)
            assert run(["verify", str(out), "-q"]) in codes, point
        assert run(self.command(folder)) == 0, point
        assert self._identity(folder) == self._whole, point
        assert run(["verify", str(out), "-q"]) == 0, point
        assert _names(folder) == self._left, point
        shutil.rmtree(folder)

    def _identity(self, folder: Path) -> str:
        """Says which output is there; empty for none."""
        out = folder / self._case.out
        file = out / INVENTORY_FILE if out.is_dir() else out
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def _is_one_line_about(folder: Path, said: str) -> bool:
    return bool(re.fullmatch(f"timoni-bundler: error: {folder}[/:].+\n", said))


@pytest.fixture
def packed_host() -> Iterator[str]:
    """A registry with two tags, whose layers are what compact bundles make again."""
    content = an_image(0, 1)
    with MemoryRegistry({"app": content}) as registry:
        yield registry.host


@pytest.fixture
def exports_of(
    program: LoadedProgram, host: str, packed_host: str, tmp_path: Path
) -> Iterator[Callable[[str], Exports]]:
    """Exports of a case, by its name."""
    with ExitStack() as registries:

        def exports(name: str) -> Exports:
            case = CASES[name]
            if case.out != NEW_FILE.out or case.older or case.night:
                return Exports(program, packed_host if case.compact else host, case, tmp_path)
            content = Content()
            config, *layers = (content.add_blob(noise(f"{n}", case.size + n)) for n in range(3))
            content.add_manifest(manifest_document(config, layers), "1.0.0")
            registry = registries.enter_context(MemoryRegistry({"app": content}))
            return Exports(program, registry.host, case, tmp_path)

        yield exports


@pytest.mark.parametrize("name", CASES)
def test_killed_at_any_call_that_changes_the_disk_it_ends_well(
    name: str, exports_of: Callable[[str], Exports]
) -> None:
    """Case 117."""
    exports, kinds = exports_of(name), Counter[str]()
    for point in exports.points(CHANGES):
        if point.kind != "open" or "O_CREAT" in point.line:
            folder = exports.folder()
            killed = exports.struck(folder, point, "signal=KILL")
            assert killed == (-signal.SIGKILL, ""), point
            exports.assert_no_harm(folder, point)
            kinds[point.kind] += 1
    assert kinds >= Counter(CASES[name].points)


@pytest.mark.parametrize("name", CASES)
def test_any_call_that_fails_is_9_and_the_next_run_ends_well(
    name: str, exports_of: Callable[[str], Exports]
) -> None:
    """Case 115."""
    exports, kinds = exports_of(name), Counter[str]()
    errors = {kind: cycle(names) for kind, names in ERRORS.items()}
    for point in exports.points(f"{CHANGES},{LOCKS}"):
        folder = exports.folder()
        # A directory that is there already needs not to be made: what mkdir says doesn't matter. A file that
        # can't be made without a name is made with one.
        harmless = (point.kind == "mkdir" and (folder / point.path).is_dir()) or "O_TMPFILE" in point.line
        failed = exports.struck(folder, point, f"error={next(errors[point.kind])}")
        # An old layer that can't be read in the store comes from the source.
        elsewhere = CASES[name].compact and "O_RDONLY" in point.line and "store/blobs/" in point.path
        harmless |= elsewhere and failed.code == 0
        assert failed.code == (0 if harmless else 9), (point, failed)
        assert harmless or _is_one_line_about(folder, failed.said), (point, failed)
        assert "another run" not in failed.said, (point, failed)
        # A file that could not be written, synced or named is of no use to anybody.
        useless = point.kind in ("write", "fsync", "rename") and not CASES[name].streams
        assert not (useless and [*folder.glob(".*.tmp")]), point
        exports.assert_no_harm(folder, point)
        kinds[point.kind] += 1
    case = CASES[name]
    assert kinds >= Counter(case.points) + Counter(open=case.opened, flock=case.points["rename"])


def test_what_can_not_be_looked_at_is_9_or_done_anew(exports_of: Callable[[str], Exports]) -> None:
    """Every second of them. 0 where not to know is harmless: a blob counts as absent, a folder as closed.

    Case 115.
    """
    exports, codes = exports_of("a new file"), Counter[int]()
    for point in exports.points(LOOKS)[::2]:
        folder = exports.folder()
        failed = exports.struck(folder, point, "error=EIO")
        assert failed.code == 0 or _is_one_line_about(folder, failed.said), (point, failed)
        exports.assert_no_harm(folder, point)
        codes[failed.code] += 1
    assert set(codes) == {0, 9}
    assert codes[9] >= 25
    assert codes[0] <= 15


# --- what is not found by counting calls --------------------------------------------------------------


def test_a_failing_last_write_is_9(exports_of: Callable[[str], Exports]) -> None:
    """Two threads write a bundle, and strace strikes the first to write; a limit strikes the end.

    Case 115.
    """
    exports = exports_of("a new file")
    exports.points("write")
    complete = exports.folder()
    assert run(exports.command(complete)) == 0
    size = (complete / "b.tar.zst").stat().st_size
    for limit in (size - 1, size - 40):
        folder = exports.folder()
        failed = bundler(*exports.command(folder), preexec_fn=_file_size_limit(limit))
        assert failed.returncode == 9, failed.stderr
        assert _is_one_line_about(folder, failed.stderr), failed.stderr
        exports.assert_no_harm(folder)


def _file_size_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("written", [1, 2], ids=["straight into the bundle", "with a store"])
def test_a_failing_sync_in_the_background_is_9(written: int, program: LoadedProgram, tmp_path: Path) -> None:
    """Case 115."""
    content = Content()
    layer = content.add_blob(noise("large", 65 << 20))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    with MemoryRegistry({"app": content}) as registry:
        exports = Exports(program, registry.host, NEW_FILE._replace(store=written == 2), tmp_path)
        points = exports.points("fdatasync")
        for point in points:
            folder = exports.folder()
            failed = exports.struck(folder, point, "error=EIO")
            assert failed.code == 9, failed
            assert _is_one_line_about(folder, failed.said), failed
            exports.assert_no_harm(folder, point)
    assert len(points) == written


def test_bytes_that_could_not_be_synced_are_not_gone_on_with(
    exports_of: Callable[[str], Exports],
) -> None:
    """Case 115."""
    exports = exports_of("a new file")
    points = [point for point in exports.points("fsync") if ".partial/" in point.path]
    for point in points:
        folder = exports.folder()
        exports.struck(folder, point, "error=EIO")
        assert (folder / point.path).stat().st_size == 0
    assert len(points) == 3


def test_the_next_run_makes_names_durable_that_a_killed_one_gave(
    exports_of: Callable[[str], Exports], program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 117."""
    exports = exports_of("a new directory")
    named = "directory/blobs/sha256"
    point = next(point for point in exports.points("fsync") if point.path == named)
    folder = exports.folder()
    exports.struck(folder, point, "signal=KILL")
    calls = program.points_of(folder, *exports.command(folder), calls="fsync,?rename,?renameat,?renameat2")
    paths = [call.path for call in calls]
    assert paths.index(named) < paths.index("directory/.bundle.json.tmp")


def test_a_directory_that_can_not_be_read_is_not_replaced(exports_of: Callable[[str], Exports]) -> None:
    """It may hold what would be lost: here 1.0.0, which the other run does not take. Case 115."""
    exports = exports_of("a directory in place of an older one")
    points = [point for point in exports.points("openat") if "O_CREAT" not in point.line]
    # The journal, and each file again, are read later, when it is known that nothing is lost.
    first = [point for point in points if point.number == 1]
    files = [point for point in first if re.fullmatch(r"[^.].*\.json", Path(point.path).name)]
    for point in files:
        folder = exports.folder()
        assert exports.struck(folder, point, "error=EIO", "app:1.1.0").code == 9
        assert run(exports.command(folder, "app:1.1.0")) == 2
    # The inventory, the index, and what may have been signed of them.
    assert len(files) == 3
