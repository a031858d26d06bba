"""What single kinds of registries do otherwise: each staged, each withstood (docs/registries.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from bundler.errors import TargetRefusedError
from bundler.limits import MIB
from bundler.oci.digest import Digest
from bundler.oci.reference import RepositoryName
from bundler.registry.quirks import type_hint
from tests.builders import Content, a_bundle, a_module, manifest_document, noise, sign_by_subject
from tests.doubles import ALWAYS, Answer, Fault, FaultProxy, Reply, Seen, Wire, changed, hang_up, says
from tests.flows import imported
from tests.registries import RealRegistry

Fresh = Callable[[str], str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def proxy(target_registry: RealRegistry) -> Iterator[FaultProxy]:
    """Before a real registry."""
    with FaultProxy(target_registry.host) as server:
        yield server


def a_large_artifact(size: int = 9 * MIB) -> Content:
    """One layer that some registries want in pieces."""
    content = Content()
    layer = content.add_blob(noise("large", size))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    return content


def too_large(proxy: FaultProxy, content: Content) -> None:
    """The proxy takes no body of this size."""
    layer = next(digest for digest, data in content.blobs.items() if len(data) > MIB)
    proxy.on("PUT", f"/uploads/.*{layer.encoded}", says(413))


def carry(content: Content, path: str, proxy: FaultProxy, folder: Path) -> int:
    """Import it; the exit code."""
    bundle = a_bundle(folder / "b.tar.zst", {f"h.example/{path}": content})
    return imported(bundle, proxy.host).exit_code


def done_with_the_last_patch(proxy: FaultProxy, content: Content) -> Fault:
    """ECR: the last PATCH is answered 201, and the PUT that would end it is refused."""
    layer = next(digest for digest, data in content.blobs.items() if len(data) > MIB)

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = answer()
        if request.headers["Content-Range"].endswith(f"-{len(content.blobs[layer]) - 1}"):
            location = {name.lower(): value for name, value in reply.headers.items()}["location"]
            ended = location.replace(proxy.host, proxy.upstream) + f"&digest={layer}"
            assert requests.put(ended, timeout=300).status_code == 201
            reply = Reply(201, {"Location": f"/v2/done/{layer}"})
        wire.send(request, reply)
        return True

    return fault


@pytest.mark.slow
def test_ecr_ends_an_upload_with_the_last_patch(proxy: FaultProxy, fresh: Fresh, tmp_path: Path) -> None:
    content, path = a_large_artifact(), fresh("app")
    too_large(proxy, content)
    proxy.on("PATCH", "", done_with_the_last_patch(proxy, content), times=ALWAYS)
    assert carry(content, path, proxy, tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "largest"),
    [("1", 4 * MIB), (str(5 * MIB), 5 * MIB), (str(1 << 40), 9 * MIB), ("x", 4 * MIB), ("²", 4 * MIB),
     ("9" * 5000, 4 * MIB)],
)  # fmt: skip
def test_s3_wants_pieces_of_a_least_length(
    asked: str, largest: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    content = a_large_artifact()
    too_large(proxy, content)

    def wanting(reply: Reply) -> Reply:
        return reply._replace(headers={**reply.headers, "OCI-Chunk-Min-Length": asked})

    proxy.on("POST", "/uploads/", changed(wanting), times=ALWAYS)
    assert carry(content, fresh("app"), proxy, tmp_path) == 0
    assert max(len(seen.body) for seen in proxy.asked("PATCH")) == largest


@pytest.mark.slow
@pytest.mark.parametrize("status", [409, 412])
def test_an_immutable_tag_that_is_equal_is_not_a_conflict(
    status: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    def set_by_somebody_else(wire: Wire, request: Seen, answer: Answer) -> bool:
        answer()
        wire.send(request, Reply(status))
        return True

    path = fresh("app")
    proxy.on("PUT", f"/{path}/manifests/1.0.0", set_by_somebody_else, times=ALWAYS)
    assert carry(a_module("1.0.0"), path, proxy, tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 409, 412])
def test_an_immutable_tag_whose_answer_was_lost_is_no_conflict(
    status: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    proxy.on("PUT", f"/{path}/manifests/1.0.0", hang_up)
    proxy.on("PUT", f"/{path}/manifests/1.0.0", says(status), times=ALWAYS)
    assert carry(a_module("1.0.0"), path, proxy, tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize("status", [409, 412])
def test_an_immutable_tag_that_is_another_is_refused(
    status: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    proxy.on("PUT", f"/{path}/manifests/1.0.0", says(status), times=ALWAYS)
    assert carry(a_module("1.0.0"), path, proxy, tmp_path) == 10


@pytest.mark.slow
def test_gitlab_reads_a_fallback_tag_as_the_subjects_digest(
    proxy: FaultProxy, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    subject = content.tags["1.0.0"]
    assert carry(content, path, proxy, tmp_path) == 0
    signature = sign_by_subject(content, subject)
    fallback = subject.replace(":", "-")

    def the_subject_itself(wire: Wire, request: Seen, answer: Answer) -> bool:
        url = f"{target_registry.base}/v2/{path}/manifests/{subject}"
        own = requests.request(
            request.method, url, headers={"Accept": request.headers["Accept"]}, timeout=300
        )
        named = ("Content-Type", "Docker-Content-Digest")
        wire.send(request, Reply(own.status_code, {name: own.headers[name] for name in named}, own.content))
        return True

    # Until the first PUT, as GitLab has it.
    proxy.on("GET", f"/manifests/{fallback}", the_subject_itself)
    proxy.on("HEAD", f"/manifests/{fallback}", the_subject_itself)
    (tmp_path / "b.tar.zst").unlink()
    assert carry(content, path, proxy, tmp_path) == 0
    url = f"{target_registry.base}/v2/{path}/manifests/{fallback}"
    listed = requests.get(
        url, timeout=300, headers={"Accept": "application/vnd.oci.image.index.v1+json"}
    ).json()
    assert [Digest(entry["digest"]) for entry in listed["manifests"]] == [signature]


def test_every_quirk_on_the_page_has_the_test_that_it_names() -> None:
    page = (ROOT / "docs" / "registries.md").read_text()
    named = re.findall(r"`(test_[a-z0-9_]+)`", page)
    known = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in known] == []


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2 * MIB, MIB, 512 * 1024])
def test_a_proxy_that_limits_bodies_gets_pieces_that_it_takes(
    limit: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    def limited(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.send(request, Reply(413) if len(request.body) > limit else answer())
        return True

    for method in ("PUT", "PATCH"):
        proxy.on(method, "/uploads/", limited, times=ALWAYS)
    assert carry(a_large_artifact(3 * MIB), fresh("app"), proxy, tmp_path) == 0
    assert max(len(seen.body) for seen in proxy.asked("PATCH")[-2:]) <= limit


@pytest.mark.slow
def test_a_body_that_no_piece_is_short_enough_for_is_a_refusal(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    for method in ("PUT", "PATCH"):
        proxy.on(method, "/uploads/", says(413), times=ALWAYS)
    assert carry(a_large_artifact(3 * MIB), fresh("app"), proxy, tmp_path) == 10


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_location_outside_the_repository_is_a_proxys_fault(
    status: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    def without_prefix(reply: Reply) -> Reply:
        return reply._replace(headers={**reply.headers, "Location": "/v2/app/blobs/uploads/1"})

    proxy.on("POST", "/uploads/", changed(without_prefix), times=ALWAYS)
    proxy.on("PUT", "/v2/app/", says(status), times=ALWAYS)
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"h.example/{fresh('prefix/app')}": a_module("1.0.0")})
    report = imported(bundle, proxy.host)
    assert {failure.exit_code for failure in report.failures} == {10}
    assert "rewrite Location" in report.failures[0].next_step


def test_a_name_that_the_target_refuses_leads_to_flatten(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    proxy.on("HEAD", "/manifests/", says(400), times=ALWAYS)
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"h.example/{fresh('app')}": a_module("1.0.0")})
    with pytest.raises(TargetRefusedError, match=r"refuses this repository name \(400\); .*`flatten`"):
        imported(bundle, proxy.host)


def test_distribution_refuses_foreign_layers_behind_a_500(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = Content(), fresh("windows")
    foreign = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": f"sha256:{'a' * 64}", "size": 3, "urls": ["https://mcr.example/layer"],
    }  # fmt: skip
    manifest = manifest_document(content.add_blob(b"{}"), []) | {"layers": [foreign]}
    content.add_manifest(manifest, "1.0.0")
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": content})
    report = imported(bundle, target_registry.host)
    (failure, *_) = report.failures
    assert (failure.exit_code, "manifests.urls.allow" in failure.next_step) == (10, True)


def test_a_manifest_called_invalid_has_a_hint_that_fits_zot_too() -> None:
    hint = type_hint(RepositoryName("zot.example/app"), "400 MANIFEST_INVALID: manifest invalid")
    assert "docker2s2" in hint
    assert "may not take this media type" in hint
