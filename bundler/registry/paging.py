"""Lists that come in pages: the `Link` header to the next one. Source: distribution-spec 1.1, RFC 8288."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from bundler.errors import ContentError, printable
from bundler.registry.host import Host, Reply

_LINK = re.compile(r'<([^>]*)>\s*;[^,]*?\brel\s*=\s*"?next"?(?=[\s;,]|$)', re.IGNORECASE)


def next_link(host: Host, reply: Reply, address: str, item: str) -> str | None:
    """The address of the next page, as the registry gave it; None on the last.

    Raises ContentError for a header over the limit, or one that leads to another host.
    """
    header = reply.headers.get("Link", "")
    if len(header) > host.settings.limits.location:
        raise ContentError(item, "its Link header is over the limit")
    match = _LINK.search(header)
    if match is None:
        return None
    url = host.checked_url(match[1], urljoin(host.origin, address), item)
    if not host.same_origin(url):
        raise ContentError(item, f"its Link leads to another host, {printable(urlsplit(url).netloc)}")
    return url
