"""Lists that come in pages: the `Link` header to the next one. Source: distribution-spec 1.1, RFC 8288."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from bundler.errors import ContentError, printable
from bundler.registry.host import Host, Reply

_TARGET = re.compile(r"[\s,]*+<([^>]*+)>")
_PARAMETER = re.compile(r'\s*+;\s*+([^\s=;,"]*+)\s*+(?:=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s;,"]*+)))?')


def next_link(host: Host, reply: Reply, address: str, item: str) -> str | None:
    """The address of the next page, as the registry gave it; None on the last.

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
    """The target whose relations have `next`; in one pass, whatever stands there."""
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
