"""Lists that come in pages: the `Link` header to the next one. Source: distribution-spec 1.1, RFC 8288."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urljoin, urlsplit

from bundler.errors import AuthError, BundlerError, ContentError, NetworkError, NotFoundError, printable
from bundler.oci import OCI_INDEX, Descriptor, Digest, RepositoryName, parse_manifest, sha256, strict_json
from bundler.registry.auth.token_exchange import NoChallengeError
from bundler.registry.http.host import REDIRECTS, Host, Reply
from bundler.registry.http.retry import TransientError
from bundler.registry.http.status import INTERNAL, RequestRefusedError, own_words
from bundler.registry.large_bodies import limit_large_bodies
from bundler.registry.list_habits import ListHabits

NAMES_ITS_API = "Docker-Distribution-Api-Version"
"""Header of registries of Distribution's family, which should send `Link` where they cut a list."""

_TARGET = re.compile(r"[\s,]*+<([^>]*+)>")

_PARAMETER = re.compile(r'\s*+;\s*+([^\s=;,"]*+)\s*+(?:=\s*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*)"|([^\s;,"]*+)))?')


def next_link(host: Host, reply: Reply, address: str, item: str) -> str | None:
    """Return the address of the next page, as the registry gave it; None on the last.

    Raises ContentError for a header over the limit, or one that leads to another host.
    """
    header = reply.headers.get("Link", "")
    if len(header) > host.settings.limits.location:
        raise ContentError(item, "its Link header is over the limit")
    target = _next_in(header)
    if target is None:
        return None
    url = host.checked_url(target, urljoin(host.origin, address), item)
    if not host.same_origin(url):
        raise ContentError(item, f"its Link leads to another host, {printable(urlsplit(url).netloc)}")
    return url


def _next_in(header: str) -> str | None:
    """Return the target whose relations have `next`, in one pass over the header."""
    position = 0
    while target := _TARGET.match(header, position):
        position, relations = target.end(), ""
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            if parameter[1].lower() == "rel":
                relations = relations or parameter[2] or parameter[3] or ""
        if "next" in relations.lower().split():
            return target[1]
    return None


def pages_of_names(
    host: Host, lists: ListHabits, first: str, item: str, read: Callable[[str], tuple[Reply, list[str]]]
) -> Iterator[list[str] | None]:
    """Yield the names on every page of a list of tags or repositories, by one request per page.

    Some registries cut a list at any length and say nothing: one without any `Link` is asked on where it may
    have been cut, until nothing new comes. None stands before the question to a registry that is probably
    right. `lists` is what is known of such lists of this host.
    Raises ContentError for an endless list, and what `read` raises for a page that must be there.
    """
    names: set[str] = set()
    visited: set[str] = set()
    address, reply, linked = first, None, False
    for _ in range(host.settings.limits.tag_pages):
        visited.add(address)
        if reply and not linked and NAMES_ITS_API in reply.headers and not lists.are_cut:
            yield None
        answer = read(address) if linked or reply is None else _more(lists, reply, names, address, read)
        if answer is None:
            return
        reply, page = answer
        yield page
        is_new = not names.issuperset(page)
        names.update(page)
        following = next_link(host, reply, address, item)
        if following is not None:
            lists.have_links = linked = True
            if following in visited:
                raise ContentError(item, "its Link headers form a loop")
        elif linked or not is_new:
            return
        else:
            following = f"{first}&{urlencode({'last': _asked_from(lists, reply, page)})}"
            if following in visited:
                return
        address = following
    raise ContentError(item, f"more than the limit of {host.settings.limits.tag_pages:,} pages")


def _asked_from(lists: ListHabits, reply: Reply, page: list[str]) -> str:
    """Return the name from which a registry is asked on, so that its answer tells most.

    The last name but one, where it should send `Link`: what understands the question answers with the last.
    Otherwise the last: a page may have room for one name.
    """
    return page[-1] if lists.are_cut or NAMES_ITS_API not in reply.headers else page[-2:][0]


def _more(
    lists: ListHabits,
    reply: Reply,
    names: set[str],
    address: str,
    read: Callable[[str], tuple[Reply, list[str]]],
) -> tuple[Reply, list[str]] | None:
    """Ask for what follows a page without `Link`; return None where the list is taken as whole."""
    says_links = NAMES_ITS_API in reply.headers
    with lists.doubted(len(names), believed=says_links) as doubted:
        if not doubted:
            return None
        try:
            answer = read(address)
        except BundlerError as error:
            if not _not_understood(error, says_links=says_links and not lists.are_cut):
                raise
            lists.note_useless()
            return None
        if not names.issuperset(answer[1]):
            lists.note_cut()
        elif names.issubset(answer[1]):
            lists.note_useless()
        else:
            lists.note_whole(len(names))
        return answer


def _not_understood(error: BundlerError, *, says_links: bool) -> bool:
    """Return whether a registry doesn't understand the question: what it told before was all.

    One that should send `Link` is believed whatever it answers. Without an answer nobody knows.
    """
    if isinstance(error, NetworkError) and not isinstance(error, RequestRefusedError):
        cause = error.__cause__
        return says_links and isinstance(cause, TransientError) and cause.status == INTERNAL
    return says_links or isinstance(error, NotFoundError | RequestRefusedError)


_CATALOG = frozenset({"repositories"})

