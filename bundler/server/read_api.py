"""Reading from the registry: lists in pages with a `Link` to the next one, manifests, blobs.

Source: distribution-spec 1.1, "Listing Tags" and "Listing Referrers"; for repositories, Distribution's
`_catalog`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from typing import TypeVar
from urllib.parse import urlencode

from werkzeug import Request, Response
from werkzeug.exceptions import NotFound

from bundler.limits import Limits
from bundler.oci import OCI_INDEX, Digest, RepositoryPath, Tag
from bundler.server import answers
from bundler.server.referrer_index import Referrer, Referrers
from bundler.server.served_content import BLOB, ServedContent

Name = TypeVar("Name", bound=str)

FILTER = "artifactType"
"""The only filter of referrers."""


def tag_page(request: Request, name: RepositoryPath, tags: Iterable[Tag]) -> Response:
    """Return a page of a tag list, as `n` and `last` ask for it. Raises ApiError."""
    shown, link = _page(request, tags)
    response = Response(json.dumps({"name": name, "tags": shown}), content_type=answers.JSON)
    return _linked(response, f"/v2/{name}/tags/list", link)


def catalog_page(request: Request, names: Iterable[RepositoryPath]) -> Response:
    """Return a page of the names of all repositories, as `n` and `last` ask for it. Raises ApiError."""
    shown, link = _page(request, names)
    response = Response(json.dumps({"repositories": shown}), content_type=answers.JSON)
    return _linked(response, "/v2/_catalog", link)


def _page(request: Request, names: Iterable[Name]) -> tuple[list[Name], dict[str, str | int]]:
    """Return the items to show, and the query for the next page; None at the end."""
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
        raise answers.ApiError(
            HTTPStatus.BAD_REQUEST, "PAGINATION_NUMBER_INVALID", f"n={text} is not a number of names"
        )
    return int(text)


# --- referrers ---------------------------------------------------------------------------------------


def referrers_page(
    request: Request, name: RepositoryPath, subject: Digest, referrers: Sequence[Referrer], limits: Limits
) -> Response:
    """Return a page of the referrers of `subject`, given in the order of their digests.

    At most `limits.page_size` of them, and not more bytes than a manifest may have: clients read it as
    one. What follows is asked for by the last digest, so that nothing is lost if others are pushed.
    """
    kind = request.args.get(FILTER, "")
    after = request.args.get("last", "")
    matching = [
        referrer for referrer in referrers if referrer.digest > after and kind in ("", referrer.artifact_type)
    ]
    shown = list(_fitting(matching, limits))
    listed = [referrer.fields for referrer in shown]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    response = Response(json.dumps(document), content_type=OCI_INDEX)
    more = {FILTER: kind} if kind else {}
    if kind:
        response.headers["OCI-Filters-Applied"] = FILTER
    link = {**more, "last": shown[-1].digest} if len(shown) < len(matching) else {}
    return _linked(response, f"/v2/{name}/referrers/{subject}", link)


def _fitting(referrers: Sequence[Referrer], limits: Limits) -> Iterable[Referrer]:
    """Return the referrers that fit into one page; the first in any case, or there would be no end."""
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


class DiscoveryApi:
    """The answers by endpoint name (`bundler.server.app`); all raise ApiError."""

    def __init__(self, content: ServedContent, *, referrers: bool = True) -> None:
        self._content = content
        self._referrers = Referrers(content) if referrers else None

    def catalog(self, request: Request) -> Response:
        """Return a page of the names of all repositories."""
        return catalog_page(request, self._content.names())

    def tags(self, request: Request, name: str) -> Response:
        """Return a page of the tags of a repository, in lexical order."""
        path = answers.parse_name(name)
        return tag_page(request, path, answers.known_repository(self._content, path).tags)

    def referrers(self, request: Request, name: str, digest: str) -> Response:
        """Return a page of the manifests whose subject is `digest`; an empty one without any.

        Never 404 where the API is there: by that a client knows that it is not.
        """
        if self._referrers is None:
            raise NotFound
        path, subject = answers.parse_name(name), answers.parse_digest(digest)
        listed = self._referrers.of(path, subject)
        return referrers_page(request, path, subject, listed, self._content.limits)


class ContentApi:
    """The answers by endpoint name (`bundler.server.app`); all raise ApiError."""

    def __init__(self, content: ServedContent) -> None:
        self._content = content

    def version(self, request: Request) -> Response:
        """Answer `GET /v2/`: this is a registry."""
        return Response(b"{}", content_type=answers.JSON)

    def manifest(self, request: Request, name: str, reference: str) -> Response:
        """Return a manifest by tag or digest, as the bytes that were pushed."""
        path, tag_or_digest = answers.parse_name(name), answers.parse_tag_or_digest(reference)
        manifest = answers.known_repository(self._content, path).resolve(tag_or_digest)
        if manifest is None:
            raise answers.ApiError(
                HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", f"{path} has no manifest {tag_or_digest}"
            )
        return answers.content_response(request, manifest, self._content.chunks)

    def blob(self, request: Request, name: str, reference: str) -> Response:
        """Return a blob by digest."""
        path, digest = answers.parse_name(name), answers.parse_digest(reference)
        blob = self._content.blob(path, digest)
        if blob is None:
            answers.known_repository(self._content, path)
            raise answers.ApiError(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", f"{path} has no blob {digest}")
        return answers.content_response(request, replace(blob, media_type=BLOB), self._content.chunks)
