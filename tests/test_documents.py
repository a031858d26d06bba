"""What the documents show, run as it stands, but between registries of this machine."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from bundler.cli.main import program
from bundler.errors import BundlerError
from bundler.server.listener import RegistryServer
from bundler.server.served_content import read_only
from bundler.server.writable import writable
from bundler.session import Session
from tests.builders import a_bundle, a_module
from tests.documents import DOCS, PAGES, ROOT, commands, program_calls

SHOWN = [(page.name, call) for page in PAGES for call in program_calls(page.read_text())]


@contextmanager
def outside_and_inside(folder: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a registry with podinfo, and of an empty one that can be written to."""
    versions = ("6.9.0", "6.10.0", "6.14.0", "6.14.1")
    made = a_bundle(folder / "made.tar.zst", {"h.example/podinfo": a_module(*versions)})
    with (
        read_only(made, Session()) as content,
        RegistryServer(content) as outside,
        writable(folder / "registry", Session()) as place,
        RegistryServer(place) as inside,
    ):
        yield outside.address, inside.address


def between(text: str, addresses: tuple[str, str]) -> str:
    """The text with the documented registries replaced by those of this machine."""
    outside, inside = addresses
    return text.replace("ghcr.io/stefanprodan/modules", outside).replace("registry.internal:5000", inside)


@pytest.mark.slow
def test_the_python_of_the_page_carries_a_module_across(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "python-api.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    with outside_and_inside(tmp_path) as addresses:
        names: dict[str, object] = {}
        exec(between(code, addresses), names)
    tags = [tag.status for entry in names["report"].repositories for tag in entry.tags]  # type: ignore[attr-defined]
    assert tags == ["pushed"] * 3
    assert (tmp_path / "podinfo.tar.zst").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "getting-started.md"])
def test_the_first_steps_lead_to_a_module_inside(name: str, tmp_path: Path) -> None:
    (page,) = (page for page in PAGES if page.name == name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "XDG_STATE_HOME": str(tmp_path / "state")}
    shown = [line for line in commands(page.read_text()) if line.startswith("timoni-bundler ")]
    assert any(line.startswith("timoni-bundler import ") for line in shown)
    with outside_and_inside(tmp_path) as addresses:
        for line in shown:
            ended = subprocess.run(
                ["sh", "-c", between(line, addresses)], cwd=tmp_path, env=environment,
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            assert ended.returncode == 0, (line, ended.stderr)
    assert (tmp_path / "podinfo.tar.zst").is_file()


@pytest.mark.parametrize(("page", "call"), SHOWN, ids=lambda value: str(value)[:60])
def test_every_command_that_is_shown_can_be_parsed(page: str, call: list[str]) -> None:
    command: click.Command = program
    arguments = list(call)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, page
        command, arguments = found, arguments[1:]
    command.make_context(call[0], arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_heading_that_is_linked_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text())
    lost = [link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)]
    assert lost == []


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_readme_fits_two_screens() -> None:
    assert PAGES[0].read_text().count("\n") <= 95


def test_every_exit_code_says_what_to_do() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    sections = re.split(r"^## Exit code ", page, flags=re.MULTILINE)[1:]
    codes = {kind.exit_code for kind in BundlerError.__subclasses__()} | {1, 8}
    assert {section.partition(":")[0] for section in sections} == {*map(str, codes), "128+N"}
    assert [section for section in sections if "\n**What to do:** " not in section] == []


@pytest.mark.slow
def test_every_message_of_troubleshooting_is_one_of_the_program() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    messages = re.findall(r"^\| `([^|]*)` \|", page, re.MULTILINE)
    parts = [part.strip(" ;:,.()") for message in messages for part in message.split("…")]
    known = texts()
    assert len(messages) > 40
    assert [part for part in parts if part and part not in known] == []


def texts() -> str:
    """All texts of the package but its docstrings, a line for each."""
    trees = (ast.parse(path.read_text()) for path in (ROOT / "bundler").rglob("*.py"))
    nodes = [node for tree in trees for node in ast.walk(tree)]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return "\n".join(
        node.value.replace("`", "")
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    )


def test_every_module_that_contributing_names_is_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = page.partition("## Where would I go")[2].partition("## Rules")[0]
    named = re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", rows)
    assert len(named) > 15
    homes = (ROOT, ROOT / "bundler")
    assert [name for name in named if not any((home / name).exists() for home in homes)] == []


@pytest.mark.parametrize(
    ("name", "page"), [("export", "exporting"), ("import", "importing"), ("policy", "policy")]
)
def test_every_key_of_a_file_is_on_its_page(name: str, page: str) -> None:
    schema = json.loads((ROOT / "schemas" / f"{name}-file.schema.json").read_text())
    text = (DOCS / f"{page}.md").read_text() + (DOCS / "choosing-tags.md").read_text()
    assert sorted(key for key in keys_of(schema) if f"`{key}`" not in text and f"{key}:" not in text) == []


def keys_of(schema: object) -> Iterator[str]:
    """All names of properties in a schema."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, dict) else ()
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for child in children:
        yield from keys_of(child)


@pytest.mark.parametrize("folder", ["bundler", "examples", "schemas", "tests", "tools"])
def test_every_page_that_a_file_names_is_there(folder: str) -> None:
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    texts = [path.read_text() for path in paths if path.suffix in (".py", ".sh", ".yaml", ".json")]
    named = re.findall(r"(?<!fulcio, )\bdocs/[\w/.-]+\.md\b", "\n".join(texts))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
