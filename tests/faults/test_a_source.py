"""A. Faults of the source registry: cases 1 to 25, through a whole export."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.errors import AuthError, ContentError, NotFoundError
from bundler.importer import verify_bundle
from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST
from bundler.reporting.json_report import Report
from tests.builders import (
    SHAPES,
    Content,
    a_docker_image,
    a_module,
    an_image,
    an_index,
    an_index_of_indexes,
    dumped,
    index_document,
)
from tests.doubles import (
    ALWAYS,
    Answer,
    FakeClock,
    Fault,
    MemoryRegistry,
    Reply,
    Seen,
    Wire,
    changed,
    flipped,
    says,
    wants,
    with_headers,
)
from tests.flows import PATIENT, exported, registries_for

USER = "carrier:correct-horse"


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    """A registry with a module of two versions, and an image."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0"), "image": an_image()}) as registry:
        yield registry


def export(source: MemoryRegistry, folder: Path, clock: FakeClock, *names: str, creds: str = "") -> Report:
    """Export `app`, or what is named."""
    references = [f"{source.host}/{name}" for name in names or ("app",)]
    registries = registries_for(clock, creds=[creds] if creds else [])
    return exported(folder / "b.tar.zst", *references, registries=registries)


def tags_in(folder: Path) -> set[str]:
    with open_bundle(folder / "b.tar.zst") as bundle:
        verify_bundle(bundle)
        return {str(tag) for entry in bundle.inventory.repositories for tag in entry.tags}


def only_failure(report: Report) -> str:
    (failure,) = report.failures
    line = f"{failure.item}: {failure.cause}"
    assert line.isprintable()
    return line


# --- answers that pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/tags/list", "/manifests/1.0.0", "/blobs/"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_two_bad_answers_and_a_good_one_make_two_retries(
    path: str, status: int, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 1."""
    source.on("GET", path, says(status, "try later"), times=2)
    report = export(source, tmp_path, clock)
    assert (report.exit_code, report.traffic.retries) == (0, 2)
    assert tags_in(tmp_path) == {"1.0.0", "1.1.0"}


def test_a_blob_that_fails_for_ever_costs_its_tag_only(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 2."""
    blob = _own_layer(source, "1.1.0")
    source.on("GET", blob, says(500), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code == 8
    assert [failure.exit_code for failure in report.failures] == [5]
    assert ":1.1.0" in only_failure(report)
    assert tags_in(tmp_path) == {"1.0.0"}
    assert len(source.asked("GET", blob)) == PATIENT.attempts


def _own_layer(source: MemoryRegistry, tag: str) -> str:
    content = source.repositories["app"]
    return content.parsed()[content.tags[tag]].layers[-1].blob.digest


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("2", 2.0), ("0", 0.0), ("100000000000", 120.0), ("315360000", 120.0),
        (formatdate(0, usegmt=True), 0.0), (formatdate(4102444800, usegmt=True), 120.0),
    ],
)  # fmt: skip
def test_a_wait_that_the_registry_asks_for_is_kept_and_capped(
    header: str, waits: float, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Cases 3, 4."""
    source.on("GET", "/tags/list", says(429, Retry_After=header))
    assert export(source, tmp_path, clock).exit_code == 0
    assert sum(clock.naps) == pytest.approx(waits, abs=0.01)


def test_a_wait_that_was_asked_for_does_not_count_as_slowness(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 3."""
    source.on("GET", "/blobs/", says(429, Retry_After="100"), times=2)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock), jobs=1)
    assert (report.exit_code, sum(clock.naps)) == (0, 200)


