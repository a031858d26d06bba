"""The examples of docs/choosing-tags.md, as options and as keys of an export file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.config.option import values_in
from bundler.config.selection_options import SourceTagOptions, TagOptions
from tests.builders import a_module
from tests.doubles import MemoryRegistry

PAGE = (Path(__file__).parents[2] / "docs" / "choosing-tags.md").read_text()
TAGS = re.findall(r"^    (6\.12\.0 .*)$", PAGE, re.MULTILINE)[0].split()
EXAMPLES = re.findall(
    r"^\| (?:`(.*)` )?\| (?:`(.*)` )?\| `(.*)` \|$", PAGE.partition("## How the rules")[0], re.MULTILINE
)
BESIDE = PAGE.partition("## Command line and file together")[2].partition("\n## ")[0]
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def registry() -> Iterator[MemoryRegistry]:
    """The repository of the page."""
    content = a_module(*(tag for tag in TAGS if "." in tag))
    content.tags |= {"edge": content.tags["6.12.0"], "latest": content.tags["6.14.1"]}
    with MemoryRegistry({"podinfo": content}) as server:
        yield server


def taken(arguments: list[str], capsys: Output) -> set[str]:
    """The tags that `explain` says are taken."""
    assert run(["explain", "--json", *arguments]) == 0
    repositories = json.loads(capsys.readouterr().out)["repositories"]
    return {decision["tag"] for entry in repositories for decision in entry["decisions"] if decision["taken"]}


@pytest.mark.parametrize(("options", "tags"), [(options, tags) for options, _, tags in EXAMPLES])
def test_options_take_what_the_page_says(
    options: str, tags: str, registry: MemoryRegistry, capsys: Output
) -> None:
    arguments = shlex.split(options if "podinfo" in options else f"podinfo {options}")
    sources = [re.sub("^podinfo", f"{registry.host}/podinfo", argument) for argument in arguments]
    assert taken(sources, capsys) == set(tags.split())


@pytest.mark.parametrize(("keys", "tags"), [(keys, tags) for _, keys, tags in EXAMPLES])
def test_keys_take_what_the_page_says(
    keys: str, tags: str, registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    inner = keys.removeprefix("{").removesuffix("}")
    source = f"{{repository: {registry.host}/podinfo, {inner}}}"
    (tmp_path / "export.yaml").write_text(f"version: 1\nsources:\n  - {source}\n")
    assert taken(["-c", str(tmp_path / "export.yaml")], capsys) == set(tags.split())


@pytest.mark.parametrize(
    ("options", "tags"), re.findall(r"^\| (?:`(--.*)` )?\| `([0-9].*|edge)` \|$", BESIDE, re.MULTILINE)
)
def test_options_beside_a_file_take_what_the_page_says(
    options: str, tags: str, registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    (file,) = re.findall("```yaml\n(.*?)```", BESIDE, re.DOTALL)
    (tmp_path / "export.yaml").write_text(file.replace("podinfo", f"{registry.host}/podinfo"))
    arguments = ["-c", str(tmp_path / "export.yaml"), *shlex.split(options)]
    assert taken(arguments, capsys) == set(tags.split())


def test_every_rule_that_needs_no_times_has_an_example() -> None:
    shown = {name for _, keys, _ in EXAMPLES for name in re.findall(r"(\w+):", keys)}
    keys = {key for group in (TagOptions(), SourceTagOptions()) for key, _, _ in values_in(group)}
    assert keys - shown == {"createdSince", "minimumAge"}
