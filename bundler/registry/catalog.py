"""The repositories of a registry, where it tells. Source: distribution, "Listing Repositories"."""

from __future__ import annotations

from urllib.parse import urlencode

from bundler.errors import AuthError, ContentError, NotFoundError, printable
from bundler.oci import strict_json
from bundler.oci.reference import RepositoryName
from bundler.registry.host import Host
from bundler.registry.paging import next_link
from bundler.registry.status import RefusedError

_SCOPE = "registry:catalog:*"
_NEXT_STEP = "name the repositories one by one: many registries (ghcr.io, Docker Hub) have no catalog"


def catalog(host: Host) -> tuple[RepositoryName, ...]:
    """All repositories that this registry lists, by name; names that can't be repositories are left out.

    Raises NotFoundError where the registry has no catalog, AuthError where it doesn't show it to us,
    ContentError for an endless or malformed list.
    """
    limits, item = host.settings.limits, f"catalog of {host.name}"
    address: str | None = f"/v2/_catalog?{urlencode({'n': limits.page_size})}"
    found: dict[RepositoryName, None] = {}
    visited: set[str | None] = set()
    for _ in range(limits.tag_pages):
        visited.add(address)
        try:
            reply = host.fetch("GET", address or "", _SCOPE, accept=frozenset({200}), limit=limits.tag_page)
        except (AuthError, NotFoundError, RefusedError) as error:
            kind = AuthError if isinstance(error, AuthError) else NotFoundError
            raise kind(item, f"it can't be read: {error.cause}", _NEXT_STEP) from error
        found |= dict.fromkeys(
            _names(host, strict_json.loads(reply.body, item=item, depth=limits.json_depth))
        )
        if len(found) > limits.tags:
            raise ContentError(item, f"more than the limit of {limits.tags:,} repositories")
        address = next_link(host, reply, address or "", item)
        if address is None:
            return tuple(sorted(found))
        if address in visited:
            raise ContentError(item, "its Link headers go round in a circle")
    raise ContentError(item, f"more than the limit of {limits.tag_pages:,} pages")


def _names(host: Host, document: object) -> list[RepositoryName]:
    names = document.get("repositories") if isinstance(document, dict) else document
    if not isinstance(document, dict) or not isinstance(names, list | None):
        raise ContentError(f"catalog of {host.name}", f"not a catalog: {printable(repr(names), 60)}")
    found: list[RepositoryName] = []
    for name in names or ():
        try:
            if isinstance(name, str):
                found.append(RepositoryName.parse(f"{host.name}/{name}"))
        except ValueError:
            continue  # no tool could ask for it
    return found