@pytest.mark.parametrize("header", ["-5", "soon", "", "1e999", "\u00b2", "nan", "Mon, 99 Foo 2024"])
def test_a_wait_that_means_nothing_is_the_usual_wait(
    header: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 4."""
    source.on("GET", "/tags/list", says(503, Retry_After=header))
    report = export(source, tmp_path, clock)
    assert (report.exit_code, report.traffic.retries) == (0, 1)
    assert sum(clock.naps) <= 0.5


def test_the_code_of_too_many_requests_counts_as_429(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]})
    source.on("GET", "/tags/list", says(400, body), times=1)
    assert export(source, tmp_path, clock).exit_code == 0


# --- authentication ----------------------------------------------------------------------------------


def guarded(source: MemoryRegistry, *, good: str = "Bearer good", path: str = "^/v2/") -> None:
    """The registry wants a token from its own `/token`."""
    challenge = f'Bearer realm="{source.base}/token",service="s",scope="repository:app:pull"'
    source.on("GET|HEAD", path, wants(good.__eq__, challenge), times=ALWAYS)


def test_a_refused_fresh_token_costs_one_more_question_only(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 6."""
    guarded(source)
    source.on("GET", "/token", says(200, '{"token": "bad"}'), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code == 3
    assert len(source.asked("GET", "/tags/list")) == 2
    assert len(source.asked("GET", "/token")) <= 2


def test_a_token_that_expires_during_a_run_is_renewed(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 7."""
    numbers = itertools.count(1)
    live = {"Bearer t1"}

    def tokens(wire: Wire, request: Seen, answer: Answer) -> bool:
        number = next(numbers)
        live.clear()
        live.add(f"Bearer t{number}")
        return says(200, json.dumps({"token": f"t{number}", "expires_in": 300}))(wire, request, answer)

    source.on("GET", "/token", tokens, times=ALWAYS)
    source.on("GET", "/blobs/", _expire(live), times=1)
    challenge = f'Bearer realm="{source.base}/token",service="s"'
    source.on("GET", "^/v2/", wants(live.__contains__, challenge), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0
    assert len(source.asked("GET", "/token")) == 2


def _expire(live: set[str]) -> Fault:
    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        live.clear()
        wire.send(
            request,
            Reply(401, {"WWW-Authenticate": f'Bearer realm="http://{request.headers["Host"]}/token"'}),
        )
        return True

    return fault


def test_a_403_with_an_old_token_is_tried_once_with_a_new_one(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 7."""
    guarded(source)
    source.on("GET", "/token", says(200, '{"token": "good"}'), times=ALWAYS)
    clean = source._rules.pop(0)
    source.on("GET", "/blobs/", says(403), times=1)
    source._rules.append(clean)
    assert export(source, tmp_path, clock).exit_code == 0


CHALLENGES = [
    "", "Bearer", "Bearer realm=", 'Bearer realm="', "Negotiate", "garbage \x00",
    'Bearer realm="",service="x"',
    'Bearer realm="not a url"', 'Bearer realm="http://[::1"', 'Bearer realm="http://h:99999/"', "," * 5000,
    'Digest realm="x"',
]  # fmt: skip


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_a_meaningless_challenge_is_an_authentication_error(
    challenge: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 8."""
    source.on("GET", "^/v2/", wants(bool, challenge), times=ALWAYS)
    report = export(source, tmp_path, clock, creds=USER)
    assert report.exit_code == 3
    assert source.host in only_failure(report)
    assert not (tmp_path / "b.tar.zst").exists()


@pytest.mark.parametrize(
    "body", ['{"token": "good"}', '{"access_token": "good"}', '{"token": "", "access_token": "good", "x": 1}']
)
def test_a_token_comes_under_either_name_and_needs_no_expiry(
    body: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 9."""
    guarded(source)
    source.on("GET", "/token", says(200, body), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0


BAD_TOKENS = ["", "no json", "[]", "null", "{}", '{"token": 5}', '{"token": "a b"}',
              '{"token": "a\\r\\nX: y"}',
              '{"token": "good", "pad": "' + "x" * (2 << 20) + '"}', '{"token": NaN}']  # fmt: skip


@pytest.mark.parametrize("body", BAD_TOKENS, ids=lambda body: body[:20])
def test_an_answer_without_a_token_is_an_authentication_error(
    body: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 9."""
    guarded(source)
    source.on("GET", "/token", says(200, body), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == AuthError.exit_code


def test_a_repository_that_is_forbidden_is_not_asked_again(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 10."""
    source.on("GET", "/v2/image/", says(403), times=ALWAYS)
    report = export(source, tmp_path, clock, "app", "image")
    assert (report.exit_code, report.failures[0].exit_code) == (8, 3)
    assert len(source.asked("GET", "/v2/image/")) == 1
    assert tags_in(tmp_path) == {"1.0.0", "1.1.0"}


# --- what is not there -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app:9.9.9", "absent", "absent:1.0.0"])
def test_what_is_not_there_is_reported_and_the_rest_exported(
    name: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 11."""
    report = export(source, tmp_path, clock, name, "image")
    assert (report.exit_code, report.failures[0].exit_code) == (8, 4)
    assert name in only_failure(report)
    assert tags_in(tmp_path) == {"1.0.0"}


def test_if_nothing_is_there_the_code_is_4_and_no_file_appears(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 11."""
    assert export(source, tmp_path, clock, "absent").exit_code == NotFoundError.exit_code
    assert not (tmp_path / "b.tar.zst").exists()


def test_a_missing_child_of_an_index_is_named_with_its_parent(tmp_path: Path, clock: FakeClock) -> None:
    """Case 12."""
    content = an_index()
    child, parent = next(iter(content.manifests)), content.tags["latest"]
    del content.manifests[child]
    with MemoryRegistry({"app": content, "image": an_image()}) as source:
        report = export(source, tmp_path, clock, "app", "image")
    assert report.exit_code == 8
    assert child in only_failure(report)
    assert parent in only_failure(report)


def test_a_missing_blob_names_digest_and_tag(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 13."""
    digest = _own_layer(source, "1.0.0")
    source.on("GET", digest, says(404), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert (report.exit_code, report.failures[0].exit_code) == (8, 4)
    assert digest in only_failure(report)
    assert "app:1.0.0" in only_failure(report)


# --- manifests ---------------------------------------------------------------------------------------


def test_a_wrong_digest_header_over_right_bytes_is_a_warning(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 14."""
    source.on(
        "GET", "/manifests/1.0.0", with_headers(Docker_Content_Digest="sha256:" + "0" * 64), times=ALWAYS
    )
    report = export(source, tmp_path, clock)
    assert report.exit_code == 0
    assert "Docker-Content-Digest" in "".join(report.warnings)


def test_wrong_bytes_under_a_right_header_are_an_integrity_error(tmp_path: Path, clock: FakeClock) -> None:
    """Case 14."""
    content = a_module("1.0.0")
    with MemoryRegistry({"app": content}) as source:
        # By its digest too: there is no manifest here whose bytes are right.
        source.on("GET", "/manifests/", changed(_another_space), times=ALWAYS)
        report = export(source, tmp_path, clock)
    assert report.exit_code == 6
    assert content.tags["1.0.0"] in only_failure(report)


def _another_space(reply: Reply) -> Reply:
    return reply._replace(body=reply.body + b" ")


def test_wrong_bytes_of_a_tag_once_are_fetched_by_digest(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 14."""
    source.on("GET", "/manifests/1.0.0", changed(_another_space))
    assert export(source, tmp_path, clock).exit_code == 0
    assert tags_in(tmp_path) == {"1.0.0", "1.1.0"}


@pytest.mark.parametrize(
    "header", ["", OCI_MANIFEST + "; charset=utf-8", "application/json", OCI_MANIFEST.upper()]
)
def test_a_missing_or_decorated_content_type_is_no_matter(
    header: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 15."""
    source.on("GET", "/manifests/", with_headers(Content_Type=header), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0


def test_a_manifest_sent_as_an_index_is_refused(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 15."""
    source.on("GET", "/manifests/", with_headers(Content_Type=OCI_INDEX), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 7


BODIES = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b'{"schemaVersion": 2',
    b"<html><body>Please log in</body></html>",
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, "text/html"])
def test_a_login_page_or_a_cut_document_is_not_stored(
    body: bytes, media_type: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Cases 16, 17."""
    source.on("GET", "/manifests/", says(200, body, Content_Type=media_type), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code in (6, 7)
    assert list(tmp_path.rglob("blobs/sha256/*")) == []


def test_a_login_page_in_place_of_a_blob_is_an_integrity_error(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 16."""
    source.on("GET", "/blobs/", says(200, "<html>log in</html>", Content_Type="text/html"), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 6


@pytest.mark.parametrize("over", [0, 1])
def test_a_manifest_at_the_limit_is_taken_one_past_it_refused(
    over: int, tmp_path: Path, clock: FakeClock
) -> None:
    content = Content()
    data = dumped(index_document())
    content.add_bytes(data + b" " * (PATIENT.manifest - len(data) + over), OCI_INDEX, "1.0.0")
    with MemoryRegistry({"app": content}) as source:
        assert export(source, tmp_path, clock).exit_code == (ContentError.exit_code if over else 0)


# --- tag lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ['{"name": "app", "tags": null}', '{"tags": []}', "{}"])
def test_an_empty_tag_list_is_a_warning(
    body: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 18."""
    source.on("GET", "/v2/app/tags/list", says(200, body))
    report = export(source, tmp_path, clock, "app", "image")
    assert report.exit_code == 0
    assert "has no tags" in "".join(report.warnings)


@pytest.mark.parametrize("bad", [5, None, True, ["1.0.0"], "-rf", "a\nb", "\x1b[31m", "a" * 129, "../x"])
def test_names_that_are_not_tags_are_reported_the_rest_exported(
    bad: object, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 18."""
    body = json.dumps({"tags": ["1.0.0", bad, "1.0.0"]})
    source.on("GET", "/tags/list", says(200, body), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert (report.exit_code, report.failures[0].exit_code) == (8, 7)
    assert "can't be a tag" in only_failure(report)
    assert tags_in(tmp_path) == {"1.0.0"}


@pytest.mark.parametrize(
    "body", ["[", '"x"', '{"tags": {}}', '{"tags": "1.0.0"}', "5", "<html>", "null", "[]", '["1.0.0"]']
)
def test_an_answer_that_is_no_tag_list_is_refused(
    body: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 18."""
    source.on("GET", "/tags/list", says(200, body))
    assert export(source, tmp_path, clock).exit_code == 7


@pytest.mark.parametrize("count", [100_000, 100_001])
def test_a_list_may_have_the_limit_of_tags_and_not_one_more(
    count: int, source: MemoryRegistry, clock: FakeClock
) -> None:
    """Case 18."""
    body = json.dumps({"tags": [f"t{number}" for number in range(count)]})
    source.on("GET", "/tags/list", says(200, body), times=ALWAYS)
    repository = registries_for(clock).source(source.repository("app"))
    if count <= PATIENT.tags:
        assert len(repository.tags().tags) == count
    else:
        with pytest.raises(ContentError, match="limit of 100,000"):
            repository.tags()


def paged(source: MemoryRegistry, *links: str) -> None:
    """One page per link, each with one tag."""
    for number, link in enumerate((*links, "")):
        body = json.dumps({"tags": [f"1.{number}.0"]})
        headers = {"Docker_Distribution_Api_Version": "registry/2.0"}
        headers |= {"Link": link.replace("BASE", source.base)} if link else {}
        source.on("GET", "/tags/list", says(200, body, **headers))


@pytest.mark.parametrize(
    "link",
    [
        '</v2/app/tags/list?last=x&n=1>; rel="next"', '<BASE/v2/app/tags/list?last=x>; rel="next"',
        "<list?last=x>;rel=next", '</v2/app/tags/list?x=1,2>; title="a"; rel="next"',
        '</x>; rel=prev; title="b, <c>", <list?last=x>; title="a, b; \\" rel=last"; REL="prev Next"',
        "<list?last=x> ; hreflang ; rel = next ,", ', ,<list?last=x>;rel="next";rel="last"',
    ],
)  # fmt: skip
def test_a_link_to_the_next_page_is_followed_in_every_form(
    link: str, source: MemoryRegistry, clock: FakeClock
) -> None:
    """Case 20."""
    paged(source, link)
    assert registries_for(clock).source(source.repository("app")).tags().tags == ("1.0.0", "1.1.0")
    assert len(source.seen) == 2


@pytest.mark.parametrize("link", ["", "<>; rel=prev", "garbage", '</x>; rel="last"'])
def test_a_link_to_nothing_is_the_end(link: str, source: MemoryRegistry, clock: FakeClock) -> None:
    """Case 20."""
    source.on("GET", r"\?n=1000&last=", says(404))
    paged(source, link)
    assert registries_for(clock).source(source.repository("app")).tags().tags == ("1.0.0",)


@pytest.mark.parametrize(
    "link",
    [
        '<http://elsewhere.example/v2/app/tags/list>; rel="next"',
        f'</{"x" * 20_000}>; rel="next"', '<file:///etc/passwd>; rel="next"',
        '<http://user:pass@BASE/>; rel="next"',
    ],
)  # fmt: skip
def test_a_link_elsewhere_or_too_long_is_refused(link: str, source: MemoryRegistry, clock: FakeClock) -> None:
    """Case 20."""
    paged(source, link)
    with pytest.raises(ContentError):
        registries_for(clock).source(source.repository("app")).tags()
    assert len(source.seen) == 1


def test_links_that_go_round_in_a_circle_are_refused(source: MemoryRegistry, clock: FakeClock) -> None:
    """Case 20."""
    paged(source, *['</v2/app/tags/list?last=x>; rel="next"'] * 5)
    with pytest.raises(ContentError, match="form a loop"):
        registries_for(clock).source(source.repository("app")).tags()
    assert len(source.seen) == 2


def test_a_registry_that_cuts_at_n_without_a_link_is_asked_on(
    source: MemoryRegistry, clock: FakeClock
) -> None:
    """Case 20."""
    limits = PATIENT._replace(page_size=2)
    source.on("GET", "/tags/list", says(200, '{"tags": ["a", "b"]}'))
    source.on("GET", "last=b", says(200, '{"tags": ["c"]}'))
    assert registries_for(clock, limits=limits).source(source.repository("app")).tags().tags == (
        "a",
        "b",
        "c",
    )


def test_endless_pages_end_at_the_limit(source: MemoryRegistry, clock: FakeClock) -> None:
    """Case 20."""
    limits = PATIENT._replace(tag_pages=5)
    paged(source, *(f'</v2/app/tags/list?last={number}>; rel="next"' for number in range(10)))
    with pytest.raises(ContentError, match="limit of 5 pages"):
        registries_for(clock, limits=limits).source(source.repository("app")).tags()
    assert len(source.seen) == 5


# --- what it points to -------------------------------------------------------------------------------


def test_a_tag_that_moves_during_the_run_is_what_was_fetched(tmp_path: Path, clock: FakeClock) -> None:
    """Case 21."""
    content = a_module("1.0.0")
    other = content.add_image("moved")
    with MemoryRegistry({"app": content}) as source:
        moved = content.manifests[sha256(content.manifests[other["digest"]][1])][1]
        headers = {"Docker_Content_Digest": other["digest"], "Content_Type": OCI_MANIFEST}
        source.on("GET", "/manifests/1.0.0", says(200, moved, **headers))
        report = export(source, tmp_path, clock)
    assert report.repositories[0].tags[0].digest == other["digest"]
    assert tags_in(tmp_path) == {"1.0.0"}


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ],
)
def test_schema_1_is_refused_by_name(
    media_type: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 22."""
    source.on(
        "GET", "/manifests/1.0.0", says(200, '{"schemaVersion": 1}', Content_Type=media_type), times=ALWAYS
    )
    report = export(source, tmp_path, clock, "app:1.0.0")
    assert report.exit_code == 7
    assert "schema 1" in only_failure(report)


@pytest.mark.parametrize("content", [a_docker_image(), an_index(docker=True)], ids=["image", "list"])
def test_docker_types_are_carried_byte_for_byte(content: Content, tmp_path: Path, clock: FakeClock) -> None:
    """Case 22."""
    with MemoryRegistry({"app": content}) as source:
        assert export(source, tmp_path, clock).exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        found = verify_bundle(bundle).manifests
    assert {digest: (item.blob.media_type, item.data) for digest, item in found.items()} == content.manifests


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_content_is_exported(shape: str, tmp_path: Path, clock: FakeClock) -> None:
    """Case 25."""
    content = SHAPES[shape]()
    with MemoryRegistry({"app": content}) as source:
        assert export(source, tmp_path, clock).failures == ()
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        blobs = {blob.digest: b"".join(chunks) for blob, chunks in bundle.everything()}
    assert blobs == dict(content.everything())


def test_a_sparse_index_is_reported_and_not_half_exported(tmp_path: Path, clock: FakeClock) -> None:
    """Case 25."""
    content = an_index(of=3)
    del content.manifests[next(iter(content.manifests))]
    with MemoryRegistry({"app": content}) as source:
        report = export(source, tmp_path, clock)
    assert report.exit_code == 4
    assert not (tmp_path / "b.tar.zst").exists()


@pytest.mark.parametrize("depth", [8, 9])
def test_indexes_nested_to_the_limit_are_exported_and_no_deeper(
    depth: int, tmp_path: Path, clock: FakeClock
) -> None:
    with MemoryRegistry({"app": an_index_of_indexes(depth)}) as source:
        report = export(source, tmp_path, clock)
    assert report.exit_code == (0 if depth <= PATIENT.index_depth else 7)


def test_a_child_that_is_not_what_its_index_says_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    content = Content()
    child = content.add_image("child")
    content.add_manifest(index_document({**child, "size": child["size"] + 1}), "latest")
    with MemoryRegistry({"app": content}) as source:
        report = export(source, tmp_path, clock)
    assert report.exit_code in (6, 7)
    assert child["digest"] in only_failure(report)


def test_the_same_command_without_faults_makes_the_same_bundle(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    digest = _own_layer(source, "1.0.0")
    source.on("GET", digest, changed(flipped), times=PATIENT.integrity_attempts)
    assert export(source, tmp_path, clock).exit_code == 8
    asked = len(source.asked("GET", "/blobs/"))
    assert export(source, tmp_path, clock).exit_code == 0
    assert [seen.path.rpartition("/")[2] for seen in source.asked("GET", "/blobs/")[asked:]] == [digest]
    (tmp_path / "clean").mkdir()
    assert export(source, tmp_path / "clean", clock).exit_code == 0
    assert (tmp_path / "clean" / "b.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()
