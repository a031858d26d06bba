"""A registry straight off a bundle file or a directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import ContentError, UsageError
from bundler.server.served_content import read_only
from bundler.session import Session
from tests.builders import SHAPES, a_bundle, a_module, an_index, members_of
from tests.server.client import Client, served, tag_digest, writable_registry

SOURCE = "ghcr.io/team/app"


def unpacked(path: Path) -> Path:
    """The same bundle as a directory."""
    for name, data in members_of({SOURCE: a_module("1.0.0", "1.1.0")}):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def assert_serves_the_module(client: Client) -> None:
    content = a_module("1.0.0", "1.1.0")
    assert client.get("/v2/team/app/tags/list").json()["tags"] == ["1.0.0", "1.1.0"]
    for tag, digest in content.tags.items():
        assert client.get(f"/v2/team/app/manifests/{tag}").content == content.manifests[digest][1]
    for digest, data in content.blobs.items():
        assert client.get(f"/v2/team/app/blobs/{digest}").content == data


def test_a_bundle_file_is_a_registry(bundle: Path) -> None:
    with read_only(bundle, Session()) as content, served(content) as client:
        assert_serves_the_module(client)


def test_an_unpacked_bundle_is_a_registry(tmp_path: Path) -> None:
    with read_only(unpacked(tmp_path), Session()) as content, served(content) as client:
        assert_serves_the_module(client)


@pytest.mark.slow
def test_what_was_pushed_can_be_served_read_only(tmp_path: Path) -> None:
    with writable_registry(tmp_path) as client:
        client.push("team/app", a_module("1.0.0", "1.1.0"))
    with read_only(tmp_path, Session()) as content, served(content) as client:
        assert_serves_the_module(client)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/team/app/blobs/uploads/"),
        ("PUT", "/v2/team/app/manifests/1.0.0"),
        ("PATCH", "/v2/team/app/blobs/uploads/session"),
        ("PUT", "/v2/team/app/blobs/uploads/session"),
    ],
)
def test_pushing_to_a_bundle_is_405(bundle: Path, method: str, path: str) -> None:
    with read_only(bundle, Session()) as content, served(content) as client:
        assert client.error(client.request(method, path, data=b"x" * 100_000)) == (405, "UNSUPPORTED")


def test_the_children_of_an_index_are_served(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "index.tar.zst", {SOURCE: an_index(of=2)})
    with read_only(path, Session()) as content, served(content) as client:
        for digest, (_, data) in an_index(of=2).manifests.items():
            assert client.get(f"/v2/team/app/manifests/{digest}").content == data


def test_a_blob_is_not_given_under_an_unknown_repository(bundle: Path) -> None:
    digest = next(iter(a_module("1.0.0", "1.1.0").blobs))
    with read_only(bundle, Session()) as content, served(content) as client:
        assert client.error(client.get(f"/v2/team/other/blobs/{digest}")) == (404, "NAME_UNKNOWN")


def test_two_sources_of_one_path_are_refused_by_name(tmp_path: Path) -> None:
    contents = {name: SHAPES["image"]() for name in ("ghcr.io/team/app", "quay.io/team/app")}
    path = a_bundle(tmp_path / "both.tar.zst", contents)
    with pytest.raises(UsageError, match=r"quay\.io/team/app.*ghcr\.io/team/app"), read_only(path, Session()):
        pass


def test_a_directory_without_an_index_is_no_content(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="not a bundle"), read_only(tmp_path, Session()):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"x", b"longer than it was" * 500])
def test_a_damaged_blob_is_never_served_whole(tmp_path: Path, damage: bytes) -> None:
    unpacked(tmp_path)
    digest = next(iter(a_module("1.0.0", "1.1.0").blobs))
    (tmp_path / digest.path).write_bytes(damage)
    with read_only(tmp_path, Session()) as content, served(content) as client:
        assert client.get(f"/v2/team/app/blobs/{digest}").status_code == 500


def test_a_tag_of_a_bundle_has_the_digest_of_its_source(bundle: Path) -> None:
    with read_only(bundle, Session()) as content, served(content) as client:
        assert tag_digest(client, "team/app", "1.1.0") == a_module("1.0.0", "1.1.0").tags["1.1.0"]
