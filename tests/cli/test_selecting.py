"""What the command line and export files ask for: the same answers from `explain` and `export`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.inventory import roots_of
from bundler.bundle.reader import open_bundle
from tests.builders import Content, a_module, an_index, dumped
from tests.doubles import MemoryRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]

VERSIONS = ("1.0.0", "1.1.0", "1.1.1", "1.2.0", "2.0.0-rc.1", "2.0.0")


def with_latest(content: Content, version: str, *, says: str = "") -> Content:
    """The content with `latest` for a version; its manifest may say another."""
    content.tags["latest"] = content.tags[says or version]
    return content


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """Two modules with several versions, and something else."""
    repositories = {
        "org/modules/app": with_latest(a_module(*VERSIONS), "2.0.0"),
        "org/modules/db": a_module("3.0.0", name="db"),
        "org/other": an_index(),
    }
    with MemoryRegistry(repositories) as server:
        yield server


def tags_in(bundle: Path) -> list[str]:
    """Every tag that a bundle holds, with its repository's last name."""
    with open_bundle(bundle) as opened:
        return [f"{root.repository.rpartition('/')[2]}:{root.tag}" for root in roots_of(opened.inventory)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "taken"),
    [
        (["--tag", "1.1.*"], ["1.1.0", "1.1.1"]),
        (["--tag-regex", r"1\.[02]\..*"], ["1.0.0", "1.2.0"]),
        (["--versions", ">=1.1 <2"], ["1.1.0", "1.1.1", "1.2.0"]),
        (["--versions", ">=1.2", "--prereleases"], ["1.2.0", "2.0.0", "2.0.0-rc.1"]),
        (["--newest", "2"], ["1.2.0", "2.0.0"]),
        (["--newest-per-minor", "1", "--newest", "3"], ["1.1.1", "1.2.0", "2.0.0"]),
        (["--newest-per-major", "1"], ["1.2.0", "2.0.0"]),
        (["--versions", "^1", "--exclude", "1.1.*"], ["1.0.0", "1.2.0"]),
        (["--follow-latest"], ["2.0.0", "latest"]),
    ],
)
def test_the_options_take_what_they_say(
    options: list[str], taken: list[str], registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    source = f"{registry.host}/org/modules/app"
    assert run(["explain", source, *options, "--json", "-q"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["repositories"]
    assert sorted(item["tag"] for item in entry["decisions"] if item["taken"]) == taken
    assert all(item["reason"] for item in entry["decisions"])
    assert run(["export", source, *options, "-o", str(tmp_path / "b.tar.zst"), "-q"]) == 0
    assert sorted(tags_in(tmp_path / "b.tar.zst")) == [f"app:{tag}" for tag in taken]


def test_selection_costs_no_request_beyond_the_tag_list(registry: MemoryRegistry) -> None:
    """The list, and the question whether that was all."""
    assert run(["explain", f"{registry.host}/org/modules/app", "--newest", "2", "-q"]) == 0
    assert [seen.path for seen in registry.asked()] == ["/v2/org/modules/app/tags/list"] * 2


def test_creation_times_cost_one_manifest_for_each_candidate(tmp_path: Path) -> None:
    content = Content()
    for version, created in (("1.0.0", "2020-01-01"), ("1.1.0", "2026-11-01"), ("1.2.0", "2099-01-01")):
        own = a_module(version)
        digest = own.tags[version]
        document = json.loads(own.manifests[digest][1])
        document["annotations"]["org.opencontainers.image.created"] = f"{created}T00:00:00Z"
        content.blobs |= own.blobs
        content.add_manifest(document, version)
    with MemoryRegistry({"app": content}) as server:
        out = str(tmp_path / "b.tar.zst")
        options = ["--since", "2026-01-01", "--min-age", "72h", "-o", out, "-q", "--no-referrers"]
        assert run(["export", f"{server.host}/app", *options]) == 0
        assert tags_in(tmp_path / "b.tar.zst") == ["app:1.1.0"]
        assert len(server.asked("GET", "manifests")) == 3


def test_a_namespace_is_every_matching_repository_of_the_catalog(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    out = tmp_path / "b.tar.zst"
    assert run(["export", f"{registry.host}/org/modules/*", "--newest", "1", "-o", str(out), "-q"]) == 0
    assert tags_in(out) == ["app:2.0.0", "db:3.0.0"]
    assert run(["export", f"{registry.host}/nobody/*", "-o", str(out), "-q", "--force"]) == 4


def test_an_export_file_says_all_that_the_command_line_can(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "export.yaml").write_text(f"""
version: 1
output: b.tar.zst
report: report.json
lock: export.lock
defaults: {{newest: 1}}
sources:
  - repository: {registry.host}/org/modules/app
    versions: "^1"
  - namespace: {registry.host}/org/modules/*
    excludeRepositories: ["*/app"]
""")
    assert run(["export", "-c", str(tmp_path / "export.yaml"), "-q"]) == 0
    assert tags_in(tmp_path / "b.tar.zst") == ["app:1.2.0", "db:3.0.0"]
    valid("report", json.loads((tmp_path / "report.json").read_text()))
    valid("lock", json.loads((tmp_path / "export.lock").read_text()))


def test_all_mistakes_of_export_files_have_file_line_and_key(tmp_path: Path, capsys: Output) -> None:
    wrong = tmp_path / "export.yaml"
    wrong.write_text("version: 1\nsources:\n  - repository: HOST/App\n    newst: 3\n")
    assert run(["export", "-c", str(wrong), "-o", str(tmp_path / "b.tar.zst")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 2
    assert f"{wrong}:4: sources[0].newst" in lines[-1]
    assert f"{wrong}:3: sources[0].repository" in lines[0]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["h.example/app", "--versions", "latest"],
        ["h.example/app", "--newest", "0"],
        ["h.example/app", "--tag-regex", "("],
        ["h.example/app", "--since", "yesterday"],
        ["h.example/app", "--platform", "linux"],
        ["h.example/app", "--require", "signature", "--no-referrers"],
        ["h.example/app", "--from-timoni-bundle", "/nowhere/bundle.cue"],
        ["h.example/app", "-c", "/nowhere/export.yaml"],
    ],
)
def test_what_can_t_be_meant_is_2_before_any_request(
    options: list[str], tmp_path: Path, capsys: Output
) -> None:
    assert run(["export", *options, "-o", str(tmp_path / "b.tar.zst")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_rule_that_decided(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    source, out = f"{registry.host}/org/modules/app", str(tmp_path / "b.tar.zst")
    assert run(["export", source, "--versions", "^1", "-o", out, "--dry-run", "-q"]) == 0
    text = capsys.readouterr().out
    assert "in range '^1'" in text
    assert text.splitlines()[0].endswith("--all shows the others")
    assert run(["export", source, "--versions", "^1", "-o", out, "--dry-run", "--all", "-q"]) == 0
    every = capsys.readouterr().out
    assert len(every.splitlines()) > len(text.splitlines())
    assert "a pre-release" in every or "not in range '^1'" in every


@pytest.mark.slow
def test_a_second_run_with_a_lock_pins_what_the_first_saw(registry: MemoryRegistry, tmp_path: Path) -> None:
    command = ["export", f"{registry.host}/org/modules/app", "--lock", str(tmp_path / "lock"), "-q", "-o"]
    assert run([*command, str(tmp_path / "a.tar.zst")]) == 0
    tags = registry.repositories["org/modules/app"].tags
    tags["9.9.9"] = tags["1.0.0"]
    assert run([*command, str(tmp_path / "b.tar.zst")]) == 0
    assert run(["export", "--lock", str(tmp_path / "lock"), "-o", str(tmp_path / "c.tar.zst"), "-q"]) == 0
    bundles = {(tmp_path / f"{name}.tar.zst").read_bytes() for name in "abc"}
    assert len(bundles) == 1


def test_timoni_bundle_files_select_their_modules(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    digest = registry.repositories["org/modules/app"].tags["1.1.0"]
    file = tmp_path / "bundle.cue"
    file.write_text(f"""
bundle: {{
	apiVersion: "v1alpha1"
	name:       "stack"
	instances: {{
		app: {{
			module: {{
				url:     "oci://{registry.host}/org/modules/app"
				version: "1.1.0"
				digest:  "{digest}"
			}}
			namespace: "apps"
		}}
		db: module: url: "oci://{registry.host}/org/modules/db"
		db: module: version: "3.0.0"
		cache: module: url: string @timoni(runtime:string:CACHE_URL)
	}}
}}
""")
    out = tmp_path / "b.tar.zst"
    command = ["export", "--from-timoni-bundle", str(file), "-o", str(out)]
    assert run(command) == 8
    assert tags_in(out) == ["app:1.1.0", "db:3.0.0"]
    error = capsys.readouterr().err
    assert f"{file}:16" in error
    assert "CACHE_URL" in error
    assert run([*command, "--set", f"CACHE_URL=oci://{registry.host}/org/modules/app"]) == 0
    assert tags_in(out) == ["app:1.1.0", "app:latest", "db:3.0.0"]


def test_an_exclude_wins_over_a_named_tag_and_says_so(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    name, out = f"{registry.host}/org/modules/app", tmp_path / "b.tar.zst"
    named = [f"{name}:1.0.0", f"{name}:1.1.0", "--exclude", "1.0.*"]
    assert run(["export", *named, "-o", str(out)]) == 0
    assert tags_in(out) == ["app:1.1.0"]
    assert "1.0.0: excluded by '1.0.*', though named on the command line; left out" in capsys.readouterr().err
    assert run(["explain", *named, "--json"]) == 0
    decisions = json.loads(capsys.readouterr().out)["repositories"][0]["decisions"]
    assert [(one["tag"], one["taken"]) for one in decisions] == [("1.0.0", False), ("1.1.0", True)]


def test_an_exclude_wins_over_a_timoni_bundle(registry: MemoryRegistry, tmp_path: Path) -> None:
    module = {"url": f"oci://{registry.host}/org/modules/app", "version": "1.1.0"}
    document = {"bundle": {"apiVersion": "v1alpha1", "name": "s", "instances": {"app": {"module": module}}}}
    file, config = tmp_path / "bundle.json", tmp_path / "export.yaml"
    file.write_bytes(dumped(document))
    config.write_text("version: 1\ndefaults: {exclude: ['1.1.*']}\ntimoniBundles: [{files: [bundle.json]}]\n")
    line = ["--from-timoni-bundle", str(file), "--exclude", "1.1.*"]
    for asked in (line, ["-c", str(config)]):
        out = tmp_path / "b.tar.zst"
        assert run(["export", *asked, "-o", str(out), "-q"]) == 4
        assert run(["explain", *asked, "-q"]) == 4
        assert not out.exists()


@pytest.mark.parametrize("version", [{}, {"version": "latest"}])
def test_a_module_pinned_by_digest_alone_is_taken_untagged(
    registry: MemoryRegistry, tmp_path: Path, version: dict[str, str]
) -> None:
    tags = registry.repositories["org/modules/app"].tags
    module = {"url": f"oci://{registry.host}/org/modules/app", "digest": tags["1.0.0"], **version}
    document = {"bundle": {"apiVersion": "v1alpha1", "name": "s", "instances": {"app": {"module": module}}}}
    file, out = tmp_path / "bundle.json", tmp_path / "b.tar.zst"
    file.write_bytes(dumped(document))
    assert tags["latest"] != tags["1.0.0"]
    assert run(["export", "--from-timoni-bundle", str(file), "-o", str(out)]) == 0
    with open_bundle(out) as bundle:
        (entry,) = bundle.inventory.repositories
    assert (entry.tags, entry.untagged) == ({}, (tags["1.0.0"],))


def test_a_timoni_bundle_digest_is_checked_as_timoni_checks_it(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    digests = registry.repositories["org/modules/app"].tags
    file = tmp_path / "bundle.json"
    module = {
        "url": f"oci://{registry.host}/org/modules/app",
        "version": "1.1.0",
        "digest": digests["1.0.0"],
    }
    document = {"bundle": {"apiVersion": "v1alpha1", "name": "s", "instances": {"app": {"module": module}}}}
    file.write_bytes(dumped(document))
    assert run(["export", "--from-timoni-bundle", str(file), "-o", str(tmp_path / "b.tar.zst")]) == 6
    assert f"instead of {digests['1.0.0']}" in capsys.readouterr().err
