"""A delta at the target: what it leaves out is found before anything is written, or nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import NotFoundError, UsageError
from bundler.exporter import Incremental
from bundler.importer import Destination, Part, import_stream, verify_bundle
from bundler.ledger.ledger import Ledger
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.digest import Digest
from bundler.oci.reference import Tag, parse_prefix
from bundler.reporting.json_report import Report
from bundler.selection.rules import Rules
from bundler.session import Session
from tests.builders import (
    Content,
    a_bundle,
    a_module,
    a_signed_module,
    add_version,
    push_to,
    sign_by_subject,
    sign_by_tag,
)
from tests.doubles import Answer, FakeClock, FaultProxy, MemoryRegistry, Seen, Wire
from tests.flows import exported, imported, registries_for
from tests.processes import bundler
from tests.registries import RealRegistry
from tests.server.client import writable_registry

pytestmark = pytest.mark.slow

Fresh = Callable[[str], str]


class Far:
    """A source that changes, and the deltas of it."""

    def __init__(self, server: MemoryRegistry, app: str, folder: Path) -> None:
        self.server = server
        self.path = app
        self.app = server.repositories[app]
        self.folder = folder
        self.bundles = [self.export()]

    def export(self, *base: str, name: str = "0") -> Path:
        """A bundle of everything there is, or of what is new."""
        out = self.folder / f"{name}.tar.zst"
        sources = [f"{self.server.host}/{path}" for path in self.server.repositories]
        exported(out, *sources, incremental=Incremental(base=base), store=self.folder / "store")
        return out

    def delta(self) -> Path:
        """What is new since the last bundle."""
        self.bundles.append(self.export(str(self.bundles[-1]), name=str(len(self.bundles))))
        return self.bundles[-1]


@pytest.fixture
def far(fresh: Fresh, tmp_path: Path) -> Iterator[Far]:
    """A signed module outside, and a full bundle of it."""
    path = fresh("app")
    with MemoryRegistry({path: a_signed_module()}) as server:
        yield Far(server, path, tmp_path)


def digests(target: RealRegistry, path: str, content: Content) -> bool:
    """Whether the target has every tag under its digest."""
    known = registries_for(FakeClock())
    repository = known.source(target.repository(path))
    return {tag: repository.digest_of(Tag(tag)) for tag in content.tags} == content.tags


def test_base_and_delta_bring_everything(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    add_version(far.app, "2.0.0")
    sign_by_tag(far.app, far.app.tags["2.0.0"])
    sign_by_tag(far.app, far.app.tags["1.0.0"], "sig", "one", "more")
    report = imported(far.delta(), target_registry.host)
    assert report.exit_code == 0
    assert digests(target_registry, far.path, far.app)


def test_a_delta_without_its_base_writes_nothing_and_names_it(
    far: Far, target_registry: RealRegistry
) -> None:
    add_version(far.app, "2.0.0")
    with open_bundle(far.bundles[0]) as base, pytest.raises(NotFoundError, match=base.id):
        imported(far.delta(), target_registry.host)
    asked = {access.method for access in target_registry.accesses(far.path)}
    assert asked == {"HEAD", "GET"}


def test_a_base_given_beside_lends_what_the_target_lacks(far: Far, target_registry: RealRegistry) -> None:
    add_version(far.app, "2.0.0")
    report = imported(far.delta(), target_registry.host, beside=[far.bundles[0]])
    assert report.exit_code == 0
    assert target_registry.tags(far.path) == ["2.0.0"]


@pytest.mark.parametrize("beside", [False, True], ids=["from the target", "from a bundle beside"])
def test_a_delta_comes_through_a_pipe(far: Far, target_registry: RealRegistry, *, beside: bool) -> None:
    if not beside:
        imported(far.bundles[0], target_registry.host)
    add_version(far.app, "2.0.0")
    far.server.repositories[f"{far.path}/other"] = far.app
    data = BytesIO(far.delta().read_bytes())
    session = Session(registries_for(FakeClock()), jobs=4)
    to = Destination(parse_prefix(target_registry.host))
    with open_bundle(far.bundles[0]) as base:
        stream = BundleStream(data, DEFAULT_LIMITS)
        report = import_stream(
            stream, to, session, Ledger(far.folder / "ledger"), beside=[base] if beside else []
        )
    assert report.exit_code == 0
    assert digests(target_registry, f"{far.path}/other", far.app)


def test_what_another_repository_of_the_base_has_is_mounted(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    far.server.repositories[f"{far.path}/other"] = a_module("1.0.0", "1.1.0")
    delta = far.delta()
    with open_bundle(delta) as opened:
        assert opened.inventory.blobs == ()
    assert imported(delta, target_registry.host).exit_code == 0
    assert digests(target_registry, f"{far.path}/other", far.server.repositories[f"{far.path}/other"])
    sent = [one for one in target_registry.accesses(f"{far.path}/other") if one.method == "PATCH"]
    assert sent == []


def test_importing_a_delta_again_is_one_head_for_each_tag(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    add_version(far.app, "2.0.0")
    delta = far.delta()
    imported(delta, target_registry.host)
    before = len(target_registry.accesses(far.path))
    assert imported(delta, target_registry.host).unchanged
    assert [one.method for one in target_registry.accesses(far.path)[before:]] == ["HEAD"]


def test_a_delta_is_verified_by_itself_and_not_served(far: Far) -> None:
    add_version(far.app, "2.0.0")
    delta = far.delta()
    with open_bundle(delta) as opened:
        assert len(verify_bundle(opened).manifests) == 1
    refused = bundler("serve", str(delta), "--port", "0")
    assert refused.returncode == 2
    assert "merge" in refused.stderr


# --- receipts ----------------------------------------------------------------------------------------


class Mornings:
    """Imports by the command line, with one receipt."""

    def __init__(self, far: Far, target: RealRegistry) -> None:
        self._far = far
        self._to = target.host
        self.receipt = far.folder / "receipt.json"

    def imported(self, bundle: Path, *options: str) -> Report | None:
        """Import, and keep the receipt up."""
        receipt = ("--receipt", str(self.receipt))
        done = bundler("import", str(bundle), "--to", self._to, *receipt, "-q", *options)
        assert done.returncode == 0, done.stderr
        return None

    def tags(self) -> dict[str, str]:
        """What the receipt says of the module."""
        document = json.loads(self.receipt.read_text())
        (entry,) = (one for one in document["repositories"] if one["name"].endswith(self._far.path))
        return dict(entry["tags"])


@pytest.fixture
def mornings(far: Far, target_registry: RealRegistry) -> Mornings:
    """Imports into the real registry."""
    return Mornings(far, target_registry)


def test_a_receipt_tells_what_the_target_has_and_is_a_base(far: Far, mornings: Mornings) -> None:
    mornings.imported(far.bundles[0])
    assert mornings.tags() == far.app.tags
    add_version(far.app, "2.0.0")
    by_receipt = far.export(str(mornings.receipt), name="by-receipt")
    by_bundle = far.export(str(far.bundles[0]), name="by-bundle")
    assert by_receipt.read_bytes() == by_bundle.read_bytes()


def test_a_receipt_is_kept_up_by_deltas(far: Far, mornings: Mornings) -> None:
    mornings.imported(far.bundles[0])
    add_version(far.app, "2.0.0")
    del far.app.tags["1.3.0"]
    mornings.imported(far.delta(), "--prune", "5")
    assert mornings.tags() == far.app.tags
    with open_bundle(far.bundles[-1]) as last:
        assert json.loads(mornings.receipt.read_text())["bundles"] == [last.id]
    assert not far.export(str(mornings.receipt), name="nothing").exists()


def test_a_receipt_needs_no_store_outside(far: Far, mornings: Mornings) -> None:
    mornings.imported(far.bundles[0])
    receipt = mornings.receipt.rename(far.folder / "carried.json")
    add_version(far.app, "2.0.0")
    out = far.folder / "elsewhere"
    out.mkdir()
    exported(
        out / "d.tar.zst", f"{far.server.host}/{far.path}", incremental=Incremental(base=(str(receipt),))
    )
    with open_bundle(out / "d.tar.zst") as delta:
        assert [set(entry.tags) for entry in delta.inventory.repositories] == [{"2.0.0"}]
        assert len(delta.inventory.required) == 1
    mornings.imported(out / "d.tar.zst")


def test_the_receipt_of_another_target_is_not_written_over(
    far: Far, mornings: Mornings, source_registry: RealRegistry
) -> None:
    mornings.imported(far.bundles[0])
    refused = bundler(
        "import", str(far.bundles[0]), "--to", source_registry.host, "--receipt", str(mornings.receipt)
    )
    assert refused.returncode == 2
    assert "use one receipt per target" in refused.stderr


def test_a_tag_that_was_not_taken_is_not_in_the_receipt(
    far: Far, mornings: Mornings, target_registry: RealRegistry
) -> None:
    other = Content()
    other.add_image("other", "1.0.0")
    push_to(target_registry.base, far.path, other)
    to = ("--to", target_registry.host, "--receipt", str(mornings.receipt))
    assert bundler("import", str(far.bundles[0]), *to, "--on-conflict", "skip").returncode == 0
    assert mornings.tags() == {tag: digest for tag, digest in far.app.tags.items() if tag != "1.0.0"}


@pytest.mark.parametrize("text", ["{}", '{"receiptVersion":2}', "{", '{"receiptVersion":1,"target":1}'])
def test_what_is_no_receipt_is_refused_by_name(far: Far, text: str) -> None:
    wrong = far.folder / "wrong.json"
    wrong.write_text(text)
    source = f"{far.server.host}/{far.path}"
    refused = bundler("export", source, "-o", str(far.folder / "o.tar.zst"), "--base", str(wrong))
    assert refused.returncode == 7
    assert "wrong.json" in refused.stderr


# --- tags that are gone ------------------------------------------------------------------------------


def without(far: Far, *tags: str) -> Path:
    """A delta after which these tags are gone outside."""
    for tag in tags:
        del far.app.tags[tag]
    return far.delta()


def test_tags_gone_at_the_source_stay_at_the_target_unless_told(
    far: Far, target_registry: RealRegistry
) -> None:
    imported(far.bundles[0], target_registry.host)
    imported(without(far, "1.3.0"), target_registry.host)
    assert "1.3.0" in target_registry.tags(far.path)


def test_tags_that_are_gone_are_deleted_and_no_others(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    report = imported(without(far, "1.3.0"), target_registry.host, prune=1)
    assert report.exit_code == 0
    assert [tag.status for entry in report.repositories for tag in entry.tags] == ["removed"]
    assert set(target_registry.tags(far.path)) == set(far.app.tags)
    assert digests(target_registry, far.path, far.app)


def test_prune_keeps_what_somebody_else_set(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    delta = without(far, "1.3.0")
    push_to(target_registry.base, far.path, a_module("1.3.0", name="other"))
    report = imported(delta, target_registry.host, prune=5)
    (tag,) = report.repositories[0].tags
    assert (tag.status, "somebody else set it" in tag.reason) == ("skipped", True)
    assert report.unchanged
    assert "1.3.0" in target_registry.tags(far.path)


def test_prune_asks_right_before_it_deletes(far: Far, target_registry: RealRegistry) -> None:
    other = a_module("1.3.0", name="other")

    def meanwhile(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = answer()
        push_to(target_registry.base, far.path, other)
        wire.send(request, reply)
        return True

    imported(far.bundles[0], target_registry.host)
    with FaultProxy(target_registry.host) as proxy:
        proxy.on("HEAD", "/manifests/1.3.0", meanwhile)
        report = imported(without(far, "1.3.0"), proxy.host, prune=5)
    assert "somebody else has just set it" in report.failures[0].cause
    assert digests(target_registry, far.path, other)


def test_a_second_prune_reports_nothing_deleted(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    delta = without(far, "1.3.0")
    first, second = (imported(delta, target_registry.host, prune=5) for _ in range(2))
    states = [[tag.status for tag in report.repositories[0].tags] for report in (first, second)]
    assert states == [["removed"], ["absent"]]
    assert (first.unchanged, second.unchanged) == (False, True)


def test_prune_obeys_the_selection_of_the_import(far: Far, target_registry: RealRegistry) -> None:
    imported(far.bundles[0], target_registry.host)
    add_version(far.app, "2.0.0")
    delta = without(far, "1.3.0")
    part = Part(rules=Rules(globs=("2.*",)))
    assert imported(delta, target_registry.host, prune=5, part=part).exit_code == 0
    assert {"1.3.0", "2.0.0"} <= set(target_registry.tags(far.path))
    elsewhere = Part(repositories=("*/other",))
    assert imported(delta, target_registry.host, prune=5, part=elsewhere).exit_code == 0
    assert "1.3.0" in target_registry.tags(far.path)


PARTS = {
    "a repository": lambda far: Part(repositories=(f"*/{far.path}",)),
    "versions": lambda far: Part(rules=Rules(globs=("1.*",))),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("form", [sign_by_tag, sign_by_subject])
def test_a_part_of_a_delta_has_what_is_attached_to_the_base(
    far: Far, target_registry: RealRegistry, form: Callable[..., Digest], part: Callable[[Far], Part]
) -> None:
    imported(far.bundles[0], target_registry.host, part=part(far))
    form(far.app, far.app.tags["1.3.0"])
    assert imported(far.delta(), target_registry.host, part=part(far)).exit_code == 0
    assert digests(target_registry, far.path, far.app)


def test_a_night_without_the_part_does_not_stop_the_next(far: Far, target_registry: RealRegistry) -> None:
    other = f"{far.path}-other"
    far.server.repositories[other] = a_module("8.0.0", name="other")
    part, ledger = Part(repositories=(f"*/{other}",)), Ledger(far.folder / "nights")
    first = far.delta()
    add_version(far.app, "2.0.0")
    second = far.delta()
    add_version(far.server.repositories[other], "9.0.0", name="other")
    reports = [
        imported(bundle, target_registry.host, part=part, ledger=ledger)
        for bundle in (first, second, far.delta())
    ]
    assert [report.exit_code for report in reports] == [0, 0, 0]
    empty = ["nothing of this delta is selected" in "".join(report.warnings) for report in reports]
    assert empty == [False, True, False]
    assert set(target_registry.tags(other)) == {"8.0.0", "9.0.0"}
    assert far.path not in target_registry.catalog()


def test_prune_deletes_nothing_where_a_policy_allows_no_target(
    far: Far, target_registry: RealRegistry
) -> None:
    imported(far.bundles[0], target_registry.host)
    policy = far.folder / "policy.yaml"
    policy.write_text("version: 1\ntargets: ['elsewhere/*']\n")
    to = ("--to", target_registry.host, "--state", str(far.folder / "policed"), "--allow-gap")
    delta = str(without(far, "1.3.0"))
    done = bundler("import", delta, *to, "--prune", "5", "--policy", str(policy), "-q")
    assert (done.returncode, "the policy does not allow that place" in done.stderr) == (7, True), done.stderr
    assert "1.3.0" in target_registry.tags(far.path)


@pytest.mark.parametrize("deselected", [False, True])
def test_what_is_only_no_longer_selected_needs_its_own_option(
    far: Far, target_registry: RealRegistry, *, deselected: bool
) -> None:
    imported(far.bundles[0], target_registry.host)
    source, store = f"{far.server.host}/{far.path}", far.folder / "store"
    add_version(far.app, "2.0.0")
    delta = far.folder / "newest.tar.zst"
    base = Incremental(base=(str(far.bundles[0]),))
    exported(delta, source, globs=("2.*",), incremental=base, store=store)
    options = ("--prune", "50", *(["--prune-deselected"] if deselected else []))
    done = bundler("import", str(delta), "--to", target_registry.host, "-q", *options)
    assert done.returncode in (0, 8), done.stderr
    assert "no longer selected (deleted only with --prune-deselected)" in done.stdout
    assert "gone at the source" not in done.stdout
    assert ("1.3.0" not in target_registry.tags(far.path)) == deselected


def test_too_many_deletions_delete_nothing_and_import_nothing(
    far: Far, target_registry: RealRegistry
) -> None:
    imported(far.bundles[0], target_registry.host)
    add_version(far.app, "2.0.0")
    before = set(target_registry.tags(far.path))
    with pytest.raises(UsageError, match="2 tags are gone"):
        imported(without(far, "1.3.0", "1.0.0"), target_registry.host, prune=1)
    assert set(target_registry.tags(far.path)) == before


def test_a_tag_that_shares_its_digest_is_not_deleted_by_digest(
    far: Far, target_registry: RealRegistry
) -> None:
    far.app.tags["stable"] = far.app.tags["1.3.0"]
    far.delta()
    for bundle in far.bundles:
        imported(bundle, target_registry.host)
    report = imported(without(far, "stable"), target_registry.host, prune=5)
    assert report.exit_code != 0
    assert "1.3.0 needs" in report.failures[0].cause
    assert {"1.3.0", "stable"} <= set(target_registry.tags(far.path))


def test_a_deleted_tag_is_brought_back(far: Far, tmp_path: Path) -> None:
    gone, way_back = far.app.tags["1.3.0"], tmp_path / "back.json"
    with writable_registry(tmp_path / "registry") as client:
        imported(far.bundles[0], client.address)
        to = ("--to", client.address, "--prune", "1", "--rollback-file", str(way_back), "-q")
        assert bundler("import", str(without(far, "1.3.0")), *to).returncode == 0
        assert client.get(f"/v2/{far.path}/manifests/1.3.0").status_code == 404
        assert bundler("import", "--rollback", str(way_back), "-q").returncode == 0
        assert client.get(f"/v2/{far.path}/manifests/1.3.0").headers["Docker-Content-Digest"] == gone


def test_a_registry_that_deletes_tags_loses_the_tag_alone(far: Far, tmp_path: Path) -> None:
    far.app.tags["stable"] = far.app.tags["1.3.0"]
    far.delta()
    with writable_registry(tmp_path / "registry") as client:
        for bundle in far.bundles:
            imported(bundle, client.address)
        assert imported(without(far, "stable"), client.address, prune=5).exit_code == 0
        assert set(client.get(f"/v2/{far.path}/tags/list").json()["tags"]) == set(far.app.tags)


@pytest.mark.usefixtures("few_open_files")
def test_more_bundles_may_be_lent_than_a_shell_allows_open_files(
    target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    bundles = [
        str(a_bundle(tmp_path / f"{number}.tar.zst", {f"h.example/{fresh(str(number))}": a_module()}))
        for number in range(20)
    ]
    # On the command line, --with beside a full bundle is refused; a file is for every bundle that comes.
    file = tmp_path / "import.yaml"
    file.write_text(f"version: 1\nto: {target_registry.host}\nwith: {bundles[1:]}\n")
    assert run(["import", bundles[0], "-c", str(file), "--state", str(tmp_path), "--dry-run", "-q"]) == 0
