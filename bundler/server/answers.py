"""Common parts of answers: addresses read strictly, errors as the specification words them.

Source: distribution-spec 1.1, "Error Codes" and "Pull".
"""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import TypeVar

from werkzeug import Request, Response

from bundler.errors import printable
from bundler.oci import CHUNK, Descriptor, Digest, RepositoryPath, Tag, held_back
from bundler.oci.grammar import Parsed
from bundler.server.served_catalog import ServedRepository
from bundler.server.served_content import ServedContent

JSON = "application/json"

Name = TypeVar("Name", bound=Parsed)


class ApiError(Exception):
    """A request that is answered with an error, of one of the specification's codes."""

    def __init__(self, status: HTTPStatus, code: str, message: str, **headers: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = printable(message, 1000)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        """Return the error as an answer."""
        error = {"code": self.code, "message": self.message, "detail": None}
        body = json.dumps({"errors": [error]}).encode() + b"\n"
        return Response(body, self.status, self.headers, content_type=JSON)


def parse_name(text: str) -> RepositoryPath:
    """Return the name of a repository. Raises ApiError."""
    return _parsed(RepositoryPath, text, "NAME_INVALID")


def parse_digest(text: str) -> Digest:
    """Return a digest. Raises ApiError."""
    return _parsed(Digest, text, "DIGEST_INVALID")


def parse_tag_or_digest(text: str) -> Tag | Digest:
    """Return the tag or digest that a manifest is requested by. Raises ApiError."""
    return parse_digest(text) if ":" in text else _parsed(Tag, text, "MANIFEST_INVALID")


def known_repository(content: ServedContent, path: RepositoryPath) -> ServedRepository:
    """Return the repository of that name. Raises ApiError when there is none."""
    repository = content.repository(path)
    if repository is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", f"there is no repository {path} here")
    return repository


def _parsed(kind: type[Name], text: str, code: str) -> Name:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, code, str(error)) from error


def body(request: Request) -> Iterator[bytes]:
    """Yield the request's body in pieces. Raises ApiError when its chunked coding is broken."""
    while True:
        try:
            piece = request.stream.read(CHUNK)
        except ValueError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", str(error)) from error
        if not piece:
            return
        yield piece


def content_response(
    request: Request, blob: Descriptor, chunks: Callable[[Descriptor], Iterator[bytes]]
) -> Response:
    """Return a blob or manifest, or the one range of it that is asked for.

    The last bytes follow only after the verdict on all, so damaged content never arrives whole. (A
    range that ends earlier has no verdict: its reader can't have one either.) Raises
    RequestedRangeNotSatisfiable.
    """
    response = Response(content_type=blob.media_type, direct_passthrough=True)
    response.headers["Content-Length"] = str(blob.size)
    response.headers["Docker-Content-Digest"] = blob.digest
    response.headers["Accept-Ranges"] = "bytes"
    response.set_etag(blob.digest)
    if request.method == "GET":
        bytes_of_it = held_back(chunks(blob))
        # The first now: an error is still an answer before the headers are sent.
        response.response = chain((next(bytes_of_it, b""),), bytes_of_it)
    # Ranges that are malformed, several or of another unit may be ignored: RFC 9110, section 14.2.
    asked = request.range
    single = asked is not None and asked.units == "bytes" and len(asked.ranges) == 1
    return response.make_conditional(
        request, accept_ranges=True, complete_length=blob.size if single else None
    )
