"""Import files: what they say, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.config.import_file import ConfiguredPart, ImportFile, read_import_file
from bundler.config.import_options import TargetOptions
from bundler.errors import UsageError
from bundler.mapping import Mapping, MappingRule, Match
from bundler.oci.reference import RegistryName, parse_prefix
from bundler.selection.rules import Rules


def read(text: str) -> ImportFile:
    """The file, with `version: 1` as its first line."""
    return read_import_file("conf/import.yaml", f"version: 1\n{text}")


def test_a_file_says_where_to_under_which_names_and_which_part() -> None:
    file = read(
        "to: oci://r.local:5000/mirror\n"
        "mapping:\n"
        "- {repository: oci://ghcr.io/a/b, to: team/b}\n"
        "- {prefix: ghcr.io/a/, to: up/}\n"
        "- {pattern: '[^/]+/(.*)', to: 'x/\\1'}\n"
        "- {registry: docker.io, to: ''}\n"
        "flatten: 3\nallow: ['mirror/*']\nonConflict: skip\nimageMap: images.txt\n"
        "select: {repositories: ['*/b'], globs: ['6.*'], newest: 2}\n"
    )
    rules = (
        MappingRule(Match.REPOSITORY, "ghcr.io/a/b", "team/b"),
        MappingRule(Match.PREFIX, "ghcr.io/a", "up/"),
        MappingRule(Match.PATTERN, "[^/]+/(.*)", r"x/\1"),
        MappingRule(Match.PREFIX, "docker.io", ""),
    )
    assert file == ImportFile(
        name="conf/import.yaml",
        mapping=Mapping(rules, 3, ("mirror/*",)),
        select=ConfiguredPart(("*/b",), Rules(globs=("6.*",), newest=2)),
        settings=file.settings,
        given=frozenset({"to", "onConflict", "imageMap"}),
    )
    assert file.settings.target == TargetOptions(parse_prefix("r.local:5000/mirror"), "skip")
    assert file.settings.names.image_map == Path("conf/images.txt")
    assert file.settings.target.to is not None
    assert isinstance(file.settings.target.to.registry, RegistryName)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("repository: docker.io/nginx", "docker.io/library/nginx"),
        ("repository: oci://index.docker.io/nginx", "docker.io/library/nginx"),
        ("repository: stefanprodan/modules/podinfo", "ghcr.io/stefanprodan/modules/podinfo"),
        ("prefix: stefanprodan/modules/", "ghcr.io/stefanprodan/modules"),
        ("prefix: stefanprodan/", "ghcr.io/stefanprodan"),
        ("prefix: docker.io/", "docker.io"),
        ("prefix: localhost/a/", "localhost/a"),
    ],
)
def test_a_mapping_means_what_the_same_reference_means(rule: str, source: str) -> None:
    mapped = read(f"mapping: [{{{rule}, to: new}}]").mapping
    assert [entry.source for entry in mapped.rules] == [source]


def test_what_is_not_said_is_left_to_the_command_line() -> None:
    assert read("") == ImportFile("conf/import.yaml")


WRONG = {
    # text behind `version: 1`: line and key path, cause, next step
    "too: x": ("2: too", "unknown key", "did you mean to?"),
    "to: https://r.local/x": ("2: to", "https:// can't be used here", "oci://HOST[/PREFIX]"),
    "to: oci://r.local/Up": ("2: to", "is not a repository", "oci://HOST[/PREFIX]"),
    "flatten: 0": ("2: flatten", "at least 1", ""),
    "allow: mirror": ("2: allow", "must be a list", 'write ["mirror"]'),
    "onConflict: move": ("2: onConflict", "must be 'fail', 'skip' or 'overwrite'", ""),
    "mapping: {a: b}": ("2: mapping", "must be a list", ""),
    "mapping:\n- to: x": ("3: mapping[0]", "none of repository, prefix, pattern, registry", "exactly one"),
    "mapping:\n- {registry: a, prefix: b, to: x}": ("3: mapping[0]", "prefix and registry together", "one"),
    "mapping:\n- {registry: null, to: x}": ("3: mapping[0].registry", "nothing is there", "a value"),
    "mapping:\n- registry: a": ("3: mapping[0].to", "is missing", ""),
    "mapping:\n- registry: a\n  to: 1.10": ("4: mapping[0].to", "1.10 without quotes is a number", '"1.10"'),
    "mapping:\n- registry: a/b\n  to: x": ("3: mapping[0].registry", "is not a registry", ""),
    "mapping:\n- repository: h.example\n  to: x": ("3: mapping[0].repository", "is not a repository", ""),
    "mapping:\n- repository: a/b:1\n  to: x": ("3: mapping[0].repository", "is not a repository", ""),
    "mapping:\n- prefix: a/B\n  to: x": ("3: mapping[0].prefix", "is not a repository", "HOST/PATH/"),
    "mapping:\n- prefix: ''\n  to: x": ("3: mapping[0].prefix", "is not a registry", "HOST/PATH/"),
    "mapping:\n- prefix: a\n  to: /x": ("4: mapping[0].to", "is not a repository", "below the target"),
    "mapping:\n- repository: a/b\n  to: ''": ("4: mapping[0].to", "is not a repository", "below the target"),
    "mapping:\n- repository: a/b\n  to: x/": ("4: mapping[0].to", "is not a repository", "below the target"),
    "mapping:\n- to: x\n  pattern: (": ("4: mapping[0].pattern", "is not valid", "syntax of RE2"),
    "mapping:\n- pattern: (a)\n  to: \\2": (
        "3: mapping[0].pattern",
        "invalid group reference",
        "syntax of RE2",
    ),
    "select:\n  newst: 1": ("3: select.newst", "unknown key", "did you mean newest?"),
    "select:\n  createdSince: 90d": ("3: select.createdSince", "unknown key", "there are tags"),
    "select:\n  tags: [6.0]": ("3: select.tags[0]", "6.0 without quotes is a number", '"6.0"'),
    "imageMap: ${X}": ("2: imageMap", "the environment variable X is not set", "set X"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_line_with_place_cause_and_next_step(text: str) -> None:
    where, cause, next_step = WRONG[text]
    with pytest.raises(UsageError) as error:
        read(text)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"conf/import.yaml:{where}: ")
    assert cause in line
    assert next_step in line.partition("; ")[2]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as error:
        read("flatten: 0\nmapping:\n- {pattern: '(', to: x}\n- {registry: a, to: X}\n- {to: x}\n")
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "flatten", "mapping[0].pattern", "mapping[1].to", "mapping[2]",
    ]  # fmt: skip
