"""What a registry answers to readers, whatever it serves."""

from __future__ import annotations

import pytest

from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_MANIFEST
from tests.builders import a_module, noise
from tests.server.client import Client

BLOB = noise("blob", 100)
URL = f"/v2/team/app/blobs/{sha256(BLOB)}"


@pytest.fixture
def stocked(registry: Client) -> Client:
    """A registry with a module and a blob."""
    registry.push("team/app", a_module("1.0.0", "1.1.0"))
    registry.upload("team/app", BLOB)
    return registry


def test_it_says_that_it_is_a_registry(registry: Client) -> None:
    answer = registry.get("/v2/")
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_a_manifest_comes_as_its_bytes_with_type_digest_and_etag(stocked: Client) -> None:
    media_type, data = next(iter(a_module("1.0.0").manifests.values()))
    answer = stocked.get("/v2/team/app/manifests/1.0.0")
    assert answer.content == data
    assert answer.headers["Content-Type"] == media_type == OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == sha256(data)
    assert answer.headers["ETag"] == f'"{sha256(data)}"'


@pytest.mark.slow
def test_head_tells_the_same_without_the_bytes(stocked: Client) -> None:
    for url in (URL, "/v2/team/app/manifests/1.0.0"):
        head, got = stocked.head(url), stocked.get(url)
        assert head.content == b""
        for name in ("Content-Length", "Content-Type", "Docker-Content-Digest"):
            assert head.headers[name] == got.headers[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "part", "said"),
    [
        ("bytes=10-19", BLOB[10:20], "bytes 10-19/100"),
        ("bytes=90-", BLOB[90:], "bytes 90-99/100"),
        ("bytes=-5", BLOB[-5:], "bytes 95-99/100"),
        ("bytes=0-1000", BLOB, "bytes 0-99/100"),
    ],
)
def test_a_range_is_answered_with_that_part(stocked: Client, asked: str, part: bytes, said: str) -> None:
    answer = stocked.get(URL, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, part)
    assert answer.headers["Content-Range"] == said


def test_a_range_behind_the_end_is_416(stocked: Client) -> None:
    answer = stocked.get(URL, headers={"Range": "bytes=100-"})
    assert stocked.error(answer) == (416, "RANGE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */100"


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=x-y", "bytes=9-3"])
def test_a_range_that_may_be_ignored_gives_everything(stocked: Client, asked: str) -> None:
    answer = stocked.get(URL, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, BLOB)


@pytest.mark.slow
def test_tags_come_in_pages_that_link_to_each_other(registry: Client) -> None:
    registry.push("team/app", a_module("b", "A", "1.0.0", "c", "latest"))
    pages = registry.pages("/v2/team/app/tags/list?n=2")
    assert [page.json()["tags"] for page in pages] == [["1.0.0", "A"], ["b", "c"], ["latest"]]


def test_repositories_come_in_pages_that_link_to_each_other(registry: Client) -> None:
    for name in ("b", "a/b", "team/app", "a"):
        registry.push(name, a_module("1.0.0"))
    pages = registry.pages("/v2/_catalog?n=3")
    assert [page.json()["repositories"] for page in pages] == [["a", "a/b", "b"], ["team/app"]]
    assert registry.get("/v2/_catalog?last=b").json() == {"repositories": ["team/app"]}


def test_a_registry_without_repositories_has_an_empty_catalog(registry: Client) -> None:
    answer = registry.get("/v2/_catalog")
    assert (answer.status_code, answer.json()) == (200, {"repositories": []})


def test_last_need_not_be_a_tag(stocked: Client) -> None:
    answer = stocked.get("/v2/team/app/tags/list?last=1.0.5")
    assert answer.json() == {"name": "team/app", "tags": ["1.1.0"]}


def test_no_tags_are_given_for_n_0(stocked: Client) -> None:
    answer = stocked.get("/v2/team/app/tags/list?n=0")
    assert answer.json()["tags"] == []
    assert "Link" not in answer.headers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/team/other/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/team/other/manifests/1.0.0", 404, "NAME_UNKNOWN"),
        ("/v2/team/app/manifests/9.9.9", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/team/app/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/team/app/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("/v2/team/app/referrers/sha256:short", 400, "DIGEST_INVALID"),
        ("/v2/_catalog?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/team/app/blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("/v2/TEAM/app/tags/list", 400, "NAME_INVALID"),
        ("/v2/team/app/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        ("/other", 404, "UNSUPPORTED"),
    ],
)
def test_an_error_is_told_by_its_code(stocked: Client, path: str, status: int, code: str) -> None:
    assert stocked.error(stocked.get(path)) == (status, code)


def test_many_requests_go_over_one_connection(stocked: Client) -> None:
    for _ in range(20):
        assert stocked.head(URL, headers={"Connection": "keep-alive"}).headers.get("Connection") is None
