"""The reading half of the API: manifests, blobs."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from werkzeug import Request, Response

from bundler.server.answers import (
    JSON,
    ApiError,
    content_response,
    known_repository,
    parse_digest,
    parse_name,
    parse_tag_or_digest,
)
from bundler.server.content import BLOB, Content


class Pull:
    """Answers by endpoint name, see `bundler.server.app`. All raise ApiError."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def version(self, request: Request) -> Response:
        """`GET /v2/`: yes, this is a registry."""
        return Response(b"{}", content_type=JSON)

    def manifest(self, request: Request, name: str, reference: str) -> Response:
        """A manifest by tag or digest, as the bytes that were pushed."""
        path, wanted = parse_name(name), parse_tag_or_digest(reference)
        manifest = known_repository(self._content, path).resolve(wanted)
        if manifest is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", f"{path} has no manifest {wanted}")
        return content_response(request, manifest, self._content.chunks)

    def blob(self, request: Request, name: str, reference: str) -> Response:
        """A blob by digest."""
        path, digest = parse_name(name), parse_digest(reference)
        blob = self._content.blob(path, digest)
        if blob is None:
            known_repository(self._content, path)
            raise ApiError(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", f"{path} has no blob {digest}")
        return content_response(request, replace(blob, media_type=BLOB), self._content.chunks)