_SCOPE = "registry:catalog:*"

_NEXT_STEP = "name the repositories one by one: many registries (ghcr.io, Docker Hub) have no catalog"


def catalog(host: Host) -> tuple[RepositoryName, ...]:
    """Return all repositories that this registry lists, by name, without names that can't be one.

    Raises NotFoundError where the registry has no catalog, AuthError where it doesn't show it to us,
    ContentError for an endless or malformed list.
    """
    limits, item = host.settings.limits, f"catalog of {host.name}"

    def read(address: str) -> tuple[Reply, list[str]]:
        try:
            reply = host.fetch("GET", address, _SCOPE, accept=frozenset({200}), limit=limits.tag_page)
        except (AuthError, NotFoundError, RequestRefusedError) as error:
            cause = f"it can't be read: {error.cause}"
            if isinstance(error, AuthError):
                raise AuthError(item, cause, f"{error.next_step}, or {_NEXT_STEP}") from error
            raise NotFoundError(item, cause, _NEXT_STEP) from error
        document = strict_json.loads(reply.body, item=item, depth=limits.json_depth, names=_CATALOG)
        return reply._replace(body=b""), _listed(document, item)

    names: dict[RepositoryName, None] = {}
    address = f"/v2/_catalog?{urlencode({'n': limits.page_size})}"
    for page in pages_of_names(host, ListHabits(), address, item, read):
        names |= dict.fromkeys(_names(host, page or []))
        if len(names) > limits.tags:
            raise ContentError(item, f"more than the limit of {limits.tags:,} repositories")
    return tuple(sorted(names))


def _listed(document: object, item: str) -> list[str]:
    listed = document.get("repositories") if isinstance(document, dict) else document
    if not isinstance(document, dict) or not isinstance(listed, list | None):
        raise ContentError(item, f"not a catalog: {printable(repr(listed), 60)}")
    return [name for name in listed or () if isinstance(name, str)]


def _names(host: Host, listed: list[str]) -> list[RepositoryName]:
    names: list[RepositoryName] = []
    for name in listed:
        try:
            names.append(RepositoryName.parse(f"{host.name}/{name}"))
        except ValueError:
            continue  # no tool could ask for it
    return names


_OK = frozenset({200})

_NOT_THERE = frozenset({400, 404, 405, 406, 501}) | REDIRECTS

_NONE_HERE = frozenset({"MANIFEST_UNKNOWN"})
"""Codes of registries that have the API, and answer 404 where nothing refers."""


def referrers(
    host: Host, name: RepositoryName, subject: Digest, count: Callable[[int], None]
) -> tuple[Descriptor, ...] | None:
    """Return the manifests whose subject is `subject`, over all pages; None without such an API.

    Once a host was found to lack it, it isn't asked again. Raises what else keeps it from answering:
    an answer that could not be had is no absence.
    """
    if host.lacks_referrers:
        return None
    item = f"referrers of {name}@{subject}"
    address: str | None = f"/v2/{name.path}/referrers/{subject}"
    descriptors: dict[Digest, Descriptor] = {}
    visited: set[str | None] = set()
    limits = host.settings.limits
    for _ in range(limits.tag_pages):
        visited.add(address)
        reply, listed = _page(host, name, address or "")
        if reply is None:
            host.lacks_referrers = True
            return None
        if reply.status != 200:
            return ()
        before = len(descriptors)
        descriptors |= {child.digest: child for child in listed}
        count(len(descriptors) - before)
        if len(descriptors) > limits.graph_nodes:
            raise ContentError(item, f"more than the limit of {limits.graph_nodes:,}")
        address = next_link(host, reply, address or "", item)
        if address is None:
            return tuple(descriptors.values())
        if address in visited:
            raise ContentError(item, "its Link headers form a loop")
    raise ContentError(item, f"more than the limit of {limits.tag_pages:,} pages")


@limit_large_bodies
def _page(host: Host, name: RepositoryName, address: str) -> tuple[Reply | None, tuple[Descriptor, ...]]:
    """Return one page, and its answer without the body."""
    reply = _asked(host, name, address)
    if reply is None or reply.status != 200:
        return reply, ()
    limits = host.settings.limits
    index = parse_manifest(reply.body, OCI_INDEX, sha256(reply.body), limits=limits)
    return reply._replace(body=b""), index.children


def _asked(host: Host, name: RepositoryName, address: str) -> Reply | None:
    """Return one page, or the 404 of a registry that has the API; None where it has not."""
    scope, headers = f"repository:{name.path}:pull", {"Accept": OCI_INDEX}
    limit = host.settings.limits.manifest
    try:
        reply = host.fetch("GET", address, scope, accept=_OK | _NOT_THERE, limit=limit, headers=headers)
        if reply.status in REDIRECTS:
            url = host.checked_url(reply.headers.get("Location", ""), f"{host.origin}{address}", address)
            if not host.same_origin(url):
                return None  # to a web site, which has no referrers
            reply = host.fetch("GET", url, scope, accept=_OK | _NOT_THERE, limit=limit, headers=headers)
    except NoChallengeError:
        return None
    if reply.status == 200:
        return None if reply.body.lstrip()[:1] == b"<" else reply
    none_here = reply.status == 404 and own_words(reply.body)[0] in _NONE_HERE
    return reply if none_here else None
