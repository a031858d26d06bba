"""The target says what is true: what it stores is read, and what others set meanwhile is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from bundler.bundle.inventory import Root, take_inventory
from bundler.bundle.reader import open_bundle
from bundler.bundle.writer import write_bundle
from bundler.importer import Destination, OnConflict, compare_with_target, verify_bundle
from bundler.ledger.ledger import Ledger
from bundler.oci.reference import RepositoryName, Tag, parse_prefix
from bundler.registry.repository import Repository
from bundler.reporting.json_report import Report
from bundler.reporting.progress import SILENCE
from bundler.session import Session
from tests.builders import Content, MemoryStore, a_bundle, a_module, push_to, sign_by_subject
from tests.doubles import ALWAYS, Answer, FakeClock, FaultProxy, Reply, Seen, Wire, changed, flipped
from tests.flows import imported, registries_for
from tests.registries import RealRegistry

Fresh = Callable[[str], str]


class Inside:
    """A registry inside, and somebody else who writes to it."""

    def __init__(self, target: RealRegistry, proxy: FaultProxy, path: str, folder: Path) -> None:
        self.target = target
        self.proxy = proxy
        self.path = path
        self.folder = folder
        self.undo = folder / "undo.json"

    def bundle(self, content: Content) -> Path:
        """A bundle of it."""
        return a_bundle(self.folder / "b.tar.zst", {f"h.example/{self.path}": content})

    def imports(
        self, content: Content, on_conflict: OnConflict = OnConflict.DEFAULT, *, full: bool = False
    ) -> Report:
        """Import it."""
        ledger = Ledger(self.folder / "ledger", rollback_file=self.undo)
        return imported(
            self.bundle(content), self.proxy.host, on_conflict=on_conflict, ledger=ledger, confirm_full=full
        )

    def compared(self, content: Content, *, deep: bool = False) -> Report:
        """What `verify --against` finds."""
        session = Session(registries_for(FakeClock()))
        with open_bundle(self.bundle(content)) as bundle:
            destination = Destination(parse_prefix(self.proxy.host))
            return compare_with_target(verify_bundle(bundle), destination, session, deep=deep)

    def meanwhile(self, when: str, content: Content) -> None:
        """Somebody else pushes this as soon as this manifest is put."""

        def push(wire: Wire, request: Seen, answer: Answer) -> bool:
            push_to(self.target.base, self.path, content)
            wire.send(request, answer())
            return True

        self.proxy.on("PUT", when, push, times=1)

    def digest(self, tag: str) -> str | None:
        """What a tag points to."""
        return self._repository().digest_of(Tag(tag))

    def listed(self, tag: str) -> set[str]:
        """What the index under a tag lists."""
        index = json.loads(self._repository().manifest(Tag(tag)).manifest.data)
        return {entry["digest"] for entry in index["manifests"]}

    def _repository(self) -> Repository:
        return registries_for(FakeClock()).source(self.target.repository(self.path))


@pytest.fixture
def inside(target_registry: RealRegistry, fresh: Fresh, tmp_path: Path) -> Iterator[Inside]:
    """An empty repository of a real registry."""
    with FaultProxy(target_registry.host) as proxy:
        yield Inside(target_registry, proxy, fresh("app"), tmp_path)


def test_a_tag_that_was_created_meanwhile_is_a_conflict(inside: Inside) -> None:
    other = a_module("1.0.0", name="other")
    inside.meanwhile("/manifests/sha256:", other)
    report = inside.imports(a_module("1.0.0"), OnConflict.FAIL)
    assert "the tag exists with another digest" in report.failures[0].cause
    assert report.exit_code == 10
    assert inside.digest("1.0.0") == other.tags["1.0.0"]


def test_a_tag_that_was_moved_meanwhile_is_in_the_rollback_file(inside: Inside) -> None:
    other = a_module("1.0.0", name="other")
    inside.meanwhile("/manifests/sha256:", other)
    content = a_module("1.0.0")
    report = inside.imports(content, OnConflict.OVERWRITE)
    (moved,) = json.loads(inside.undo.read_text())["moved"]
    assert (moved["old"], moved["new"]) == (other.tags["1.0.0"], content.tags["1.0.0"])
    assert report.repositories[0].tags[0].previous == other.tags["1.0.0"]


def signed(text: str) -> Content:
    """A module with one signature under the fallback tag."""
    content = a_module("1.0.0")
    sign_by_subject(content, content.tags["1.0.0"], text)
    return content


@pytest.mark.slow
def test_a_signature_attached_meanwhile_stays_in_the_list(inside: Inside) -> None:
    ours, theirs = signed("ours"), signed("theirs")
    inside.meanwhile("/manifests/sha256:", theirs)
    assert inside.imports(ours).exit_code == 0
    tag = ours.tags["1.0.0"].replace(":", "-")
    assert len(inside.listed(tag)) == 2


@pytest.mark.slow
def test_a_list_that_was_extended_afterwards_is_no_failure(inside: Inside) -> None:
    ours, both = signed("ours"), signed("ours")
    sign_by_subject(both, both.tags["1.0.0"], "theirs")
    inside.meanwhile("/manifests/1.0.0", both)
    assert inside.imports(ours).exit_code == 0
    tag = ours.tags["1.0.0"].replace(":", "-")
    assert len(inside.listed(tag)) == 2


def test_a_manifest_that_is_stored_otherwise_is_found(inside: Inside) -> None:
    inside.imports(a_module("1.0.0"))
    inside.proxy.on("GET", "/manifests/sha256:", changed(flipped), times=ALWAYS)
    report = inside.imports(a_module("1.0.0", "1.1.0"))
    assert (report.exit_code, report.failures[0].exit_code) == (8, 6)
    assert inside.digest("1.1.0") is None


def test_in_a_new_repository_a_wrong_manifest_stops_the_rest(inside: Inside) -> None:
    content = a_module("1.0.0")
    content.tags["latest"] = content.tags["1.0.0"]
    inside.proxy.on("GET", "/manifests/", changed(flipped), times=ALWAYS)
    report = inside.imports(content)
    assert [item.exit_code for item in report.failures] == [6, 6]
    assert "content is missing in the repository" in report.failures[1].cause
    assert inside.digest("latest") is None


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
def test_a_comparison_reads_manifests_and_deep_also_blobs(inside: Inside, *, deep: bool) -> None:
    content = a_module("1.0.0")
    assert inside.imports(content).exit_code == 0
    assert inside.compared(content, deep=deep).exit_code == 0
    inside.proxy.on("GET", "/blobs/", changed(flipped), times=ALWAYS)
    assert inside.compared(content, deep=deep).exit_code == (6 if deep else 0)
    inside.proxy.on("GET", "/manifests/", changed(flipped), times=ALWAYS)
    assert inside.compared(content, deep=deep).exit_code == 6


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, ALWAYS], ids=["at first", "always"])
def test_full_confirmation_sends_a_wrong_blob_again(inside: Inside, times: float) -> None:
    content = a_module("1.0.0", size=20)
    blob = next(iter(content.blobs))
    inside.proxy.on("GET", f"/blobs/{blob}", changed(flipped), times=times)
    report = inside.imports(content, full=True)
    sent = [seen for seen in inside.proxy.asked("PUT") if blob.encoded in seen.target]
    assert len(sent) == 2
    assert report.exit_code == (6 if times == ALWAYS else 0)
    assert (inside.digest("1.0.0") is None) == (times == ALWAYS)


def test_a_tag_that_leads_to_other_bytes_than_it_says_is_found(inside: Inside) -> None:
    content, lies = a_module("1.0.0"), changed(flipped)
    inside.proxy.on("GET", "/manifests/1.0.0", lies, times=ALWAYS)
    assert inside.imports(content).exit_code == 6
    assert inside.digest("1.0.0") == content.tags["1.0.0"]
    assert inside.compared(content).exit_code == 6


def test_a_header_that_lies_about_a_tag_is_found(inside: Inside) -> None:
    ours, other = a_module("1.0.0"), a_module("1.0.0", name="other")
    _, data = other.manifests[other.tags["1.0.0"]]

    def lies(reply: Reply) -> Reply:
        return reply._replace(body=data, headers={**reply.headers, "Content-Length": str(len(data))})

    inside.proxy.on("GET", "/manifests/1.0.0", changed(lies), times=ALWAYS)
    assert inside.imports(ours).exit_code == 6
    assert inside.compared(ours).exit_code == 6


def test_a_tag_that_was_deleted_meanwhile_is_set_and_in_the_file(inside: Inside) -> None:
    old, new = a_module("latest", name="old"), a_module("latest", name="new")
    push_to(inside.target.base, inside.path, old)

    def delete(wire: Wire, request: Seen, answer: Answer) -> bool:
        address = f"{inside.target.base}/v2/{inside.path}/manifests/{old.tags['latest']}"
        assert requests.delete(address, timeout=60).status_code == 202
        wire.send(request, answer())
        return True

    inside.proxy.on("PUT", "/manifests/sha256:", delete, times=1)
    report = inside.imports(new)
    assert (report.exit_code, report.repositories[0].tags[0].previous) == (0, None)
    assert inside.digest("latest") == new.tags["latest"]
    assert json.loads(inside.undo.read_text())["moved"][0]["old"] is None


def test_a_list_that_an_import_extends_is_in_the_rollback_file(inside: Inside) -> None:
    """And in the report, with the digest before."""
    ours, theirs = a_module("1.0.0"), signed("theirs")
    sign_by_subject(ours, ours.tags["1.0.0"], "ours", listed=False)
    push_to(inside.target.base, inside.path, theirs)
    tag = ours.tags["1.0.0"].replace(":", "-")
    name = RepositoryName(f"h.example/{inside.path}")
    untagged = [Root(name, None, digest) for digest in ours.manifests if digest not in ours.tags.values()]
    inventory = take_inventory([*ours.roots(name), *untagged], ours.parsed())
    with (inside.folder / "b.tar.zst").open("wb") as file:
        write_bundle(file.write, inventory, MemoryStore(ours), SILENCE)
    ledger = Ledger(inside.folder / "ledger", rollback_file=inside.undo)
    report = imported(inside.folder / "b.tar.zst", inside.proxy.host, ledger=ledger)
    assert (report.exit_code, report.unchanged) == (0, False)
    told = {item.reference: (item.status, item.previous) for item in report.repositories[0].tags}
    assert told[tag] == ("merged", theirs.tags[tag])
    again = imported(inside.folder / "b.tar.zst", inside.proxy.host, ledger=ledger)
    assert again.unchanged
    assert tag not in {item.reference for item in again.repositories[0].tags}
    assert len(inside.listed(tag)) == 2
    moved = {entry["tag"]: entry["old"] for entry in json.loads(inside.undo.read_text())["moved"]}
    assert moved[tag] == theirs.tags[tag]
