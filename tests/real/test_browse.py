"""`ls`, `catalog` and lists of references, between the command line and real registries."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler import open_bundle
from bundler.__main__ import run
from bundler.bundle.inventory import roots_of
from tests.builders import a_module, push_to
from tests.conftest import PASSWORD, USER
from tests.doubles import MemoryRegistry, says
from tests.registries import RealRegistry
from tests.schema_checks import valid

CREDS = f"{USER}:{PASSWORD}"


@pytest.fixture
def source(source_registry: RealRegistry, fresh: Callable[[str], str]) -> str:
    """A module with three versions in a real registry."""
    path = fresh("app")
    push_to(source_registry.base, path, a_module("1.10.0", "1.2.0", "2.0.0-rc.1"))
    return f"{source_registry.host}/{path}"


def test_tags_are_listed_in_the_order_of_versions(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ls", source]) == 0
    assert capsys.readouterr().out.split() == ["1.2.0", "1.10.0", "2.0.0-rc.1"]
    assert run(["ls", source, "--digests", "-q"]) == 0
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["TAG", "VERSION", "DIGEST", "CREATED"]
    tag, version, digest, _ = first.split()
    assert (tag, version, digest[:7]) == ("1.2.0", "1.2.0", "sha256:")


@pytest.mark.parametrize("more", [(), ("--digests",)], ids=["names", "digests"])
def test_lists_are_what_their_schemas_say(
    more: tuple[str, ...], source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ls", source, "--json", "-q", *more]) == 0
    listed = json.loads(capsys.readouterr().out)
    valid("repository-tags", listed)
    assert [tag["tag"] for tag in listed["tags"]] == ["1.2.0", "1.10.0", "2.0.0-rc.1"]
    assert all(bool(tag["digest"]) is bool(more) for tag in listed["tags"])
    host, _, path = source.partition("/")
    assert run(["catalog", host, "--json"]) == 0
    catalog = json.loads(capsys.readouterr().out)
    valid("registry-catalog", catalog)
    assert path in catalog["repositories"]
    assert run(["catalog", host]) == 0
    assert source in capsys.readouterr().out.split()


def test_a_listing_uses_the_credentials_of_an_export(
    htpasswd_registry: RealRegistry, fresh: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, host = fresh("app"), htpasswd_registry.host
    push_to(htpasswd_registry.base, path, a_module("1.0.0"), (USER, PASSWORD))
    monkeypatch.delenv("TIMONI_BUNDLER_CREDS")
    assert [run(["ls", f"{host}/{path}"]), run(["catalog", host])] == [3, 3]
    monkeypatch.setenv("TIMONI_BUNDLER_CREDS", f"{host} {CREDS}")
    assert [run(["ls", f"{host}/{path}"]), run(["catalog", host])] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("ls", "@/nowhere"), 4), (("ls", "@/app:1.0.0"), 2), (("ls", "@"), 2), (("catalog", "@/app"), 2)],
    ids=str,
)
def test_what_is_not_there_or_no_repository_is_told(
    arguments: tuple[str, str], code: int, source_registry: RealRegistry
) -> None:
    assert run([word.replace("@", source_registry.host) for word in arguments]) == code


def test_a_tag_that_fails_costs_itself_only(capsys: pytest.CaptureFixture[str]) -> None:
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as registry:
        registry.on("GET", "manifests/1.1.0", says(404))
        assert run(["ls", f"{registry.host}/app", "--digests", "-q"]) == 8
    shown = capsys.readouterr()
    assert "1.0.0" in shown.out
    assert "app:1.1.0" in shown.err


def test_a_list_from_standard_input_is_exported(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{source}:1.2.0 {source}:1.10.0\n# done\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    out = tmp_path / "b.tar.zst"
    assert run(["export", "--from-file", "-", "-o", str(out), "-q"]) == 0
    with open_bundle(out) as opened:
        assert {root.tag for root in roots_of(opened.inventory)} == {"1.2.0", "1.10.0"}


def test_lists_and_sources_add_up_and_explain_names_the_list(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text(f"{source}:1.2.0\n")
    asked = ["explain", f"{source}:1.10.0", "--from-file", str(tmp_path / "list.txt"), "-q"]
    assert run(asked) == 0
    shown = capsys.readouterr().out
    assert f"named by {tmp_path / 'list.txt'}" in shown
    assert "named on the command line" in shown


def test_standard_input_is_not_two_things(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["export", "--from-file", "-", "--creds-file", "-", "-o", str(tmp_path / "b.tar.zst")]
    assert run(asked) == 2
    assert "standard input can't be two things" in capsys.readouterr().err
    assert run(["export", "--from-file", str(tmp_path / "none"), "-o", str(tmp_path / "b.tar.zst")]) == 2
