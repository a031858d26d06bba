"""What a writable registry takes, and what it refuses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.limits import Limits
from bundler.oci.digest import Digest, sha256
from bundler.oci.manifest import OCI_MANIFEST
from bundler.store.blob_store import PARTIAL
from tests.builders import SHAPES, Content, a_module, dumped, manifest_document, noise
from tests.server.client import Client, tag_digest, writable_registry

WRONG = f"sha256:{'0' * 64}"


def test_a_blob_sent_in_chunks_is_there(registry: Client) -> None:
    data = noise("chunks", 5000)
    where = registry.begin("team/app")
    for start in range(0, 5000, 2000):
        piece = data[start : start + 2000]
        span = {"Content-Range": f"{start}-{start + len(piece) - 1}"}
        answer = registry.patch(where, data=piece, headers=span)
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{start + len(piece) - 1}")
    assert registry.put(where, params={"digest": sha256(data)}).status_code == 201
    assert registry.get(f"/v2/team/app/blobs/{sha256(data)}").content == data


def test_a_body_in_chunked_coding_arrives_whole(registry: Client) -> None:
    data = noise("coding", 300_000)
    pieces = iter([data[:1], data[1:200_000], data[200_000:]])
    where = registry.patch(registry.begin("team/app"), data=pieces).headers["Location"]
    assert registry.put(where, params={"digest": sha256(data)}).status_code == 201
    assert registry.get(f"/v2/team/app/blobs/{sha256(data)}").content == data


def test_a_blob_in_one_request_is_there(registry: Client) -> None:
    answer = registry.post("/v2/team/app/blobs/uploads/", params={"digest": sha256(b"x")}, data=b"x")
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v2/team/app/blobs/{sha256(b'x')}")
    assert registry.head(answer.headers["Location"]).status_code == 200


def test_a_blob_that_is_here_is_mounted(registry: Client) -> None:
    registry.upload("team/app", b"shared")
    query = {"mount": sha256(b"shared"), "from": "team/app"}
    assert registry.post("/v2/team/other/blobs/uploads/", params=query).status_code == 201
    query["mount"] = sha256(b"not here")
    assert registry.post("/v2/team/other/blobs/uploads/", params=query).status_code == 202


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_wrong_bytes_are_refused_and_never_there(registry: Client, tmp_path: Path, algorithm: str) -> None:
    wrong = Digest(f"{algorithm}:{'0' * (64 if algorithm == 'sha256' else 128)}")
    answer = registry.upload("team/app", b"other bytes", wrong)
    assert registry.error(answer) == (400, "DIGEST_INVALID")
    assert registry.head(f"/v2/team/app/blobs/{wrong}").status_code == 404
    assert not list((tmp_path / "registry" / PARTIAL).iterdir())


def test_a_chunk_out_of_order_is_416_and_the_session_goes_on(registry: Client) -> None:
    where = registry.begin("team/app")
    registry.patch(where, data=b"12345")
    answer = registry.patch(where, data=b"90", headers={"Content-Range": "8-9"})
    assert registry.error(answer) == (416, "BLOB_UPLOAD_INVALID")
    assert registry.get(where).headers["Range"] == "0-4"
    assert registry.put(where, params={"digest": sha256(b"12345")}).status_code == 201


def test_a_session_that_is_over_is_unknown(registry: Client) -> None:
    done, cancelled = registry.begin("team/app"), registry.begin("team/app")
    registry.put(done, params={"digest": sha256(b"")})
    assert registry.delete(cancelled).status_code == 204
    for where in (done, cancelled):
        assert registry.error(registry.patch(where, data=b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_body_that_breaks_off_leaves_a_session_to_go_on_with(registry: Client) -> None:
    where = registry.begin("team/app")
    host, port = registry.address.split(":")
    head = f"PATCH {where} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"12345")
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in connection.recv(100)
    assert registry.patch(where, data=b"67", headers={"Content-Range": "5-6"}).headers["Range"] == "0-6"


def test_a_manifest_that_names_a_missing_blob_is_refused(registry: Client) -> None:
    content = a_module("1.0.0")
    answer = registry.put_manifest("team/app", "1.0.0", *next(iter(content.manifests.values())))
    assert registry.error(answer) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert registry.get("/v2/team/app/tags/list").status_code == 404


def test_an_index_may_be_sparse(registry: Client) -> None:
    content = SHAPES["index"]()
    index = content.tags["latest"]
    assert registry.put_manifest("team/app", "latest", *content.manifests[index]).status_code == 201
    assert registry.get("/v2/team/app/manifests/latest").status_code == 200
    child = next(digest for digest in content.manifests if digest != index)
    assert registry.get(f"/v2/team/app/manifests/{child}").status_code == 404


def test_a_manifest_that_gives_a_blob_another_size_is_refused(registry: Client) -> None:
    content = Content()
    config = {**content.add_blob(b"{}"), "size": 3}
    registry.upload("team/app", b"{}")
    answer = registry.put_manifest("team/app", "x", OCI_MANIFEST, dumped(manifest_document(config, [])))
    assert registry.error(answer) == (400, "MANIFEST_INVALID")


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"schemaVersion":1}', b'{"schemaVersion":2,"config":{}}', b"[" * 99]
)
def test_a_malformed_manifest_is_refused(registry: Client, data: bytes) -> None:
    answer = registry.put_manifest("team/app", "1.0.0", OCI_MANIFEST, data)
    assert registry.error(answer) == (400, "MANIFEST_INVALID")


def test_a_manifest_over_the_limit_is_refused(tmp_path: Path) -> None:
    with writable_registry(tmp_path / "small", Limits(manifest=1000)) as registry:
        answer = registry.put_manifest("team/app", "1.0.0", OCI_MANIFEST, b" " * 1001)
        assert registry.error(answer) == (400, "MANIFEST_INVALID")


def test_a_manifest_under_another_digest_is_refused(registry: Client) -> None:
    media_type, data = next(iter(a_module("1.0.0").manifests.values()))
    answer = registry.put_manifest("team/app", WRONG, media_type, data)
    assert registry.error(answer) == (400, "DIGEST_INVALID")


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_content_comes_back_as_it_went(registry: Client, shape: str) -> None:
    content = SHAPES[shape]()
    registry.push("team/app", content)
    for tag, digest in content.tags.items():
        assert registry.get(f"/v2/team/app/manifests/{tag}").content == content.manifests[digest][1]
    for digest, data in content.blobs.items():
        assert registry.get(f"/v2/team/app/blobs/{digest}").content == data


@pytest.mark.slow
def test_a_tag_moves_and_the_old_manifest_stays_by_digest(registry: Client) -> None:
    old, new = SHAPES["module"](), SHAPES["artifact"]()
    registry.push("team/app", old)
    before = tag_digest(registry, "team/app", "1.0.0")
    registry.push("team/app", new)
    assert tag_digest(registry, "team/app", "1.0.0") == new.tags["1.0.0"] != before
    assert registry.get(f"/v2/team/app/manifests/{before}").content == old.manifests[before][1]


def test_an_unread_body_is_not_taken_for_the_next_request(registry: Client) -> None:
    def smuggled() -> Iterator[bytes]:
        yield b"DELETE /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"

    for body in (smuggled(), b"".join(smuggled())):
        assert registry.error(registry.put("/v2/team/app/nothing", data=body)) == (404, "UNSUPPORTED")
        assert registry.get("/v2/").status_code == 200


def test_a_web_page_can_not_push(registry: Client) -> None:
    answer = registry.post("/v2/team/app/blobs/uploads/", headers={"Origin": "https://example.com"})
    assert registry.error(answer) == (403, "DENIED")


def test_a_tag_is_deleted_and_its_manifest_stays(registry: Client) -> None:
    content = a_module("1.0.0", "1.1.0")
    registry.push("team/app", content)
    url = "/v2/team/app/manifests/1.0.0"
    assert registry.delete(url).status_code == 202
    assert registry.error(registry.delete(url)) == (404, "MANIFEST_UNKNOWN")
    assert registry.get("/v2/team/app/tags/list").json()["tags"] == ["1.1.0"]
    assert registry.get(f"/v2/team/app/manifests/{content.tags['1.0.0']}").status_code == 200


def test_manifests_are_not_deleted(registry: Client) -> None:
    content = a_module("1.0.0")
    registry.push("team/app", content)
    answer = registry.delete(f"/v2/team/app/manifests/{content.tags['1.0.0']}")
    assert registry.error(answer) == (405, "UNSUPPORTED")
