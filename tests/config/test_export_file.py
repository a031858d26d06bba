"""Export files: what they say, and what they are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundler.config.export_file import (
    AGES,
    CHOICES,
    ConfiguredSource,
    ExportFile,
    TimoniBundle,
    merged,
    read_export_file,
)
from bundler.config.run_options import ConnectionOptions, ReachOptions
from bundler.errors import CollectedError, UsageError
from bundler.oci.platform import Platform
from bundler.oci.reference import RegistryName, RepositoryName, RepositoryPath
from bundler.selection.rules import Rules
from bundler.selection.sources import Include

DAY = 86_400
NOW = 1_800_000_000
DIGEST = "sha256:" + "0" * 64
ENVIRONMENT = {"ORG": "org", "FOLDER": "/srv", "TOKEN": "correct horse", "BAD": "Not A Name"}


def read(text: str, name: str = "export.yaml") -> ExportFile:
    """The file, with `version: 1` as its first line."""
    return read_export_file(name, f"version: 1\n{text}", environment=ENVIRONMENT, now=NOW)


def source(text: str) -> ConfiguredSource:
    """A file's only source, given as a flow mapping's inside."""
    (only,) = read(f"sources: [{{{text}}}]").sources
    return only


def told(text: str) -> list[str]:
    """The lines of what is wrong."""
    with pytest.raises(UsageError) as error:
        read(text)
    return str(error.value).splitlines()


# --- what files say -----------------------------------------------------------------------------------


def test_a_source_is_a_repository_with_rules_and_what_goes_along() -> None:
    found = source(
        'repository: "oci://ghcr.io/${ORG}/app", tags: ["6.9.0", latest], globs: ["6.*"], '
        'patterns: ["6.1.*"],'
        'versions: ">=6.10 <7", prereleases: true, newestPerMinor: 1, newestPerMajor: 2, newest: 3,'
        'createdSince: "90d", minimumAge: "72h", followLatest: true, exclude: ["*-rc*"], images: true,'
        'require: [signature, sbom], platforms: ["linux/arm/v7"]'
    )
    assert found.repository == "ghcr.io/org/app"
    assert found.rules is not None
    assert found.rules._asdict() == {
        "tags": ("6.9.0", "latest"), "globs": ("6.*",), "patterns": ("6.1.*",), "versions": ">=6.10 <7",
        "prereleases": True, "newest_per_minor": 1, "newest_per_major": 2, "newest": 3,
        "created_since": NOW - 90 * DAY, "created_until": NOW - 3 * DAY, "follow_latest": True,
        "exclude": ("*-rc*",),
    }  # fmt: skip
    platforms = (Platform("linux", "arm", "v7"),)
    required = frozenset({"signature", "sbom"})
    assert found.include == Include(images=True, require=required, platforms=platforms)
    assert source("preset: minimal, referrers: false").include == Include(referrers=False)


def test_a_source_without_rules_takes_all_tags_and_referrers() -> None:
    expected = ConfiguredSource(
        RepositoryName("h.example/app"), None, Rules(), Include(images=False, referrers=True)
    )
    assert source("repository: h.example/app") == expected


def test_defaults_are_for_what_a_source_leaves_out() -> None:
    file = read(
        "defaults: {newest: 3, images: true, exclude: [x], minimumAge: 1d}\n"
        "sources:\n"
        "- {repository: h.example/a}\n"
        "- {repository: h.example/b, newest: 1, images: false, exclude: []}\n"
        "- {repository: h.example/c, newest: null, minimumAge: ~}\n"
    )
    assert [(one.rules, one.include.images) for one in file.sources] == [
        (Rules(newest=3, exclude=("x",), created_until=NOW - DAY), True),
        (Rules(newest=1, created_until=NOW - DAY), False),
        (Rules(exclude=("x",)), True),
    ]


@pytest.mark.parametrize(
    ("more", "rules"),
    [("", None), (", images: true", None), (", newest: 2", Rules(newest=2, exclude=("x",)))],
)
def test_digests_alone_ask_for_no_tags(more: str, rules: Rules | None) -> None:
    place = f'repository: h.example/app, digests: ["{DIGEST}"]'
    (found,) = read(f"defaults: {{exclude: [x]}}\nsources: [{{{place}{more}}}]").sources
    assert (found.digests, found.rules) == ((DIGEST,), rules)


@pytest.mark.parametrize("preset", ["kubernetes-schema", "minimal"])
def test_a_preset_is_one_of_timonis_own_repositories(preset: str) -> None:
    assert source(f"preset: {preset}").repository == f"ghcr.io/stefanprodan/timoni/{preset}"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("org/modules/app", True),
        ("org/modules/a/b", True),
        ("org/modules/test-app", False),
        ("other/app", False),
    ],
)
def test_a_namespace_is_a_glob_less_what_is_excluded(path: str, meant: bool) -> None:
    found = source('namespace: "oci://ghcr.io:443/${ORG}/modules/*", excludeRepositories: ["*/test-*"]')
    assert found.repository is None
    assert found.pattern is not None
    assert found.pattern.registry == "ghcr.io:443"
    assert found.pattern.matches(RepositoryPath(path)) is meant


def test_settings_equal_options_and_paths_stand_beside_the_file() -> None:
    text = (
        "output: ${FOLDER}/m.tar.zst\nstore: s\nforce: true\nreport: r.json\njobs: 8\nlock: x.lock\n"
        "onDrift: refetch\nregistries: {plainHttp: [h:1], caFile: ca.pem, credsFile: '-', tokenHosts: [t],"
        " proxy: none}\ntimoniBundles: [{files: [bundle.cue, /b.yaml], set: {A: '${TOKEN}', B: $$5}}]\n"
    )
    file = read(text, "conf/export.yaml")
    output, lock = file.settings.output, file.settings.lock
    assert (output.out, output.store, file.settings.report.report, lock.lock) == (
        "/srv/m.tar.zst", Path("conf/s"), Path("conf/r.json"), Path("conf/x.lock"),
    )  # fmt: skip
    assert (output.force, file.settings.registries.jobs, lock.on_drift) == (True, 8, "refetch")
    assert file.settings.registries.reach == ReachOptions(
        ConnectionOptions((RegistryName("h:1"),), Path("conf/ca.pem"), (RegistryName("t"),), "none"),
        Path("-"),
    )
    files = (Path("conf/bundle.cue"), Path("/b.yaml"))
    assert file.timoni_bundles == (TimoniBundle(files, (("A", "correct horse"), ("B", "$5"))),)
    assert read("output: '-'", "conf/export.yaml").settings.output.out == "-"


def test_what_is_not_said_is_left_to_the_command_line() -> None:
    assert read("") == ExportFile("export.yaml")


# --- what is wrong ------------------------------------------------------------------------------------

WRONG = {
    # text behind `version: 1`: line and key path, cause, next step
    "sorces: []": ("2: sorces", "unknown key", "did you mean sources?"),
    "sources:\n- repository: h.example/a\n  newest_per_minor: 1":
        ("4: sources[0].newest_per_minor", "unknown key", "did you mean newestPerMinor?"),
    "sources:\n- repository: h.example/a\n  zzz: 1":
        ("4: sources[0].zzz", "unknown key", "there are tags, globs, patterns, versions"),
    "jobs: 1\njobs: 2": ("3: jobs", "twice", "remove one"),
    "jobs: 0": ("2: jobs", "at least 1", ""),
    "jobs: 129": ("2: jobs", "at most 128", ""),
    "jobs: '8'": ("2: jobs", "whole number", "write 8, without quotes"),
    "jobs: 1.5": ("2: jobs", "whole number", ""),
    "jobs: true": ("2: jobs", "whole number", ""),
    "jobs:": ("2: jobs", "nothing is there", "leave the key out"),
    "onDrift: stop": ("2: onDrift", "must be 'warn', 'fail' or 'refetch'", ""),
    "sources: ghcr.io/a/b": ("2: sources", "must be a list", 'write ["ghcr.io/a/b"]'),
    "sources:\n- ghcr.io/a/b": ("3: sources[0]", "keys and values", ""),
    "sources:\n- tags: [a]": ("3: sources[0]", "none of repository, namespace, preset", "exactly one"),
    "sources:\n- preset: minimal\n  repository: h.example/a":
        ("3: sources[0]", "repository and preset together", "exactly one"),
    "sources:\n- repository: ~": ("3: sources[0].repository", "nothing is there", "write a value"),
    "sources:\n- preset: max": ("3: sources[0].preset", "'kubernetes-schema' or 'minimal'", ""),
    "sources:\n- repository: ghcr.io/a/b:1.0":
        ("3: sources[0].repository", "a tag does not belong here", 'tags: ["1.0"]'),
    f"sources:\n- repository: ghcr.io/a/b@{DIGEST}":
        ("3: sources[0].repository", "a digest does not belong here", "digests: ["),
    "sources:\n- repository: ghcr.io/A":
        ("3: sources[0].repository", "is not a repository", "[HOST/]REPOSITORY"),
    "sources:\n- repository: ghcr.io/${NONE}/a":
        ("3: sources[0].repository", "the environment variable NONE is not set", "set NONE"),
    "sources:\n- repository: ghcr.io/$ORG/a":
        ("3: sources[0].repository", "part of ${NAME} or $$", "$$"),
    "sources:\n- namespace: ghcr.io/a": ("3: sources[0].namespace", "names one repository", "HOST/PATH/*"),
    "sources:\n- namespace: ghcr.io": ("3: sources[0].namespace", "no repository path", "HOST/PATH/*"),
    "sources:\n- namespace: '*.io/a/*'": ("3: sources[0].namespace", "is not a registry", "HOST/PATH/*"),
    "sources:\n- preset: minimal\n  excludeRepositories: [a]":
        ("4: sources[0].excludeRepositories", "only a namespace", "leave it out"),
    f"sources:\n- namespace: h.example/*\n  digests: ['{DIGEST}']":
        ("4: sources[0].digests", "one repository", "`repository`"),
    "sources:\n- preset: minimal\n  digests: ['sha256:0']":
        ("4: sources[0].digests[0]", "is not a digest", ""),
    "sources:\n- preset: minimal\n  tags:\n  - 1.0.0\n  - 1.10":
        ("6: sources[0].tags[1]", "1.10 without quotes is a number", 'write it in quotes: "1.10"'),
    "sources:\n- preset: minimal\n  tags: [no]":
        ("4: sources[0].tags[0]", "no without quotes is true or false", '"no"'),
    "sources:\n- preset: minimal\n  tags: [7]":
        ("4: sources[0].tags[0]", "7 without quotes is a number", '"7"'),
    "sources:\n- preset: minimal\n  tags: [[a]]": ("4: sources[0].tags[0]", "must be a text", ""),
    "sources:\n- preset: minimal\n  tags: [a b]": ("4: sources[0].tags[0]", "is not a tag", ""),
    "sources:\n- preset: minimal\n  globs: ['']": ("4: sources[0].globs[0]", "is empty", ""),
    "sources:\n- preset: minimal\n  globs: 6.*": ("4: sources[0].globs", "must be a list", 'write ["6.*"]'),
    "sources:\n- preset: minimal\n  patterns: ['(']": ("4: sources[0].patterns[0]", "unterminated", ""),
    "sources:\n- preset: minimal\n  versions: 1.x.y.z": ("4: sources[0].versions", "", ""),
    "sources:\n- preset: minimal\n  newest: 0": ("4: sources[0].newest", "at least 1", ""),
    "sources:\n- preset: minimal\n  prereleases: yes": ("4: sources[0].prereleases", "true or false", ""),
    "sources:\n- preset: minimal\n  createdSince: 2026-01-01":
        ("4: sources[0].createdSince", "2026-01-01 without quotes is a date", '"2026-01-01"'),
    "sources:\n- preset: minimal\n  createdSince: soon":
        ("4: sources[0].createdSince", "is not a date", ""),
    "sources:\n- preset: minimal\n  minimumAge: 3 days": ("4: sources[0].minimumAge", "is not an age", ""),
    "sources:\n- preset: minimal\n  require: [signed]":
        ("4: sources[0].require[0]", "must be 'signature'", ""),
    "sources:\n- preset: minimal\n  platforms: [amd64]":
        ("4: sources[0].platforms[0]", "is not a platform", ""),
    "defaults:\n  newest: -1\nsources: [{preset: minimal}]": ("3: defaults.newest", "at least 1", ""),
    "defaults:\n  repository: h.example/a\nsources: [{preset: minimal}]":
        ("3: defaults.repository", "unknown key", "there are tags"),
    "defaults:\n  minimumAge: 72h\ntimoniBundles:\n- files: [b]":
        ("3: defaults.minimumAge", "creation time is not asked for", "write it in each source"),
    "defaults:\n  createdSince: 90d\ntimoniBundles:\n- files: [b]":
        ("3: defaults.createdSince", "creation time is not asked for", "write it in each source"),
    "defaults:\n  newest: 1\ntimoniBundles:\n- files: [b]":
        ("3: defaults.newest", "names the versions of its modules", "leave it out"),
    "defaults:\n  newest: 1": ("2: defaults", "no sources and no Timoni Bundles", "that has the sources"),
    f"defaults:\n  minimumAge: 1d\nsources:\n- repository: h.example/a\n  digests: ['{DIGEST}']":
        ("6: sources[0].digests", "the default minimumAge asks for it", "minimumAge: null"),
    f"sources:\n- repository: h.example/a\n  createdSince: 1d\n  digests: ['{DIGEST}']":
        ("4: sources[0].createdSince", "not asked for digests", "a source of their own"),
    "sources:\n- preset: minimal\n  referrers: false\n  require: [sbom]":
        ("5: sources[0].require", "what is left out can't be required", "leave one of them out"),
    "defaults:\n  require: [sbom]\nsources:\n- preset: minimal\n  referrers: false":
        ("6: sources[0].referrers", "what is left out can't be required", "leave one of them out"),
    "timoniBundles:\n- set: {A: b}": ("3: timoniBundles[0].files", "is missing", ""),
    "timoniBundles:\n- files: []": ("3: timoniBundles[0].files", "is empty", ""),
    "timoniBundles:\n- files: ['${NONE}/b']":
        ("3: timoniBundles[0].files[0]", "the environment variable NONE is not set", "set NONE"),
    "timoniBundles:\n- files: [b]\n  set: {a-b: c}": ("4: timoniBundles[0].set.a-b", "is not a name", ""),
    "registries:\n  plainHttp: [http://h]": ("3: registries.plainHttp[0]", "is not a registry", ""),
    "registries:\n  caFile: ~/ca.pem": ("3: registries.caFile", "~ is not expanded", "whole path"),
    "output: ${NONE}.tar.zst": ("2: output", "the environment variable NONE is not set", "set NONE"),
    "store: ''": ("2: store", "is empty", ""),
    "store: \"a\\nb\"": ("2: store", "control characters", ""),
    "a b: 1\n": ("2: a b", "unknown key", ""),
    "1.5: x": ("2", "this key is not text: 1.5 without quotes", "quotes"),
    "!x jobs: 1": ("2", "YAML tags are not supported", "remove it"),
    "jobs: [": ("2", "not YAML", "indentation"),
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_line_with_place_cause_and_next_step(text: str) -> None:
    where, cause, next_step = WRONG[text]
    (line,) = told(text)
    assert line.startswith(f"export.yaml:{where}: ")
    assert cause in line
    assert next_step in line.partition("; ")[2]


def test_all_mistakes_are_told_at_once_in_the_files_order() -> None:
    lines = told(
        "jobs: 0\njobs: 1\nsources:\n- repository: ghcr.io/A\n  tags: [6.0]\n  newest: '1'\n"
        "- tags: [1.10]\n  versions: '>>1'\n- preset: minimal\n  digest: [x]\n"
    )
    assert [re.findall(r"^export.yaml:(\d+): ([^:]*):", line)[0] for line in lines] == [
        ("2", "jobs"), ("3", "jobs"), ("5", "sources[0].repository"), ("6", "sources[0].tags[0]"),
        ("7", "sources[0].newest"), ("8", "sources[1]"), ("8", "sources[1].tags[0]"),
        ("9", "sources[1].versions"), ("11", "sources[2].digest"),
    ]  # fmt: skip


def test_of_many_errors_ten_are_told() -> None:
    lines = told("".join(f"wrong{number}: 1\n" for number in range(30)))
    assert len(lines) == 11
    assert lines[-1] == "export.yaml: and 20 more; correct these first"


@pytest.mark.parametrize("version", ["'1'", "1.0", "true", "0", "one", "[1]", "null"])
def test_a_version_is_the_number_1(version: str) -> None:
    with pytest.raises(UsageError, match=r"^x:1: version: "):
        read_export_file("x", f"version: {version}\n", environment={}, now=0)
    with pytest.raises(UsageError, match=r"^x:1: version: is missing"):
        read_export_file("x", "jobs: 1\n", environment={}, now=0)


def test_a_newer_version_is_the_only_thing_that_is_said() -> None:
    with pytest.raises(UsageError) as error:
        read_export_file("x", "version: 2\nnews: 1\n", environment={}, now=0)
    assert (
        str(error.value) == "x:1: version: 2; this program reads version 1 only; use a newer timoni-bundler"
    )


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{repository: 'ghcr.io/${BAD}/a'}]",
        "sources: [{namespace: '${BAD}/*'}]",
        "store: ~${BAD}",
        "timoniBundles: [{files: [b], set: {A: 20261123}}]",
        "timoniBundles: [{files: [b], set: {A: 2026.1123}}]",
        "timoniBundles: [{files: [b], set: {A: 'x20261123$'}}]",
    ],
)
def test_values_of_the_environment_and_of_set_are_not_shown(text: str) -> None:
    lines = "\n".join(told(text))
    assert "Not A Name" not in lines
    assert "1123" not in lines


@pytest.mark.parametrize("key", sorted({*CHOICES, *AGES}))
def test_no_default_is_unheard_beside_timoni_bundles_alone(key: str) -> None:
    value = {"tags": "[a]", "globs": "[a]", "patterns": "[a]", "versions": "'1'", "prereleases": "true",
             "followLatest": "true", "minimumAge": "3d", "createdSince": "3d"}.get(key, "1")  # fmt: skip
    (line,) = told(f"defaults:\n  {key}: {value}\ntimoniBundles:\n- files: [b]")
    assert line.startswith(f"export.yaml:3: defaults.{key}: a Timoni Bundle names ")
    file = read(
        f"defaults:\n  {key}: {value}\nsources:\n- preset: minimal\n"
        + ("" if key in AGES else "timoniBundles:\n- files: [b]")
    )
    assert file.sources[0].rules != Rules()


# --- several files ------------------------------------------------------------------------------------


def test_several_files_follow_each_other_with_their_settings() -> None:
    site = read("registries: {plainHttp: [a, b], caFile: /ca.pem}\njobs: 8\n", "site.yaml")
    first = read("sources: [{preset: minimal}]\nregistries: {plainHttp: [b, c]}\njobs: 8\n", "first.yaml")
    second = read(
        "sources: [{repository: h.example/a}]\nlock: /l\ntimoniBundles: [{files: [/b]}]\n", "2.yaml"
    )
    found = merged([site, first, second])
    assert found.sources == (*first.sources, *second.sources)
    assert found.timoni_bundles == second.timoni_bundles
    hosts = tuple(map(RegistryName, "abc"))
    assert found.settings.registries.reach.connection == ConnectionOptions(hosts, Path("/ca.pem"))
    settings = found.settings
    assert (settings.registries.jobs, settings.lock.lock, settings.output.out) == (8, Path("/l"), None)


def test_one_file_is_itself_and_none_says_nothing() -> None:
    only = read("sources: [{preset: minimal}]\nforce: false\n")
    assert merged([only]) == only
    assert merged([]) == ExportFile("")


def test_settings_on_which_two_files_differ_name_both_files() -> None:
    files = [
        read("jobs: 1\nforce: false\nregistries: {caFile: /x}", "a.yaml"),
        read("jobs: 2\nforce: true\nregistries: {caFile: /y}", "b.yaml"),
    ]
    with pytest.raises(CollectedError) as error:
        merged(files)
    assert str(error.value).splitlines() == [
        "b.yaml: force: true, but a.yaml says false; set it in only one of them",
        "b.yaml: jobs: 2, but a.yaml says 1; set it in only one of them",
        "b.yaml: registries.caFile: /y, but a.yaml says /x; set it in only one of them",
    ]


def test_a_relative_path_in_two_folders_is_two_paths() -> None:
    with pytest.raises(UsageError, match=r"output: b/m.tar, but a/e.yaml says a/m.tar"):
        merged([read("output: m.tar", "a/e.yaml"), read("output: m.tar", "b/e.yaml")])


@pytest.mark.parametrize(
    ("images", "include"),
    [
        ("true", Include(images=True)),
        ("false", Include()),
        ("null", Include()),
        ("{}", Include(images=True)),
        (
            "{exclude: ['*/redis:*'], optional: ['*/test*'], minimumAge: 7d}",
            Include(
                images=True,
                exclude_images=("*/redis:*",),
                optional_images=("*/test*",),
                image_min_age=7 * 86400,
            ),
        ),
    ],
)
def test_images_are_included_with_rules_or_without(images: str, include: Include) -> None:
    """A source's own key replaces the default as a whole."""
    content = f"defaults: {{images: {{optional: [x]}}}}\nsources: [{{preset: minimal, images: {images}}}]"
    assert read(content).sources[0].include == include._replace(referrers=True)
    (alone,) = read(f"defaults: {{images: {images}}}\nsources: [{{preset: minimal}}]").sources
    assert alone.include == include._replace(referrers=True)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("1", "images: must be true, false, or rules"),
        ("[a]", "images: must be true, false, or rules"),
        ("{exclud: [a]}", "images.exclud: unknown key; did you mean exclude?"),
        ("{optional: a}", "images.optional: must be a list"),
        ("{exclude: []}", "images.exclude: is empty"),
        ("{minimumAge: soon}", "images.minimumAge: "),
    ],
)
def test_rules_for_images_that_say_nothing_are_refused(images: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read(f"sources: [{{preset: minimal, images: {images}}}]")
    assert words in str(error.value)
