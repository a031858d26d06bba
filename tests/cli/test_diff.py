"""What changed from one bundle to another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.oci.manifest import REVISION
from tests.builders import a_bundle, a_module, add_version, an_artifact
from tests.doubles import MemoryRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[str, str]:
    """Sunday's and Monday's: one version more, one less, `latest` moved, a new repository."""
    sunday, monday = a_module("1.0.0", "1.1.0"), a_module("1.1.0", "1.2.0")
    sunday.tags["latest"], monday.tags["latest"] = sunday.tags["1.1.0"], monday.tags["1.2.0"]
    old = {"h.example/app": sunday}
    new = {"h.example/app": monday, "h.example/db": a_module("3.0.0", name="db")}
    return (
        str(a_bundle(tmp_path / "sunday.tar.zst", old)),
        str(a_bundle(tmp_path / "monday.tar.zst", new)),
    )


def test_added_removed_and_moved_tags_are_told(bundles: tuple[str, str], capsys: Output) -> None:
    assert run(["diff", *bundles]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" sha256:")[0].rstrip() for line in lines[:-1]] == [
        "h.example/app",
        "  - 1.0.0",
        "  + 1.2.0",
        "  ~ latest  1.1.0",
        "h.example/db",
        "  + 3.0.0",
    ]
    assert " -> 1.2.0 sha256:" in lines[3]
    assert lines[-1].startswith("2 added, 1 removed, 1 moved, 1 unchanged; 7 blobs added")


def test_git_revisions_are_told_where_they_are_known(tmp_path: Path, capsys: Output) -> None:
    old, new = (an_artifact(annotations={REVISION: text}) for text in ("1a2b", "3c4d"))
    made = [
        str(a_bundle(tmp_path / f"{n}.tar.zst", {"h.example/app": of})) for n, of in enumerate((old, new))
    ]
    assert run(["diff", *made]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("  revision 1a2b -> 3c4d")


def test_the_json_is_what_its_schema_says(bundles: tuple[str, str], capsys: Output) -> None:
    assert run(["diff", *bundles, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    valid("difference", found)
    assert (found["unchanged"], found["addedBlobs"], found["removedBlobs"]) == (1, 7, 3)


def test_a_change_note_is_a_table(bundles: tuple[str, str], capsys: Output) -> None:
    assert run(["diff", *bundles, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "|---|---|---|---|---|"
    assert {line.count(" | ") for line in lines[2:6]} == {4}
    assert lines[4].startswith("| moved | h.example/app | latest | 1.1.0 sha256:")


def test_a_delta_tells_gone_from_no_longer_selected(tmp_path: Path, capsys: Output) -> None:
    source, base, delta = a_module("1.0.0", "1.1.0"), str(tmp_path / "f.tar.zst"), str(tmp_path / "d.tar.zst")
    with MemoryRegistry({"app": source}) as registry:
        line = ["export", f"{registry.host}/app", "-q"]
        assert run([*line, "-o", base]) == 0
        del source.tags["1.0.0"]
        add_version(source, "2.0.0")
        assert run([*line, "-o", delta, "--base", base, "--newest", "1"]) == 0
    capsys.readouterr()
    assert run(["diff", base, delta]) == 0
    _, first, second, _, sums = capsys.readouterr().out.splitlines()
    assert (first.split()[1], second.split()[1]) == ("1.0.0", "1.1.0")
    assert first.endswith("  gone at the source")
    assert second.endswith("  no longer selected")
    assert "2 removed (1 gone at the source, 1 no longer selected)" in sums
    assert run(["diff", base, delta, "--markdown"]) == 0
    assert "| gone at the source | " in capsys.readouterr().out
    assert run(["diff", base, delta, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    valid("difference", found)
    assert [change.get("departure") for change in found["repositories"][0]["changes"]] == [
        "gone at the source",
        "no longer selected",
        None,
    ]


def test_a_bundle_does_not_differ_from_itself(bundles: tuple[str, str], capsys: Output) -> None:
    assert run(["diff", bundles[0], bundles[0]]) == 0
    assert capsys.readouterr().out.startswith("0 added, 0 removed, 0 moved, 3 unchanged; 0 blobs added")


def test_what_is_no_bundle_is_told_by_its_code(bundles: tuple[str, str], tmp_path: Path) -> None:
    assert run(["diff", bundles[0], str(tmp_path / "nowhere.tar.zst")]) == 4
