"""Who refers to a manifest: the Referrers API, where a registry has it.

Source: distribution-spec 1.1, "Listing Referrers". A registry says in many ways that it lacks the
API: 404 without words of its own (Distribution), a redirect to a web page (ghcr.io), 401 without a
challenge (Harbor up to 2.7), 405, 501, or a page of HTML.
"""

from __future__ import annotations

from collections.abc import Callable

from bundler.errors import ContentError
from bundler.oci.content import Descriptor, Digest, sha256
from bundler.oci.manifest import OCI_INDEX, parse_manifest
from bundler.oci.reference import RepositoryName
from bundler.registry.auth import NoChallengeError
from bundler.registry.host import REDIRECTS, Host, Reply
from bundler.registry.large import few
from bundler.registry.paging import next_link
from bundler.registry.status import own_words

_OK = frozenset({200})
_NOT_THERE = frozenset({400, 404, 405, 406, 501}) | REDIRECTS
_NONE_HERE = frozenset({"MANIFEST_UNKNOWN"})
"""Codes of registries that have the API, and answer 404 where nothing refers."""


def referrers(
    host: Host, name: RepositoryName, subject: Digest, count: Callable[[int], None]
) -> tuple[Descriptor, ...] | None:
    """The manifests whose subject is `subject`, over all pages; None where there is no such API.

    Once a host was found to lack it, it isn't asked again. Raises what else keeps it from answering:
    an answer that could not be had is no absence.
    """
    if host.lacks_referrers:
        return None
    item = f"referrers of {name}@{subject}"
    address: str | None = f"/v2/{name.path}/referrers/{subject}"
    found: dict[Digest, Descriptor] = {}
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
        before = len(found)
        found |= {child.digest: child for child in listed}
        count(len(found) - before)
        if len(found) > limits.graph_nodes:
            raise ContentError(item, f"more than the limit of {limits.graph_nodes:,}")
        address = next_link(host, reply, address or "", item)
        if address is None:
            return tuple(found.values())
        if address in visited:
            raise ContentError(item, "its Link headers go round in a circle")
    raise ContentError(item, f"more than the limit of {limits.tag_pages:,} pages")


@few
def _page(host: Host, name: RepositoryName, address: str) -> tuple[Reply | None, tuple[Descriptor, ...]]:
    """One page, and its answer without the body."""
    reply = _asked(host, name, address)
    if reply is None or reply.status != 200:
        return reply, ()
    limits = host.settings.limits
    index = parse_manifest(reply.body, OCI_INDEX, sha256(reply.body), limits=limits)
    return reply._replace(body=b""), index.children


def _asked(host: Host, name: RepositoryName, address: str) -> Reply | None:
    """One page, or the 404 of a registry that has the API; None where it does not."""
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
