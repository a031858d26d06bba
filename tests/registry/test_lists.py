"""Lists of referrers and repositories from a registry that means no good: bounded, and refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bundler.errors import AuthError, BundlerError, ContentError, NotFoundError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_INDEX
from bundler.oci.reference import RegistryName, RepositoryName
from bundler.registry.http import host as hosts
from bundler.registry.http.exchange import TransportSettings
from bundler.registry.http.transport import Transport
from bundler.registry.listings import next_link
from bundler.registry.registries import Registries
from bundler.registry.settings import HostSettings, Traffic
from tests.doubles import Canary, FakeClock, LoopbackServer, Reply, Seen
from tests.flows import PATIENT, registries_for

SUBJECT = sha256(b"subject")
Respond = Callable[[Seen], Reply]


def an_index(count: int = 0, start: int = 0, **headers: str) -> Reply:
    """A page of referrers."""
    entries = [
        {"mediaType": OCI_INDEX, "digest": sha256(str(number).encode()), "size": 3}
        for number in range(start, start + count)
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Reply(200, {"Content-Type": OCI_INDEX, **headers}, json.dumps(document).encode())


def a_catalog(*names: object, **headers: str) -> Reply:
    """A page of repositories."""
    return Reply(200, headers, json.dumps({"repositories": names}).encode())


def following(request: Seen, number: int) -> str:
    """A Link to another page."""
    return f'<{request.path}?page={number}>; rel="next"'


def registries() -> Registries:
    """With small limits."""
    return registries_for(FakeClock(), limits=PATIENT._replace(tag_pages=5, graph_nodes=20, tags=20))


def referrers_of(respond: Respond) -> int:
    """How many referrers a registry lists."""
    with LoopbackServer(respond) as server:
        name = RepositoryName(f"{server.host}/app")
        return len(registries().source(name).referrers(SUBJECT) or ())


def catalog_of(respond: Respond) -> list[str]:
    """Which repositories a registry lists."""
    with LoopbackServer(respond) as server:
        return [name.path for name in registries().catalog(RegistryName(server.host))]


ANSWERS: list[Callable[..., Reply]] = [an_index, a_catalog]
ASK: dict[Callable[..., Reply], Callable[[Respond], object]] = {an_index: referrers_of, a_catalog: catalog_of}


@pytest.mark.parametrize("answer", ANSWERS)
def test_links_that_go_round_in_a_circle_are_refused(answer: Callable[..., Reply]) -> None:
    with pytest.raises(ContentError, match="form a loop"):
        ASK[answer](lambda seen: answer(Link=following(seen, 1)))


@pytest.mark.parametrize("answer", ANSWERS)
def test_endless_pages_end_at_the_limit(answer: Callable[..., Reply]) -> None:
    pages = iter(range(1000))
    with pytest.raises(ContentError, match="more than the limit of 5 pages"):
        ASK[answer](lambda seen: answer(Link=following(seen, next(pages))))


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_link_to_another_host_is_refused_and_not_followed(answer: Callable[..., Reply]) -> None:
    with Canary(lambda seen: Reply(200)) as canary:
        link = f'<http://{canary.host}/v2/>; rel="next"'
        with pytest.raises(ContentError, match="another host"):
            ASK[answer](lambda seen: answer(Link=link))
        assert canary.asked() == []


def test_more_referrers_than_the_limit_are_refused() -> None:
    assert referrers_of(lambda seen: an_index(20)) == 20
    with pytest.raises(ContentError, match="more than the limit of 20"):
        referrers_of(lambda seen: an_index(21))


def test_more_repositories_than_the_limit_are_refused() -> None:
    names = [f"app{number}" for number in range(21)]
    assert len(catalog_of(lambda seen: a_catalog(*names[:20]))) == 20
    with pytest.raises(ContentError, match="more than the limit of 20 repositories"):
        catalog_of(lambda seen: a_catalog(*names))


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"schemaVersion":1,"manifests":[]}', b'{"schemaVersion":2,"manifests":[{}]}', b"[" * 999],
)
def test_what_is_no_list_of_referrers_is_an_error_and_no_absence(body: bytes) -> None:
    with pytest.raises(ContentError):
        referrers_of(lambda seen: Reply(200, {"Content-Type": OCI_INDEX}, body))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"repositories": {}}', b'{"repositories": "app"}'])
def test_what_is_no_catalog_is_refused(body: bytes) -> None:
    with pytest.raises(ContentError):
        catalog_of(lambda seen: Reply(200, {}, body))


def test_names_that_no_repository_can_have_are_left_out() -> None:
    assert catalog_of(lambda seen: a_catalog("b", "../etc", 7, "A", "a/b", None)) == ["a/b", "b"]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthError), (403, AuthError), (404, NotFoundError), (405, NotFoundError)]
)
def test_a_registry_that_shows_no_catalog_says_what_to_do(status: int, kind: type[BundlerError]) -> None:
    with pytest.raises(kind, match="name the repositories one by one") as caught:
        catalog_of(lambda seen: Reply(status))
    assert ("--creds-file" in caught.value.next_step) == (kind is AuthError)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["<", "<>;", "<a>; ", '<a>;x="', '<a>;rel="', "<a>;;;", "<a>;rel=next-"])
def test_a_long_hostile_link_is_read_in_linear_time(part: str) -> None:
    settings = HostSettings(limits=DEFAULT_LIMITS._replace(location=1 << 22))
    name, transport = RegistryName("registry.example"), Transport(TransportSettings())
    host = hosts.Host(name, transport, lambda name, path: None, settings, Traffic())
    reply = hosts.Reply(200, {"Link": part * (1_000_000 // len(part))}, b"")
    assert next_link(host, reply, "/v2/app/tags/list", "tags") is None
