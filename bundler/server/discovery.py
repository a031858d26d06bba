"""The asking half of the API: which tags, repositories and referrers there are."""

from __future__ import annotations

from werkzeug import Request, Response
from werkzeug.exceptions import NotFound

from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.server.answers import known_repository, parse_digest, parse_name
from bundler.server.content import Content
from bundler.server.pages import catalog_page, referrers_page, tag_page
from bundler.server.referrers import Referrers


class Discovery:
    """Answers by endpoint name, see `bundler.server.app`. All raise ApiError."""

    def __init__(self, content: Content, limits: Limits = DEFAULT_LIMITS, *, referrers: bool = True) -> None:
        self._content = content
        self._limits = limits
        self._referrers = Referrers(content, limits) if referrers else None

    def catalog(self, request: Request) -> Response:
        """A page of the names of all repositories."""
        return catalog_page(request, self._content.names())

    def tags(self, request: Request, name: str) -> Response:
        """A page of the tags of a repository, in lexical order."""
        path = parse_name(name)
        return tag_page(request, path, known_repository(self._content, path).tags)

    def referrers(self, request: Request, name: str, digest: str) -> Response:
        """A page of the manifests whose subject is `digest`; an empty one where nothing is known of it.

        Never 404 where the API is there: by that a client knows that it is not.
        """
        if self._referrers is None:
            raise NotFound
        path, subject = parse_name(name), parse_digest(digest)
        return referrers_page(request, path, subject, self._referrers.of(path, subject), self._limits)
