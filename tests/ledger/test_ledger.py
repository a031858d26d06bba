"""The ledger protects an import by itself: also one that is called from Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.bundle.reader import open_bundle
from bundler.errors import ContentError, NotFoundError, TrustError, UsageError
from bundler.exporter import Incremental
from bundler.importer import OnConflict, Part, import_bundle, plan_bundle_import, verify_bundle
from bundler.importer.destination import Destination
from bundler.importer.roll_back import roll_back
from bundler.ledger.ledger import Ledger
from bundler.ledger.receipt import decode_receipt
from bundler.ledger.rollback_file import decode_rollback_file, read_rollback_file
from bundler.oci.reference import Tag, parse_prefix
from bundler.selection.rules import Rules
from bundler.session import Session
from bundler.trust.bundle_signing import Terms
from bundler.trust.job import Job
from bundler.trust.statement_verifier import Requirement, StatementVerifier
from tests.builders import a_module, add_version
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import exported, imported, registries_for
from tests.registries import RealRegistry
from tests.trust.keys import NOW, a_signed_bundle, allowed, keygen, line

Fresh = Callable[[str], str]


class Nights:
    """A module outside that gets a version every night, and the ledger of a target inside."""

    def __init__(self, server: MemoryRegistry, path: str, target: RealRegistry, folder: Path) -> None:
        self.server = server
        self.path = path
        self.content = server.repositories[path]
        self.target = target
        self.folder = folder
        self.receipt = folder / "receipt.json"
        self.undo = folder / "undo.json"
        self.bundles: list[Path] = []
        self.export()

    def export(self) -> Path:
        """A bundle of what is new."""
        out = self.folder / f"{len(self.bundles)}.tar.zst"
        base = Incremental(base=tuple(map(str, self.bundles[-1:])))
        exported(out, f"{self.server.host}/{self.path}", incremental=base, store=self.folder / "store")
        self.bundles.append(out)
        return out

    def version(self, version: str) -> Path:
        """A night that brings this version."""
        add_version(self.content, version)
        return self.export()

    def ledger(self) -> Ledger:
        """What the machine remembers, opened by another run."""
        return Ledger(self.folder / "ledger", rollback_file=self.undo, receipt=self.receipt)

    def imports(self, bundle: Path, **more: Any) -> int:
        """Import it from Python."""
        return imported(bundle, self.target.host, ledger=self.ledger(), **more).exit_code

    def received(self) -> set[str]:
        """The tags that the receipt says the target has."""
        document = json.loads(self.receipt.read_text())
        return {tag for entry in document["repositories"] for tag in entry["tags"]}


@pytest.fixture
def nights(fresh: Fresh, target_registry: RealRegistry, tmp_path: Path) -> Iterator[Nights]:
    """A first bundle with `1.0.0`."""
    path = fresh("app")
    with MemoryRegistry({path: a_module("1.0.0")}) as server:
        yield Nights(server, path, target_registry, tmp_path)


@pytest.mark.slow
def test_from_python_a_missing_delta_is_missed(nights: Nights) -> None:
    second, third = nights.version("1.1.0"), nights.version("1.2.0")
    assert nights.imports(nights.bundles[0]) == 0
    with pytest.raises(NotFoundError, match="builds on bundle"):
        nights.imports(third)
    assert nights.target.tags(nights.path) == ["1.0.0"]
    assert [nights.imports(bundle) for bundle in (second, third)] == [0, 0]


PART = Part(rules=Rules(globs=("1.1*",)))


@pytest.mark.slow
def test_a_delta_on_a_base_imported_in_part_is_refused(nights: Nights) -> None:
    second, third = nights.version("1.1.0"), nights.version("1.2.0")
    assert nights.imports(nights.bundles[0]) == 0
    assert nights.imports(second, part=PART) == 0
    with pytest.raises(NotFoundError, match="of which only a part was imported"):
        nights.imports(third)
    assert nights.imports(second) == 0
    assert nights.imports(third) == 0


@pytest.mark.slow
def test_the_same_part_of_every_night_is_imported(nights: Nights) -> None:
    add_version(nights.content, "2.0.0")
    second = nights.export()
    third = nights.version("2.1.0")
    part = Part(repositories=("*",))
    assert [nights.imports(bundle, part=part) for bundle in (nights.bundles[0], second, third)] == [0, 0, 0]


@pytest.mark.slow
def test_a_base_with_failed_tags_counts_as_not_imported(nights: Nights) -> None:
    nights.content.tags["stable"] = nights.content.tags["1.0.0"]
    second = nights.export()
    assert nights.imports(nights.bundles[0]) == 0
    assert nights.imports(second) == 0
    nights.content.add_image("other", "stable")
    third, fourth = nights.export(), nights.version("1.3.0")
    assert nights.imports(third) != 0
    with pytest.raises(NotFoundError, match="builds on bundle"):
        nights.imports(fourth)
    assert nights.imports(third, on_conflict=OnConflict.OVERWRITE) == 0
    assert nights.imports(fourth) == 0


@pytest.mark.slow
def test_a_receipt_follows_a_rollback(nights: Nights) -> None:
    nights.content.tags["latest"] = nights.content.tags["1.0.0"]
    first = nights.export()
    assert nights.imports(nights.bundles[0]) == 0
    assert nights.imports(first) == 0
    before = json.loads(nights.receipt.read_text())
    add_version(nights.content, "1.1.0")
    nights.content.tags["latest"] = nights.content.tags["1.1.0"]
    assert nights.imports(nights.export()) == 0
    session = Session(registries_for(FakeClock()))
    roll_back(read_rollback_file(nights.undo), session, Ledger(nights.folder / "ledger"))
    after = json.loads(nights.receipt.read_text())
    tags = after["repositories"][0]["tags"]
    assert tags["latest"] == before["repositories"][0]["tags"]["latest"]
    assert set(tags) == {"1.0.0", "1.1.0", "latest"}  # what is new stays at the target
    assert after["bundles"] == before["bundles"]


@pytest.mark.slow
def test_a_rollback_without_its_receipt_moves_nothing(nights: Nights) -> None:
    nights.content.add_image("one", "stable")
    assert nights.imports(nights.export()) == 0
    nights.content.add_image("other", "stable")
    assert nights.imports(nights.export(), on_conflict=OnConflict.OVERWRITE) == 0
    moved = nights.content.tags["stable"]
    nights.receipt.rename(nights.receipt.with_name("elsewhere"))
    session = Session(registries_for(FakeClock()))
    with pytest.raises(UsageError, match="--receipt: no such file"):
        roll_back(read_rollback_file(nights.undo), session, nights.ledger())
    tag = Tag("stable")
    assert session.registries.source(nights.target.repository(nights.path)).digest_of(tag) == moved


@pytest.mark.slow
def test_without_prune_a_receipt_keeps_what_is_gone_outside(nights: Nights) -> None:
    second = nights.version("1.1.0")
    del nights.content.tags["1.0.0"]
    third = nights.export()
    assert [nights.imports(bundle) for bundle in (nights.bundles[0], second, third)] == [0, 0, 0]
    assert nights.received() == {"1.0.0", "1.1.0"}


@pytest.mark.slow
def test_from_python_an_older_bundle_is_refused(
    alice: Path, fresh: Fresh, target_registry: RealRegistry, tmp_path: Path
) -> None:
    verifier = StatementVerifier(keygen(), Requirement(allowed(line("alice", alice))), now=NOW)
    session = Session(registries_for(FakeClock()), clock=lambda: NOW)
    destination = Destination(parse_prefix(f"{target_registry.host}/{fresh('signed')}"))

    def carried(number: int, run: Callable[..., Any] = import_bundle, job: str = "default") -> int:
        path = tmp_path / f"{number}.tar.zst"
        a_signed_bundle(path, alice, Terms(Job(job), number))
        with open_bundle(path, verifier=verifier) as bundle:
            report = run(verify_bundle(bundle, session), destination, session, Ledger(tmp_path / "ledger"))
        return int(report.exit_code)

    assert carried(7) == 0
    for run in (plan_bundle_import, import_bundle):
        with pytest.raises(TrustError, match="older than what was imported: number 7"):
            carried(6, run)
        with pytest.raises(TrustError, match="known jobs: default"):
            carried(8, run, "staging")
    assert carried(8) == 0


def test_a_bundle_of_another_job_than_expected_is_refused(alice: Path, tmp_path: Path) -> None:
    requirement = Requirement(allowed(line("alice", alice)), job=Job("nightly"))
    verifier = StatementVerifier(keygen(), requirement, now=NOW)
    staging = tmp_path / "b.tar.zst"
    a_signed_bundle(staging, alice, Terms(Job("staging"), 7))
    with pytest.raises(TrustError, match="signed for job staging, but job nightly is expected"):
        open_bundle(staging, verifier=verifier)


@pytest.mark.slow
def test_a_receipt_of_nothing_but_a_rollback_makes_a_full_bundle(nights: Nights) -> None:
    assert nights.imports(nights.bundles[0]) == 0
    session = Session(registries_for(FakeClock()))
    roll_back(read_rollback_file(nights.undo), session, Ledger(nights.folder / "ledger"))
    out, base = nights.folder / "again.tar.zst", Incremental(base=(str(nights.receipt),))
    exported(out, f"{nights.server.host}/{nights.path}", incremental=base, store=nights.folder / "store")
    with open_bundle(out) as bundle:
        assert bundle.inventory.kind == "full"
    assert nights.imports(out) == 0


OURS = {"repository": "h.example/team/app", "tag": "1.0.0", "old": f"sha256:{'1' * 64}", "new": None}


@pytest.mark.parametrize(
    ("moved", "cause"),
    [
        ([{**OURS, "repository": "other.example/team/app"}], "not below its target"),
        ([{**OURS, "repository": "h.example/team-other/app"}], "not below its target"),
        ([OURS, {**OURS, "old": None}], "one tag twice"),
    ],
)
def test_a_rollback_file_moves_each_tag_of_its_target_once(moved: list[Any], cause: str) -> None:
    document = {
        "rollbackVersion": 1,
        "bundle": f"sha256:{'0' * 64}",
        "target": "h.example/team",
        "moved": [OURS],
    }
    assert decode_rollback_file(json.dumps(document).encode(), "undo.json").moved
    with pytest.raises(ContentError, match=cause):
        decode_rollback_file(json.dumps({**document, "moved": moved}).encode(), "undo.json")


def test_a_receipt_has_each_repository_once() -> None:
    entry = {"name": "ghcr.io/app", "target": "h.example/app", "tags": {}, "untagged": []}
    document = {"receiptVersion": 1, "target": "h.example", "time": "", "bundles": [], "omitted": []}
    with pytest.raises(ContentError, match="one repository twice"):
        decode_receipt(json.dumps({**document, "repositories": [entry, entry]}).encode(), "receipt.json")
