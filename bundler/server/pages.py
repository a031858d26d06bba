"""Lists that are given in pages, each with a `Link` to the next one.

Source: distribution-spec 1.1, "Listing Tags" and "Listing Referrers"; for repositories, Distribution's
`_catalog`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import TypeVar
from urllib.parse import urlencode

from werkzeug import Request, Response

from bundler.limits import Limits
from bundler.oci.content import Digest
from bundler.oci.manifest import OCI_INDEX
from bundler.oci.reference import RepositoryPath, Tag
from bundler.server.answers import JSON, ApiError
from bundler.server.referrers import Referrer

Name = TypeVar("Name", bound=str)

FILTER = "artifactType"
"""The one thing that referrers are filtered by."""


def tag_page(request: Request, name: RepositoryPath, tags: Iterable[Tag]) -> Response:
    """A page of a tag list, as `n` and `last` ask for it. Raises ApiError."""
    shown, link = _page(request, tags)
    response = Response(json.dumps({"name": name, "tags": shown}), content_type=JSON)
    return _linked(response, f"/v2/{name}/tags/list", link)


def catalog_page(request: Request, names: Iterable[RepositoryPath]) -> Response:
    """A page of the names of all repositories, as `n` and `last` ask for it. Raises ApiError."""
    shown, link = _page(request, names)
    response = Response(json.dumps({"repositories": shown}), content_type=JSON)
    return _linked(response, "/v2/_catalog", link)


def _page(request: Request, names: Iterable[Name]) -> tuple[list[Name], dict[str, str | int]]:
    """What to show, and the query for what follows; none at the end."""
    after = _lexical(request.args.get("last", ""))
    ordered = sorted((name for name in names if _lexical(name) > after), key=_lexical)
    count = _count(request.args.get("n"), len(ordered))
    shown = ordered[:count]
    return shown, {"n": count, "last": shown[-1]} if shown and count < len(ordered) else {}


def _lexical(name: str) -> tuple[str, str]:
    # What the specification calls lexical order: alphanumeric, without regard to case.
    return name.lower(), name


def _count(text: str | None, everything: int) -> int:
    if text is None:
        return everything
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ApiError(HTTPStatus.BAD_REQUEST, "PAGINATION_NUMBER_INVALID", f"n={text} is no number of names")
    return int(text)


# --- referrers ---------------------------------------------------------------------------------------


def referrers_page(
    request: Request, name: RepositoryPath, subject: Digest, referrers: Sequence[Referrer], limits: Limits
) -> Response:
    """A page of the referrers of `subject`, given in the order of their digests.

    At most `limits.page_size` of them, and not more bytes than a manifest may have: clients read it as
    one. What follows is asked for by the last digest, so that nothing is lost if others are pushed.
    """
    wanted = request.args.get(FILTER, "")
    after = request.args.get("last", "")
    matching = [
        referrer
        for referrer in referrers
        if referrer.digest > after and wanted in ("", referrer.artifact_type)
    ]
    shown = list(_fitting(matching, limits))
    listed = [referrer.fields for referrer in shown]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    response = Response(json.dumps(document), content_type=OCI_INDEX)
    more = {FILTER: wanted} if wanted else {}
    if wanted:
        response.headers["OCI-Filters-Applied"] = FILTER
    link = {**more, "last": shown[-1].digest} if len(shown) < len(matching) else {}
    return _linked(response, f"/v2/{name}/referrers/{subject}", link)


def _fitting(referrers: Sequence[Referrer], limits: Limits) -> Iterable[Referrer]:
    """Those of one page; the first in any case, or there would be no end."""
    room = limits.manifest - 200
    for referrer in islice(referrers, limits.page_size):
        size = len(json.dumps(referrer.fields)) + 2
        if size > room and referrer is not referrers[0]:
            return
        room -= size
        yield referrer


def _linked(response: Response, path: str, query: Mapping[str, str | int]) -> Response:
    if query:
        response.headers["Link"] = f'<{path}?{urlencode(query)}>; rel="next"'
    return response
