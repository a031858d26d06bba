"""An import is a transaction for each repository, and what it moved can be moved back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bundler.oci.digest import Digest
from bundler.oci.reference import Tag
from bundler.reporting.json_report import Report
from tests.builders import Content, a_bundle, a_module, add_version
from tests.doubles import ALWAYS, FakeClock, FaultProxy, says, with_headers
from tests.flows import imported, registries_for
from tests.processes import bundler, clean_environment
from tests.registries import RealRegistry

pytestmark = pytest.mark.slow

Fresh = Callable[[str], str]


class Inside(NamedTuple):
    """A registry behind a proxy that can spoil its answers, and a repository in it."""

    proxy: FaultProxy
    registry: RealRegistry
    path: str
    folder: Path

    def bundle(self, **contents: Content) -> Path:
        """A bundle of repositories below the path."""
        named = {f"h.example/{self.path}/{name}": content for name, content in contents.items()}
        return a_bundle(self.folder / "b.tar.zst", named)

    def imports(self, **contents: Content) -> Report:
        """Import them through the proxy."""
        return imported(self.bundle(**contents), self.proxy.host)

    def tags(self, name: str) -> dict[str, Digest | None]:
        """What the tags of a repository point to."""
        known = registries_for(FakeClock()).target(self.registry.repository(f"{self.path}/{name}"))
        tags = self.registry.tags(f"{self.path}/{name}")
        return {tag: known.digest_of(Tag(tag)) for tag in tags}


@pytest.fixture
def inside(target_registry: RealRegistry, fresh: Fresh, tmp_path: Path) -> Iterator[Inside]:
    """The real registry, behind a proxy."""
    with FaultProxy(target_registry.host) as proxy:
        yield Inside(proxy, target_registry, fresh("t"), tmp_path)


def nightly(*versions: str) -> Content:
    """Versions, and `latest` at the last one."""
    content = a_module(*versions)
    content.tags["latest"] = content.tags[versions[-1]]
    return content


def blob_of(content: Content, version: str) -> str:
    """The layer that only this version has."""
    document = json.loads(content.manifests[content.tags[version]][1])
    return str(document["layers"][1]["digest"])


SPOILT = {
    "an upload": ("PUT", "/blobs/uploads/.*{blob}"),
    "a manifest": ("PUT", "/manifests/{manifest}"),
    "the proof of a manifest": ("GET", "/manifests/{manifest}"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_no_tag_of_a_repository_moves_unless_everything_is_there(name: str, inside: Inside) -> None:
    inside.imports(app=nightly("1.0.0"), other=nightly("1.0.0"))
    before = inside.tags("app")
    content = nightly("1.0.0", "1.1.0", "1.2.0")
    method, pattern = SPOILT[name]
    names = {"blob": blob_of(content, "1.1.0").removeprefix("sha256:"), "manifest": content.tags["1.1.0"]}
    where = f"/app{pattern.format(**names)}"
    inside.proxy.on(method, where, says(404 if method == "HEAD" else 500), times=ALWAYS)
    report = inside.imports(app=content, other=nightly("1.0.0", "1.1.0"))
    assert report.exit_code == 8
    assert inside.tags("app") == before
    assert set(inside.tags("other")) == {"1.0.0", "1.1.0", "latest"}
    causes = [item.cause for item in report.failures]
    assert len(causes) == 3
    assert sum("not moved, because content is missing" in cause for cause in causes) == 2


def test_a_blob_that_no_answer_names_is_read_back(inside: Inside) -> None:
    content = nightly("1.0.0", "1.1.0")
    blob = blob_of(content, "1.1.0")
    inside.proxy.on("PUT", f"/app/blobs/.*{blob[7:]}", with_headers(Docker_Content_Digest=""))
    inside.proxy.on("HEAD|GET", f"/app/blobs/{blob}", says(404), times=ALWAYS)
    report = inside.imports(app=content)
    assert report.exit_code == 6
    assert inside.tags("app") == {}


def test_in_a_new_repository_latest_waits_for_all_versions(inside: Inside) -> None:
    content = nightly("1.0.0", "1.1.0")
    refused = f"/app/manifests/(1.0.0|{content.tags['1.0.0']})"
    inside.proxy.on("PUT", refused, says(403), first=2, times=ALWAYS)
    report = inside.imports(app=content)
    assert report.exit_code == 8
    assert inside.tags("app").keys() <= {"1.1.0"}
    assert "not moved, because content is missing" in report.failures[-1].cause
    inside.proxy._rules.clear()
    assert inside.imports(app=content).exit_code == 0
    assert inside.tags("app") == content.tags


def test_a_new_tag_refused_as_such_holds_nothing_back(inside: Inside) -> None:
    content = nightly("1.0.0", "1.1.0")
    inside.proxy.on("PUT", "/app/manifests/1.0.0", says(400), times=ALWAYS)
    assert inside.imports(app=content).exit_code == 8
    assert inside.tags("app").keys() == {"1.1.0", "latest"}


def test_a_mount_that_did_not_happen_holds_all_tags_back(inside: Inside) -> None:
    content = nightly("1.0.0")
    mounted = f"/v2/{inside.path}/[a-z]+/blobs/uploads/.*mount="
    inside.proxy.on("POST", mounted, says(201), times=ALWAYS)
    blob = blob_of(content, "1.0.0")
    inside.proxy.on("PUT", f"/two/blobs/.*{blob[7:]}", with_headers(Docker_Content_Digest=""), times=ALWAYS)
    inside.proxy.on("HEAD|GET", f"/two/blobs/{blob}", says(404), times=ALWAYS)
    report = inside.imports(one=content, two=content)
    assert report.exit_code == 8
    assert "sent or mounted, but the target does not have it" in report.failures[0].cause
    assert inside.tags("one").keys() == {"1.0.0", "latest"}
    assert inside.proxy.asked("PUT", "/two/manifests/(1|latest)") == []


# --- back --------------------------------------------------------------------------------------------


def command(inside: Inside, *arguments: str) -> dict[str, Any]:
    """An import by the command line; its report."""
    environment = clean_environment(XDG_STATE_HOME=str(inside.folder / "state"))
    done = bundler("import", *arguments, "--json", "-q", env=environment)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow
def test_tags_that_moved_are_moved_back(inside: Inside) -> None:
    to, way_back = ("--to", inside.proxy.host, "--on-conflict", "overwrite"), inside.folder / "back.json"
    inside.imports(app=nightly("1.0.0", "1.1.0"))
    before = inside.tags("app")
    content = nightly("1.0.0", "1.1.0")
    add_version(content, "2.0.0")
    content.tags["latest"] = content.tags["1.0.0"] = content.tags["2.0.0"]
    command(inside, str(inside.bundle(app=content)), *to, "--rollback-file", str(way_back))
    assert inside.tags("app") == content.tags
    report = command(inside, "--rollback", str(way_back))
    assert report["exitCode"] == 0
    # What is new stays: nothing is deleted.
    assert inside.tags("app") == before | {"2.0.0": content.tags["2.0.0"]}
    assert command(inside, "--rollback", str(way_back))["unchanged"] is True


@pytest.mark.slow
def test_the_way_back_is_written_before_the_first_tag_moves(inside: Inside) -> None:
    inside.imports(app=nightly("1.0.0"))
    old, way_back = inside.tags("app")["latest"], inside.folder / "back.json"
    content = nightly("1.0.0", "1.1.0")
    inside.proxy.on("PUT", "/manifests/(latest|1.1.0)", says(500), times=ALWAYS)
    command(
        inside, str(inside.bundle(app=content)), "--to", inside.proxy.host, "--rollback-file", str(way_back)
    )
    moved = {one["tag"]: (one["old"], one["new"]) for one in json.loads(way_back.read_text())["moved"]}
    assert moved == {"latest": (old, content.tags["latest"]), "1.1.0": (None, content.tags["1.1.0"])}


def test_by_default_the_rollback_file_is_kept_with_the_state(inside: Inside) -> None:
    inside.imports(app=nightly("1.0.0"))
    report = command(inside, str(inside.bundle(app=nightly("1.0.0", "1.1.0"))), "--to", inside.proxy.host)
    assert report["exitCode"] == 0
    (file,) = (inside.folder / "state" / "timoni-bundler").glob("rollback-*.json")
    assert {one["tag"] for one in json.loads(file.read_text())["moved"]} == {"latest", "1.1.0"}


@pytest.mark.slow
def test_the_next_run_adds_to_the_rollback_file_if_it_must(inside: Inside) -> None:
    older, newer = nightly("1.0.0"), nightly("1.0.0", "1.1.0")
    for content in (older, newer):
        content.tags["stable"] = content.tags["latest"]
    inside.imports(app=older)
    before, way_back = inside.tags("app"), inside.folder / "back.json"
    inside.proxy.on("PUT", "/manifests/stable", says(403), times=1)
    again = (str(inside.bundle(app=newer)), "--to", inside.proxy.host, "--on-conflict", "overwrite")
    codes = [command(inside, *again, "--rollback-file", str(way_back))["exitCode"] for _ in range(3)]
    assert codes == [8, 0, 0]
    assert inside.tags("app") == newer.tags
    assert command(inside, "--rollback", str(way_back))["exitCode"] == 0
    assert inside.tags("app") == before | {"1.1.0": newer.tags["1.1.0"]}
    # Imported once more, from there the way back begins anew.
    assert command(inside, *again, "--rollback-file", str(way_back))["exitCode"] == 0
    assert [one["tag"] for one in json.loads(way_back.read_text())["moved"]] == ["latest", "stable"]


@pytest.mark.slow
def test_two_targets_of_one_bundle_have_two_ways_back(inside: Inside, fresh: Fresh) -> None:
    older, newer = nightly("1.0.0"), nightly("1.0.0", "1.1.0")
    for content in (older, newer):
        bundle = inside.bundle(app=content)
        for prefix in ("east", "west"):
            to = f"{inside.proxy.host}/{fresh(prefix)}"
            assert command(inside, str(bundle), "--to", to)["exitCode"] == 0
    files = (inside.folder / "state" / "timoni-bundler").glob("rollback-*.json")
    assert len({json.loads(file.read_text())["moved"][0]["repository"] for file in files}) == 2


def test_a_file_of_another_kind_is_not_replaced_by_a_way_back(inside: Inside) -> None:
    wrong = inside.folder / "notes.txt"
    wrong.write_text("mine")
    bundle = str(inside.bundle(app=nightly("1.0.0")))
    refused = bundler("import", bundle, "--to", inside.proxy.host, "--rollback-file", str(wrong))
    assert refused.returncode == 2
    assert "notes.txt: --rollback-file: it exists, and is not valid JSON" in refused.stderr
    assert wrong.read_text() == "mine"


@pytest.mark.slow
def test_a_tag_that_was_moved_since_is_left_alone(inside: Inside) -> None:
    to, way_back = ("--to", inside.proxy.host), inside.folder / "back.json"
    inside.imports(app=nightly("1.0.0"))
    command(inside, str(inside.bundle(app=nightly("1.0.0", "1.1.0"))), *to, "--rollback-file", str(way_back))
    inside.imports(app=nightly("1.0.0", "1.1.0", "1.2.0"))
    now = inside.tags("app")
    report = command(inside, "--rollback", str(way_back))
    assert report["exitCode"] == 10
    assert inside.tags("app") == now
    assert command(inside, "--rollback", str(way_back), "--on-conflict", "overwrite")["exitCode"] == 0
    assert inside.tags("app")["latest"] == now["1.0.0"]


def moved_by_an_import(inside: Inside) -> Path:
    """Two versions; then `latest` moved, and a version new; the way back."""
    inside.imports(app=nightly("1.0.0"))
    way_back = inside.folder / "back.json"
    bundle = inside.bundle(app=nightly("1.0.0", "1.1.0"))
    command(inside, str(bundle), "--to", inside.proxy.host, "--rollback-file", str(way_back))
    return way_back


@pytest.mark.slow
def test_a_way_back_can_be_tried_dry(inside: Inside) -> None:
    way_back = moved_by_an_import(inside)
    before = inside.tags("app")
    report = command(inside, "--rollback", str(way_back), "--dry-run")
    assert inside.tags("app") == before
    told = {tag["reference"]: (tag["status"], tag["previous"]) for tag in report["repositories"][0]["tags"]}
    assert told["latest"] == ("planned", before["latest"])
    assert (report["dryRun"], report["exitCode"]) == (True, 0)


@pytest.mark.slow
def test_a_way_back_is_not_replaced_by_its_own_report(inside: Inside) -> None:
    way_back = moved_by_an_import(inside)
    content = way_back.read_bytes()
    done = bundler("import", "--rollback", str(way_back), "--report", str(way_back))
    assert (done.returncode, way_back.read_bytes()) == (2, content)


@pytest.mark.parametrize(
    "options",
    [
        ("--to", "oci://h.example"),
        ("--tag", "1.*"),
        ("--prune", "3"),
        ("--allow-rollback",),
        ("--allow-gap",),
    ],
)
def test_what_a_way_back_would_not_hear_is_refused(options: tuple[str, ...]) -> None:
    done = bundler("import", "--rollback", "back.json", *options)
    assert (done.returncode, f"{options[0]}: it has no effect with --rollback" in done.stderr) == (2, True)


def test_what_is_no_rollback_file_is_refused_by_name(inside: Inside) -> None:
    wrong = inside.folder / "wrong.json"
    wrong.write_text('{"rollbackVersion": 1}')
    refused = bundler("import", "--rollback", str(wrong))
    assert refused.returncode == 7
    assert "wrong.json: not a rollback file" in refused.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["b.tar.zst", "--rollback", "x.json"], ["--rollback", "absent.json"]]
)
def test_what_is_to_be_done_must_be_said(arguments: list[str]) -> None:
    assert bundler("import", *arguments).returncode == 2
