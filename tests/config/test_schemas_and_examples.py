"""Examples are read; the schemas accept and refuse what the readers do; any text ends in a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.config.export_file import ExportFile, read_export_file
from bundler.config.import_file import ImportFile, read_import_file
from bundler.config.policy_file import read_policy_file
from bundler.config.yaml_document import read_document
from bundler.errors import UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.trust.policy import Policy

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "NIGHT": "2026-11-23",
    "HOME": "/home/carrier",
    "ORGANISATION": "org",
    "STORE": "/srv/store",
    "CLUSTER": "blue",
    "CONFIG": "/etc/timoni-bundler",
}
EXAMPLES = {path.name: path.read_text() for path in sorted((ROOT / "examples").glob("*.yaml"))}
EXPORT = [name for name in EXAMPLES if name.startswith("export")]
IMPORT = [name for name in EXAMPLES if name.startswith("import")]


def kind(name: str) -> str:
    """`export`, `import` or `policy`."""
    return name[:6]


def read(name: str, text: str) -> ExportFile | ImportFile | Policy:
    """A file of any kind, by its name."""
    if kind(name) == "policy":
        return read_policy_file(name, text, ENVIRONMENT)
    if kind(name) == "import":
        return read_import_file(name, text, ENVIRONMENT)
    return read_export_file(name, text, environment=ENVIRONMENT, now=1_800_000_000)


def reader_takes(name: str, text: str) -> bool:
    """Whether the program reads it."""
    try:
        read(name, text)
    except UsageError:
        return False
    return True


def schema_takes(name: str, text: str) -> bool:
    """Whether the published schema accepts what stands in it."""
    schema = json.loads((ROOT / "schemas" / f"{kind(name)}-file.schema.json").read_text())
    return jsonschema.Draft202012Validator(schema).is_valid(read_document(text, DEFAULT_LIMITS).content)


def test_every_example_is_of_some_kind() -> None:
    assert {*EXPORT, *IMPORT, "policy.yaml"} == set(EXAMPLES)
    assert len(EXPORT) >= 3
    assert len(IMPORT) >= 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_read_and_is_what_the_schema_says(name: str) -> None:
    assert read(name, EXAMPLES[name])
    assert schema_takes(name, EXAMPLES[name])


DAMAGES: dict[str, Callable[[str], str]] = {
    "another version": lambda text: text.replace("version: 1", "version: 2"),
    "a version in quotes": lambda text: text.replace("version: 1", 'version: "1"'),
    "no version": lambda text: text.replace("version: 1\n", ""),
    "an unknown key": lambda text: f"{text}colour: red\n",
    "an unknown key below": lambda text: re.sub(
        "(?m)^  - (?=[a-z]+:)|^  (?=versions)", lambda found: f"{found[0]}hue: x\n{' ' * len(found[0])}", text
    ),
    "a number for a text": lambda text: re.sub(r"(?m)^((?:output|to|sources): ).*", r"\1 1.5", text),
    "a date for a text": lambda text: re.sub(r"(?m)^((?:output|to|sources): ).*", r"\1 2026-01-01", text),
    "a text for a list": lambda text: re.sub(r"(?ms)^(sources|mapping|select|limits):.*", r"\1: all", text),
    "a text for an object": lambda text: re.sub(
        rf"(?ms)^({'limits' if 'limits:' in text else 'sources|mapping|select'}):.*", r"\1: [all]", text
    ),
    "an empty value": lambda text: re.sub(r"(?m)^((?:output|to|sources):).*", r"\1", text),
    "nothing": lambda text: "~",
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_schema_refuses_what_the_reader_refuses(name: str, damage: str) -> None:
    text = DAMAGES[damage](EXAMPLES[name])
    assert text != EXAMPLES[name]
    assert not reader_takes(name, text)
    assert not schema_takes(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("export", "version: 1"),
        ("export", "version: 1\nsources: null\njobs: null"),
        ("export", "version: 1\nsources: []"),
        ("export", "version: 1\nsources: [{}]"),
        ("export", "version: 1\nsources: [{preset: minimal, newest: null}]"),
        ("export", "version: 1\nsources: [{preset: null}]"),
        ("export", "version: 1\nsources: [{preset: minimal, repository: null}]"),
        ("export", "version: 1\nsources: [{preset: minimal, newest: 0}]"),
        ("export", "version: 1\nsources: [{preset: minimal, tags: ['a b']}]"),
        ("export", "version: 1\njobs: 129"),
        ("export", "version: 1\ntimoniBundles: [{files: []}]"),
        ("export", "version: 1\ntimoniBundles: [{files: [a], set: {a-b: x}}]"),
        ("export", "version: true"),
        ("import", "version: 1\nmapping: [{to: x}]"),
        ("import", "version: 1\nmapping: [{registry: a, prefix: null, to: x}]"),
        ("import", "version: 1\nmapping: [{registry: 'a b', to: x}]"),
        ("import", "version: 1\nselect: {followLatest: true}"),
    ],
)
def test_the_schema_and_the_reader_agree(name: str, text: str) -> None:
    assert schema_takes(name, text) is reader_takes(name, text)


# --- whatever the text is -----------------------------------------------------------------------------

WORDS = sorted({word for text in EXAMPLES.values() for word in re.findall(r"[\w./:*$]+", text)})
pieces = st.sampled_from(
    [*WORDS, ": ", "\n", "\n  ", "- ", "\n- ", "[", "]", "{", "}", '"', "'", "&a ", "*a", "${"]
)
texts = st.text() | st.lists(pieces).map(lambda parts: "version: 1\n" + "".join(parts))
scalars = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers() | st.text(max_size=5)
documents = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS), below, max_size=4),
    max_leaves=20,
)  # fmt: skip


def check_what_is_said(name: str, text: str) -> None:
    """It is read, or refused by lines that can be shown and lead into the file."""
    try:
        read(name, text)
    except UsageError as error:
        for line in str(error).splitlines():
            found = re.match(rf"{name}(?::(\d+))?: .", line)
            assert found, line
            assert line.isprintable()
            assert int(found[1] or 1) <= len(text.splitlines()) + 1


@given(texts)
def test_any_text_is_read_or_is_a_usage_error(text: str) -> None:
    check_what_is_said("export.yaml", text)
    check_what_is_said("import.yaml", text)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(WORDS), documents, max_size=6))
def test_any_document_is_read_or_is_a_usage_error(content: dict[str, Any]) -> None:
    text = json.dumps({"version": 1, **content})
    check_what_is_said("export.yaml", text)
    check_what_is_said("import.yaml", text)
