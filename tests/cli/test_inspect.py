"""The table of `inspect`, wide and narrow."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler import describe, open_bundle
from bundler.bundle.contents import Contents
from bundler.cli.terminal.bundle_text import contents_text
from tests.builders import a_bundle, a_module


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    """Of a bundle with two versions."""
    versions = a_module("1.2.0", "1.10.0-rc.1")
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": versions})) as opened:
        return describe(opened)


def test_without_a_terminal_all_is_told(contents: Contents) -> None:
    title, header, first, second = contents_text(contents, 0).splitlines()[:4]
    assert title.startswith("h.example/app  (2 tags, ")
    assert header.split() == ["TAG", "VERSION", "DIGEST", "CREATED", "SIZE", "OWN"]
    assert (first.split()[0], second.split()[0]) == ("1.2.0", "1.10.0-rc.1")


@pytest.mark.parametrize("width", [80, 70, 60, 50])
def test_no_line_of_the_table_is_wider_than_the_terminal(width: int, contents: Contents) -> None:
    table = contents_text(contents, 0, width).splitlines()[1:4]
    assert max(map(len, table)) <= width
    assert [line.split()[0] for line in table] == ["TAG", "1.2.0", "1.10.0-rc.1"]


def test_the_narrowest_terminal_shows_tag_digest_and_size(contents: Contents) -> None:
    assert contents_text(contents, 0, 1).splitlines()[1].split() == ["TAG", "DIGEST", "SIZE"]
