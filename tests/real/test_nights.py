"""Thirty nights: deltas alone keep the far side equal, whatever happens to a run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.oci.digest import Digest
from bundler.oci.reference import RepositoryName, Tag
from tests.builders import Content, a_module, add_version, an_index, sign_by_subject, sign_by_tag
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import registries_for
from tests.registries import RealRegistry
from tests.server.client import writable_registry
from tests.sweeps import LoadedProgram, was_struck

NIGHTS = 30
DISK = "fsync,fdatasync,rename,unlink,mkdir"


class Source:
    """A registry outside in which things happen by day."""

    def __init__(self, paths: list[str], chance: random.Random) -> None:
        self.contents = {path: a_module("1.0.0", "1.1.0", name=path) for path in paths}
        self.contents[paths[-1]] = an_index()
        self._chance = chance
        self._numbers = iter(range(1, 10_000))
        for content in self.contents.values():
            content.tags["latest"] = next(iter(content.tags.values()))

    def day(self) -> None:
        """Some new versions, a moved tag, a deleted one, a signature; on some days nothing."""
        for _ in range(self._chance.choice([0, 1, 1, 2, 4])):
            path = self._chance.choice(list(self.contents))
            deed = self._chance.choice([self._new, self._new, self._moved, self._deleted, self._signed])
            deed(self.contents[path], path)

    def _new(self, content: Content, path: str) -> None:
        version = f"{self._chance.randint(2, 4)}.{next(self._numbers)}.0"
        content.tags["latest"] = add_version(content, version, name=path)

    def _moved(self, content: Content, path: str) -> None:
        content.tags[self._chance.choice(["latest", "stable"])] = self._any(content)[1]

    def _deleted(self, content: Content, path: str) -> None:
        if len(content.tags) > 3:
            del content.tags[self._any(content)[0]]

    def _signed(self, content: Content, path: str) -> None:
        digest = self._any(content)[1]
        if self._chance.random() < 0.5:
            sign_by_tag(content, digest, "sig", *(str(next(self._numbers)) for _ in range(2)))
        else:
            sign_by_subject(content, digest, str(next(self._numbers)))

    def _any(self, content: Content) -> tuple[str, Digest]:
        return self._chance.choice([item for item in sorted(content.tags.items()) if len(item[0]) < 40])


class Job:
    """The commands of every night and every morning."""

    def __init__(
        self,
        program: LoadedProgram,
        chance: random.Random,
        folder: Path,
        to: list[str],
        prune: list[str],
    ) -> None:
        self._program = program
        self._chance = chance
        self._folder = folder
        self._to = to
        self._prune = prune
        self.chain: list[Path] = []
        self.struck: list[str] = []

    def night(self, sources: list[str], number: int) -> Path | None:
        """What is new, if anything is; now and then after a run that was killed, or found the disk full."""
        out = self._folder / f"n{number}.tar.zst"
        job = ["--store", str(self._folder / "store"), "--base", "last", "--immutable", "1.*"]
        command = ["export", *sources, *job, "-o", str(out), "-q"]
        if self._chance.random() < 0.4:
            self._disturbed(self._chance.choice(["signal=KILL", "error=ENOSPC"]), DISK, *command)
        assert run(command) == 0
        if not out.exists():
            return None
        self.chain.append(out)
        return out

    def morning(self, bundle: Path) -> None:
        """The import; now and then after one that was killed."""
        prune = self._prune if bundle != self.chain[0] else []
        command = ["import", str(bundle), *self._to, *prune, "--on-conflict", "overwrite", "-q"]
        if self._chance.random() < 0.2:
            self._disturbed("signal=KILL", "sendto", *command)
        assert run(command) == 0

    def _disturbed(self, fault: str, calls: str, *command: str) -> None:
        """A run that is struck at some call, or ends well before that."""
        log = self._folder / "strace.log"
        inject = f"inject={calls}:{fault}:when={self._chance.randint(1, 8)}"
        ended = self._program.traced(log, *command, options=("-e", f"trace={calls}", "-e", inject))
        assert ended.code in (0, 9, -9), ended
        if was_struck(log):
            self.struck.append(f"{command[0]} {fault}")


@contextmanager
def registry_that_deletes(path: Path) -> Iterator[str]:
    """A registry inside that can delete a tag alone."""
    with writable_registry(path) as client:
        yield client.address


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "deletes"), [(1, False), (2, True)], ids=["docker-registry", "ours"])
def test_thirty_nights_of_deltas_equal_the_source_and_merge(
    seed: int,
    *,
    deletes: bool,
    program: LoadedProgram,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
) -> None:
    chance = random.Random(seed)
    source = Source([fresh(name) for name in ("a", "b", "c")], chance)
    with ExitStack() as stack:
        host = target_registry.host
        if deletes:
            host = stack.enter_context(registry_that_deletes(tmp_path / "registry"))
        job = Job(program, chance, tmp_path, ["--to", host], ["--prune", "50"] if deletes else [])
        server = stack.enter_context(MemoryRegistry(source.contents))
        sources = [f"{server.host}/{path}" for path in source.contents]
        for night in range(NIGHTS):
            source.day()
            if bundle := job.night(sources, night):
                job.morning(bundle)
            for path, content in source.contents.items():
                far = registries_for(FakeClock()).source(RepositoryName(f"{host}/{path}"))
                assert {tag: far.digest_of(Tag(tag)) for tag in content.tags} == content.tags, night
                assert not deletes or set(far.tags().tags) == set(content.tags), night
        merged, full = tmp_path / "merged.tar.zst", tmp_path / "full.tar.zst"
        assert run(["merge", *map(str, job.chain), "-o", str(merged), "-q"]) == 0
        assert run(["export", *sources, "-o", str(full), "-q"]) == 0
    assert merged.read_bytes() == full.read_bytes()
    assert len(job.chain) > NIGHTS // 2
    assert {"export signal=KILL", "export error=ENOSPC"} <= set(job.struck)
