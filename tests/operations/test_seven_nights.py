"""A week as an operator has it: exports by night, and one command in the morning that needs no thought."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.oci import Tag
from tests.builders import a_module, add_version
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import registries_for
from tests.processes import bundler, needs
from tests.registries import RealRegistry

pytestmark = pytest.mark.slow


class Operator:
    """Two commands, as cron runs them, and a USB stick between them."""

    def __init__(self, server: MemoryRegistry, path: str, target: RealRegistry, folder: Path) -> None:
        self.server = server
        self.path = path
        self.app = server.repositories[path]
        self.target = target
        self.outside = folder / "outside"
        self.usb = folder / "usb"
        self.store = folder / "store"
        self.state = folder / "state"
        for made in (self.outside, self.usb):
            made.mkdir()

    def night(self, number: int, *more: str) -> Path:
        """What cron runs outside."""
        out = self.outside / f"night-{number}.tar.zst"
        done = bundler(
            "export", f"{self.server.host}/{self.path}", "-o", str(out), "--store", str(self.store),
            "--job", "nightly", "--base", "last", "--full-every", "3", "--keep", "2", "-q", *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.check_store(done.stderr)
        return out

    def check_store(self, told: str) -> None:
        """The store lists the files that are there, and no other; more than two only with a reason."""
        listed = json.loads(bundler("store", "list", str(self.store), "--json").stdout)["bundles"]
        assert all(bundle["present"] for bundle in listed)
        assert {bundle["path"] for bundle in listed} == {str(path) for path in self.outside.glob("*.zst")}
        assert (len(listed) > 2) == ("kept, because" in told)
        # The newest, and the one before with all of its chain.
        assert len(listed) <= 4

    def carry(self, *but: Path) -> None:
        """Copy what is outside to the stick, but for some files that were lost."""
        shutil.rmtree(self.usb)
        lost = {name for path in but for name in (path.name, f"{path.name}.sha256")}
        shutil.copytree(self.outside, self.usb, ignore=lambda folder, names: lost & {*names})

    def morning(self, *before: str) -> tuple[int, str]:
        """What an operator runs inside, every day the same."""
        done = bundler(
            "import", str(self.usb), "--to", self.target.host, "--state", str(self.state),
            "--on-conflict", "overwrite", "--prune", "10", "--prune-deselected", "-q", before=before,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def is_mirrored(self, *but: str) -> bool:
        """True if the target has the tags of the source, but for those not selected, and no other."""
        source = registries_for(FakeClock()).source(self.target.repository(self.path))
        there = {tag: source.digest_of(Tag(tag)) for tag in self.target.tags(self.path)}
        return there == {tag: digest for tag, digest in self.app.tags.items() if tag not in but}


@pytest.fixture
def operator(
    fresh: Callable[[str], str], target_registry: RealRegistry, tmp_path: Path
) -> Iterator[Operator]:
    """A module with some versions, and nothing inside."""
    path = fresh("app")
    with MemoryRegistry({path: a_module("1.0.0", "1.1.0", "1.2.0")}) as server:
        yield Operator(server, path, target_registry, tmp_path)


def test_seven_nights_leave_the_source_inside(operator: Operator) -> None:
    needs(shutil.which("strace") is not None, "strace")
    app = operator.app
    # The first night: everything.
    operator.night(1)
    operator.carry()
    assert operator.morning()[0] == 0
    assert operator.is_mirrored()

    # A version is added, `latest` moves; in the morning, somebody pulls the plug.
    app.tags["latest"] = add_version(app, "2.0.0")
    operator.night(2)
    operator.carry()
    code, _ = operator.morning(
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL:when=2"
    )
    assert code != 0
    assert operator.morning()[0] == 0
    assert operator.is_mirrored()

    # A version is deleted, another moved.
    del app.tags["1.0.0"]
    app.tags["1.2.0"] = add_version(app, "1.2.1")
    operator.night(3)
    operator.carry()
    assert operator.morning()[0] == 0
    assert operator.is_mirrored()

    # The chain begins anew; on the same night something is deleted.
    add_version(app, "2.1.0")
    del app.tags["1.1.0"]
    operator.night(4)
    operator.carry()
    assert operator.morning()[0] == 0
    assert operator.is_mirrored()

    # A night is lost on the way: nothing is new in the morning.
    add_version(app, "2.2.0")
    del app.tags["2.1.0"]
    lost = operator.night(5)
    operator.carry(lost)
    assert operator.morning()[0] == 0

    # The next morning names the file, and takes it when it comes.
    add_version(app, "2.3.0")
    operator.night(6)
    operator.carry(lost)
    code, told = operator.morning()
    assert code == 4
    assert "night-5.tar.zst is missing: bundle 5 of job nightly" in told
    operator.carry()
    assert operator.morning()[0] == 0
    assert operator.is_mirrored()

    # Less is selected, and a chain begins.
    add_version(app, "3.0.0")
    operator.night(7, "--exclude", "2.2.*")
    operator.carry()
    assert operator.morning()[0] == 0
    assert operator.is_mirrored("2.2.0")
    code, told = operator.morning()
    assert (code, "imported before" in told) == (0, True)
