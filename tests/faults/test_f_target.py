"""F. Faults of the target registry: cases 89 to 105, through whole imports into a real one behind a proxy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests

from bundler.importer import OnConflict
from bundler.ledger.ledger import Ledger
from bundler.limits import MIB
from bundler.oci.digest import Digest, sha256
from bundler.oci.manifest import ACCEPTED
from bundler.reporting.json_report import Report
from tests.builders import Content, a_bundle, a_module, an_image, an_index, manifest_document, noise, push_to
from tests.doubles import (
    ALWAYS,
    Answer,
    Canary,
    FakeClock,
    Fault,
    FaultProxy,
    Reply,
    Seen,
    Wire,
    changed,
    hang_up,
    reset,
    says,
    with_headers,
    writes,
)
from tests.flows import PATIENT, imported, registries_for
from tests.registries import RealRegistry

Fresh = Callable[[str], str]


@dataclass
class Target:
    """A proxy before a real registry, and an own repository in it."""

    proxy: FaultProxy
    registry: RealRegistry
    path: str
    folder: Path
    clock: FakeClock

    def imports(self, content: Content, on_conflict: OnConflict = OnConflict.DEFAULT) -> Report:
        """Import a bundle with this content into the repository."""
        return self.imports_all({self.path: content}, on_conflict)

    def imports_all(
        self, contents: dict[str, Content], on_conflict: OnConflict = OnConflict.DEFAULT
    ) -> Report:
        named = {f"h.example/{path}": content for path, content in contents.items()}
        bundle = a_bundle(self.folder / "b.tar.zst", named)
        known = registries_for(self.clock, limits=PATIENT)
        ledger = Ledger(self.folder / "ledger")
        return imported(bundle, self.proxy.host, registries=known, on_conflict=on_conflict, ledger=ledger)

    def digest(self, tag: str, path: str = "") -> Digest | None:
        """What a tag serves now, hashed."""
        url = f"{self.registry.base}/v2/{path or self.path}/manifests/{tag}"
        answer = requests.get(url, headers={"Accept": ", ".join(ACCEPTED)}, timeout=300)
        return sha256(answer.content) if answer.ok else None


@pytest.fixture
def target(target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock) -> Iterator[Target]:
    with FaultProxy(target_registry.host) as proxy:
        yield Target(proxy, target_registry, fresh("app"), tmp_path, clock)


UPLOAD = "/blobs/uploads/.*digest="


def in_the_answer(change: Callable[[Reply, FaultProxy], Reply], proxy: FaultProxy) -> Fault:
    return changed(lambda reply: change(reply, proxy))


# --- uploads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [reset, hang_up])
def test_an_upload_whose_answer_was_lost_is_looked_for_first(fault: Fault, target: Target) -> None:
    """Case 89."""
    target.proxy.on("PUT", UPLOAD, fault)
    report = target.imports(an_image())
    assert report.exit_code == 0
    puts = target.proxy.asked("PUT", UPLOAD)
    assert len(puts) == len({seen.target.partition("digest=")[2] for seen in puts}) == 2


@pytest.mark.parametrize(
    "fault", [reset, hang_up, says(500), says(502), says(503, Retry_After="1"), says(429)]
)
@pytest.mark.parametrize(
    ("method", "pattern"), [("POST", "/uploads/"), ("PUT", UPLOAD), ("PUT", "/manifests/"), ("HEAD", "")]
)
def test_a_target_that_fails_for_a_moment_is_tried_again(
    fault: Fault, method: str, pattern: str, target: Target
) -> None:
    """Cases 89, 105."""
    content = a_module("1.0.0")
    target.proxy.on(method, pattern, fault, times=2)
    assert target.imports(content).exit_code == 0
    assert target.digest("1.0.0") == content.tags["1.0.0"]


def test_a_registry_that_restarts_is_waited_for(target: Target) -> None:
    # Nine failures for four threads: some of them must fail twice in a row, and so must wait.
    """Case 105."""
    target.proxy.on("GET|HEAD|POST|PUT", "", writes(b""), first=4, times=9)
    content = a_module("1.0.0")
    assert target.imports(content).exit_code == 0
    assert target.digest("1.0.0") == content.tags["1.0.0"]
    assert sum(target.clock.naps) > 0


def test_an_upload_session_that_is_gone_is_begun_again(target: Target) -> None:
    """Case 90."""
    target.proxy.on("PUT", UPLOAD, says(404, '{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}'))
    assert target.imports(an_image()).exit_code == 0


def _relative(reply: Reply, proxy: FaultProxy) -> Reply:
    return reply._replace(
        headers={**reply.headers, "Location": reply.headers["Location"].replace(proxy.base, "")}
    )


def _with_query(reply: Reply, proxy: FaultProxy) -> Reply:
    return reply._replace(headers={**reply.headers, "Location": reply.headers["Location"] + "&more=a%2Fb"})


def test_what_a_location_says_is_sent_back_as_it_is_written(target: Target) -> None:
    """Case 91."""
    odd = "a%FFb%2Bc+d=&empty&x=%7e&_state="

    def change(reply: Reply, proxy: FaultProxy) -> Reply:
        location = reply.headers["Location"].replace("_state=", odd)
        return reply._replace(headers={**reply.headers, "Location": f"{location}#top"})

    target.proxy.on("POST", "/uploads/", in_the_answer(change, target.proxy), times=ALWAYS)
    assert target.imports(an_image()).exit_code == 0
    assert all("a%FFb%2Bc+d=&empty&x=" in seen.target for seen in target.proxy.asked("PUT", UPLOAD))


@pytest.mark.parametrize("change", [_relative, _with_query])
def test_a_location_of_any_legal_form_is_used(
    change: Callable[[Reply, FaultProxy], Reply], target: Target
) -> None:
    """Case 91."""
    target.proxy.on("POST", "/uploads/", in_the_answer(change, target.proxy), times=ALWAYS)
    assert target.imports(an_image()).exit_code == 0


@pytest.mark.parametrize(
    "location",
    ["", "file:///etc/passwd", "http://user:pass@127.0.0.1/", "http://127.0.0.1:1/elsewhere", "x" * 20_000],
)
def test_a_location_elsewhere_or_nowhere_is_a_refusal(location: str, target: Target) -> None:
    """Case 91."""
    target.proxy.on("POST", "/uploads/", with_headers(Location=location), times=ALWAYS)
    report = target.imports(an_image())
    assert report.exit_code == 10
    assert target.proxy.asked("PUT") == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("method", "pattern"), [("POST", "/uploads/"), ("PUT", UPLOAD), ("PUT", "/manifests/")]
)
def test_a_redirected_write_is_never_a_success(
    status: int, method: str, pattern: str, target: Target
) -> None:
    """Case 92."""
    target.proxy.on(method, pattern, says(status, Location=f"{target.proxy.base}/v2/"), times=ALWAYS)
    assert target.imports(an_image()).exit_code == 10
    assert target.digest("1.0.0") is None


@pytest.mark.parametrize("pattern", [UPLOAD, "/manifests/"])
def test_a_201_with_another_digest_is_an_integrity_error(pattern: str, target: Target) -> None:
    """Case 93."""
    target.proxy.on("PUT", pattern, with_headers(Docker_Content_Digest="sha256:" + "0" * 64), times=ALWAYS)
    assert target.imports(an_image()).exit_code == 6


def test_a_tag_that_reads_back_otherwise_is_an_integrity_error(target: Target) -> None:
    """Case 93."""
    other = an_image("1.0.0", layers=2)
    push_to(target.registry.base, target.path, an_image("0.9.0"))
    new, path = f"{target.path}/new", target.path
    push_to(target.registry.base, f"{path}/other", other)

    def another(wire: Wire, request: Seen, answer: Answer) -> bool:
        there = request._replace(target=request.target.replace("/new/", "/").replace(path, f"{path}/other"))
        wire.send(request, target.proxy.respond(there) if answer().status == 200 else answer())
        return True

    target.proxy.on("HEAD|GET", "/manifests/1.0.0", another, times=ALWAYS)
    report = target.imports_all({path: an_image(), new: an_image()})
    assert report.exit_code == 6
    assert ["read back" in failure.cause for failure in report.failures] == [True, True]


@pytest.mark.parametrize("pattern", ["/blobs/sha256", "/manifests/sha256", "/manifests/1"])
def test_content_that_shows_up_a_moment_later_is_waited_for(pattern: str, target: Target) -> None:
    """Storage that is consistent in the end: the first question after a write is answered 404. Case 93."""
    asked: set[str] = set()

    def late(wire: Wire, request: Seen, answer: Answer) -> bool:
        written = target.proxy.asked("PUT", "")
        new = any(request.path.rpartition("/")[2] in unquote(seen.target) for seen in written)
        wire.send(request, Reply(404) if new and request.path not in asked else answer())
        if new:
            asked.add(request.path)
        return True

    target.proxy.on("PUT", UPLOAD, with_headers(Docker_Content_Digest=""), times=ALWAYS)
    target.proxy.on("HEAD|GET", pattern, late, times=ALWAYS)
    assert target.imports(an_index(tag="1.0.0")).exit_code == 0
    assert asked
    assert sum(target.clock.naps) > 0


def test_a_blob_that_was_said_to_be_there_and_is_not_is_uploaded(target: Target) -> None:
    """Case 95."""
    content = an_image()
    target.proxy.on("HEAD", "/blobs/", says(200), times=ALWAYS)
    assert target.imports(content).exit_code == 0
    assert target.digest("1.0.0") == content.tags["1.0.0"]


# --- questions before --------------------------------------------------------------------------------


def test_a_head_that_redirects_is_followed(target: Target) -> None:
    """Case 96."""
    content = an_image()
    push_to(target.registry.base, target.path, content)
    target.proxy.on("HEAD", "/manifests/", says(302, Location=f"/v2/{target.path}/manifests/1.0.0"))
    report = target.imports(content)
    assert (report.exit_code, report.unchanged) == (0, True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_storage_that_answers_no_head_is_not_asked_for_leave(status: int, target: Target) -> None:
    """An address that is signed for GET: the storage refuses HEAD, and shows no blob that way. Case 96."""
    with Canary(lambda _: Reply(status)) as storage:
        target.proxy.on("HEAD", "/blobs/", says(302, Location=f"{storage.base}/b?sig=very-secret"), times=2)
        assert target.imports(an_image()).exit_code == 0
        assert storage.secrets == []
    assert len(target.proxy.asked("PUT", UPLOAD)) == 2


def test_a_target_without_head_is_asked_by_get(target: Target) -> None:
    """Case 96."""
    content = an_image()
    target.proxy.on("HEAD", "", says(405), times=ALWAYS)
    assert target.imports(content).exit_code == 0
    assert target.imports(content).unchanged


def test_a_target_that_omits_the_digest_is_asked_for_the_bytes(target: Target) -> None:
    """Case 96."""
    content = an_image()
    target.proxy.on("HEAD|GET", "/manifests/", with_headers(Docker_Content_Digest=""), times=ALWAYS)
    assert target.imports(content).exit_code == 0
    assert target.imports(content).unchanged


def test_a_head_without_leave_ends_before_any_write(target: Target) -> None:
    """Case 96."""
    target.proxy.on("HEAD", "", says(401, WWW_Authenticate='Basic realm="x"'), times=ALWAYS)
    with pytest.raises(Exception, match="401") as error:
        target.imports(an_image())
    assert getattr(error.value, "exit_code", None) == 3
    assert target.proxy.asked("POST|PUT") == []


def test_a_blob_of_another_length_is_uploaded_again(target: Target) -> None:
    """Case 96."""
    content = an_image()
    target.proxy.on("HEAD", "/blobs/", says(200, Content_Length="1"), times=2)
    assert target.imports(content).exit_code == 0
    assert len(target.proxy.asked("PUT", UPLOAD)) == 2


# --- mounts ------------------------------------------------------------------------------------------


def two_repositories(target: Target) -> dict[str, Content]:
    return {f"{target.path}/a": an_image(), f"{target.path}/b": an_image()}


def test_a_blob_of_two_repositories_is_sent_once_and_mounted(target: Target) -> None:
    """Case 97."""
    report = target.imports_all(two_repositories(target))
    assert report.exit_code == 0
    assert len(target.proxy.asked("PUT", UPLOAD)) == len(target.proxy.asked("POST", "mount=")) == 2


def test_a_mount_that_brought_nothing_is_no_mount(target: Target) -> None:
    """Case 97."""
    target.proxy.on("POST", "mount=", says(201, Location="/v2/x/blobs/y"), times=ALWAYS)
    assert target.imports_all(two_repositories(target)).exit_code == 0
    assert len(target.proxy.asked("PUT", UPLOAD)) == 4
    assert target.digest("1.0.0", f"{target.path}/b") == an_image().tags["1.0.0"]


@pytest.mark.parametrize("status", [202, 400, 401, 403, 404, 405])
def test_where_a_mount_is_not_understood_the_blob_is_uploaded(status: int, target: Target) -> None:
    """Case 97."""

    def plain_session(wire: Wire, request: Seen, answer: Answer) -> bool:
        plain = request._replace(target=request.path)
        wire.send(request, target.proxy.respond(plain))
        return True

    target.proxy.on("POST", "mount=", plain_session if status == 202 else says(status), times=ALWAYS)
    assert target.imports_all(two_repositories(target)).exit_code == 0
    assert len(target.proxy.asked("PUT", UPLOAD)) == 4


# --- refusals ----------------------------------------------------------------------------------------


def large_image() -> Content:
    content = Content()
    layer = content.add_blob(noise("large", 9 * MIB))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    return content


@pytest.mark.parametrize("status", [413, 416])
def test_where_a_body_is_too_large_it_is_sent_in_pieces(status: int, target: Target) -> None:
    """Case 98."""
    content = large_image()
    layer = next(digest for digest, data in content.blobs.items() if len(data) > MIB)
    target.proxy.on("PUT", f"{UPLOAD}.*{layer.encoded}", says(status))
    assert target.imports(content).exit_code == 0
    pieces = target.proxy.asked("PATCH")
    assert [seen.headers["Content-Range"] for seen in pieces] == [
        "0-4194303",
        "4194304-8388607",
        "8388608-9437183",
    ]
    assert target.digest("1.0.0") == content.tags["1.0.0"]


def test_an_upload_that_was_spoilt_on_the_way_is_sent_again(target: Target) -> None:
    words = '{"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match"}]}'
    target.proxy.on("PUT", UPLOAD, says(400, words))
    assert target.imports(a_module("1.0.0")).exit_code == 0


def test_a_target_that_calls_every_upload_spoilt_is_given_up(target: Target) -> None:
    words = '{"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match"}]}'
    target.proxy.on("PUT", UPLOAD, says(400, words), times=ALWAYS)
    report = target.imports(a_module("1.0.0"))
    assert report.exit_code == 5
    assert "DIGEST_INVALID" in report.failures[0].cause


@pytest.mark.parametrize("status", [400, 405, 413, 415, 507])
def test_a_refusal_by_the_target_is_told_in_its_words(status: int, target: Target) -> None:
    """Cases 98, 101."""
    body = json.dumps({"errors": [{"code": "DENIED", "message": "quota of 5 GB exceeded"}]})
    target.proxy.on("PUT", UPLOAD, says(status, body), times=ALWAYS)
    report = target.imports(an_image())
    assert report.exit_code == 10
    assert "quota of 5 GB exceeded" in report.failures[0].cause


def test_the_next_run_after_a_full_target_goes_on(target: Target) -> None:
    """Case 101."""
    content = an_image(layers=2)
    target.proxy.on("PUT", UPLOAD, says(507), first=2, times=ALWAYS)
    assert target.imports(content).exit_code == 10
    sent = len(target.proxy.asked("PUT", UPLOAD))
    target.proxy._rules.clear()
    assert target.imports(content).exit_code == 0
    assert len(target.proxy.asked("PUT", UPLOAD)) == sent + 2


@pytest.mark.parametrize("detail", ["write data: no space left on device", {"Enclosed": {"Err": 28}}])
@pytest.mark.parametrize(("method", "path"), [("POST", "uploads"), ("PUT", UPLOAD), ("PUT", "/manifests/")])
def test_a_full_disk_told_only_in_details_is_a_refusal_at_once(
    method: str, path: str, detail: object, target: Target
) -> None:
    """Case 101."""
    body = {"errors": [{"code": "UNKNOWN", "message": "unknown error", "detail": detail}]}
    target.proxy.on(method, path, says(500, json.dumps(body)), times=ALWAYS)
    report = target.imports(an_image())
    assert (report.exit_code, target.clock.naps) == (10, [])
    assert "its disk is full" in report.failures[0].cause
    assert "make room" in report.failures[0].next_step


def test_a_full_target_gets_no_manifest(target: Target) -> None:
    """Distribution keeps what it could write of one, and never lets go of it. Case 101."""
    body = {"errors": [{"code": "UNKNOWN", "message": "unknown error", "detail": "no space left on device"}]}
    target.proxy.on("PUT", UPLOAD, says(500, json.dumps(body)), first=3, times=ALWAYS)
    assert target.imports(a_module("1.0.0", "1.1.0")).exit_code == 10
    offered = 1
    assert len(target.proxy.asked("PUT", "/manifests/")) == offered


def test_a_small_body_that_is_too_large_comes_with_a_hint(target: Target) -> None:
    """Case 98."""
    target.proxy.on("PUT", UPLOAD, says(413, "<html>413 Request Entity Too Large</html>"), times=ALWAYS)
    (failure,) = target.imports(an_image()).failures
    assert (failure.exit_code, "client_max_body_size" in failure.next_step) == (10, True)


def test_a_media_type_that_is_refused_comes_with_a_hint(target: Target) -> None:
    """Case 98."""
    body = '{"errors": [{"code": "MANIFEST_INVALID", "message": "no such type"}]}'
    target.proxy.on("PUT", "/manifests/", says(415, body), times=ALWAYS)
    (failure,) = target.imports(an_image()).failures
    assert (failure.exit_code, "media type" in failure.next_step) == (10, True)


@pytest.mark.parametrize(("status", "code"), [(405, 10), (403, 3), (404, 10), (401, 3)])
def test_a_read_only_target_is_left_after_the_first_write(status: int, code: int, target: Target) -> None:
    """Case 100."""
    target.proxy.on("POST", "", says(status), times=ALWAYS)
    report = target.imports(an_image(layers=20))
    assert report.exit_code == code
    assert len(target.proxy.asked("POST")) <= 4  # as many as were under way
    assert target.proxy.asked("PUT") == []


# --- tags --------------------------------------------------------------------------------------------


def test_the_same_again_is_one_head_per_tag_and_no_write(target: Target) -> None:
    """Case 99."""
    content = a_module("1.0.0", "1.1.0")
    assert target.imports(content).exit_code == 0
    asked = len(target.proxy.seen)
    assert target.imports(content).unchanged
    assert [seen.method for seen in target.proxy.seen[asked:]] == ["HEAD", "HEAD"]


@pytest.mark.parametrize(
    ("policy", "tag", "code", "moved"),
    [
        (OnConflict.DEFAULT, "1.0.0", 10, False), (OnConflict.DEFAULT, "latest", 0, True),
        (OnConflict.FAIL, "latest", 10, False), (OnConflict.SKIP, "1.0.0", 0, False),
        (OnConflict.OVERWRITE, "1.0.0", 0, True),
    ],
)  # fmt: skip
def test_a_tag_with_another_digest_is_treated_as_the_user_wants(
    policy: OnConflict, tag: str, code: int, moved: bool, target: Target
) -> None:
    """Case 99."""
    old, new = an_image(tag), an_image(tag, layers=2)
    push_to(target.registry.base, target.path, old)
    report = target.imports(new, policy)
    assert report.exit_code == code
    assert target.digest(tag) == (new if moved else old).tags[tag]
    if code:
        assert old.tags[tag] in report.failures[0].cause
        assert new.tags[tag] in report.failures[0].cause


@pytest.mark.parametrize("pattern", [UPLOAD, "/manifests/sha256", "/manifests/latest"])
def test_until_all_is_there_the_old_tag_serves_the_old_content(pattern: str, target: Target) -> None:
    """Case 102."""
    old = an_image("latest")
    push_to(target.registry.base, target.path, old)
    target.proxy.on("PUT", pattern, says(400), times=ALWAYS)
    assert target.imports(an_index(tag="latest"), OnConflict.OVERWRITE).exit_code == 10
    assert target.digest("latest") == old.tags["latest"]


def test_children_go_before_parents_and_versions_before_latest(target: Target) -> None:
    content = an_index(tag="1.0.0")
    content.tags["latest"] = content.tags["1.0.0"]
    assert target.imports(content).exit_code == 0
    order = [seen.path.rpartition("/")[2] for seen in target.proxy.asked("PUT", "/manifests/")]
    index = content.tags["1.0.0"]
    offered, *children = order[:3]
    assert order[3:] == ["1.0.0", "latest"]
    assert set(children) == set(content.manifests) - {index}
    assert offered in children


def test_what_fails_for_one_repository_does_not_stop_the_others(target: Target) -> None:
    contents = two_repositories(target)
    first, second = contents
    target.proxy.on("POST", f"/{second}/", says(403), times=ALWAYS)
    report = target.imports_all(contents)
    assert report.exit_code == 8
    assert target.digest("1.0.0", first) == contents[first].tags["1.0.0"]
    assert target.digest("1.0.0", second) is None
