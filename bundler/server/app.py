"""The registry as a WSGI application: routes and answers to errors.

Source: distribution-spec 1.1, "API". What is not here answers 404 (the referrers API where it is
switched off, by which a client knows that it must use the fallback tag) or 405 (deleting, and pushing
to read-only content).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from bundler.errors import BundlerError, LocalError, printable
from bundler.oci.addresses import is_here, split_address
from bundler.server.answers import ApiError
from bundler.server.read_api import ContentApi, DiscoveryApi
from bundler.server.served_content import ServedContent
from bundler.server.writable import WritableContent
from bundler.server.write_api import WriteApi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from bundler.server.passwords import Passwords


Log = Callable[[str], None]

Endpoint = Callable[..., Response]

Pages = Callable[[str, str], str | None]
"""Returns the page of a path, for a registry that is asked under this `host:port`; None without one."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::[0-9]{1,5})?")

_PAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_UPLOAD = "/v2/<path:name>/blobs/uploads/<upload>"

_ROUTES = Map(
    [
        Rule("/v2/", methods=["GET"], endpoint="version"),
        Rule("/v2/_catalog", methods=["GET"], endpoint="catalog"),
        Rule("/v2/<path:name>/referrers/<digest>", methods=["GET"], endpoint="referrers"),
        Rule("/v2/<path:name>/tags/list", methods=["GET"], endpoint="tags"),
        Rule("/v2/<path:name>/manifests/<reference>", methods=["GET"], endpoint="manifest"),
        Rule("/v2/<path:name>/manifests/<reference>", methods=["PUT"], endpoint="put_manifest"),
        Rule("/v2/<path:name>/manifests/<reference>", methods=["DELETE"], endpoint="delete_tag"),
        Rule("/v2/<path:name>/blobs/<reference>", methods=["GET"], endpoint="blob"),
        Rule("/v2/<path:name>/blobs/uploads/", methods=["POST"], endpoint="begin_upload"),
        Rule(_UPLOAD, methods=["GET"], endpoint="show_upload"),
        Rule(_UPLOAD, methods=["PATCH"], endpoint="append_upload"),
        Rule(_UPLOAD, methods=["PUT"], endpoint="finish_upload"),
        Rule(_UPLOAD, methods=["DELETE"], endpoint="cancel_upload"),
    ],
    strict_slashes=False,
    merge_slashes=False,
).bind("registry")

_ERRORS = {
    404: ("UNSUPPORTED", "this registry does not have that API"),
    405: ("UNSUPPORTED", "this registry can't do that"),
    416: ("RANGE_INVALID", "the range lies behind the end"),
}


class Registry:
    """A registry over some content; it takes pushes if the content does.

    Without `referrers`, it is one of the many that lack the referrers API. Without `any_name`, it answers
    to names of loopback only. With `passwords`, every request needs one. `pages` are for browsers.
    """

    def __init__(
        self,
        content: ServedContent,
        *,
        log: Log | None = None,
        trouble: Log | None = None,
        referrers: bool = True,
        any_name: bool = True,
        passwords: Passwords | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._any_name = any_name
        self._passwords = passwords
        self._pages = pages
        self._log = log
        self._trouble = trouble
        self._rooms: list[object] = [ContentApi(content), DiscoveryApi(content, referrers=referrers)]
        if isinstance(content, WritableContent):
            self._rooms.append(WriteApi(content, referrers=referrers))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one WSGI request."""
        request = Request(environ)
        response = self.answer(request)
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        if self._log:
            self._log(printable(f"{request.method} {request.full_path.rstrip('?')} {response.status_code}"))
        return response(environ, start_response)

    def answer(self, request: Request) -> Response:
        """Return the answer to one request, errors included."""
        try:
            _refuse_browsers(request)
            if not self._any_name:
                _refuse_other_names(request)
            if self._passwords and not self._passwords.allow(request.headers.get("Authorization")):
                return _login_required()
            if self._pages and request.method in ("GET", "HEAD") and not request.path.startswith("/v2"):
                return self._page(self._pages, request)
            name, arguments = _ROUTES.match(request.path, request.method)
            return self._endpoint(name)(request, **arguments)
        except ApiError as error:
            return error.response()
        except HTTPException as error:
            return _from_werkzeug(error)
        except BundlerError as error:
            return self._failed(request, error)

    def _page(self, pages: Pages, request: Request) -> Response:
        page = pages(request.path, request.host if _HOST.fullmatch(request.host) else "REGISTRY")
        if page is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "there is no such page; see /")
        return Response(page, content_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)

    def _endpoint(self, name: str) -> Endpoint:
        for room in self._rooms:
            endpoint: Endpoint | None = getattr(room, name, None)
            if endpoint is not None:
                return endpoint
        raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only")

    def _failed(self, request: Request, error: BundlerError) -> Response:
        if self._trouble:
            self._trouble(f"{printable(request.path)}: {error}")
        if isinstance(error, LocalError):
            # Not 500: a full disk is not over when the client tries again at once.
            return ApiError(HTTPStatus.INSUFFICIENT_STORAGE, "UNKNOWN", error.cause).response()
        return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", str(error)).response()


def _login_required() -> Response:
    challenge = 'Basic realm="timoni-bundler", charset="UTF-8"'
    message = "log in with the name and password of a user of this registry"
    return ApiError(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", message, WWW_Authenticate=challenge).response()


def _refuse_browsers(request: Request) -> None:
    """Raise ApiError for a push from a web page; registry clients send no `Origin`."""
    if request.method not in ("GET", "HEAD") and "Origin" in request.headers:
        raise ApiError(HTTPStatus.FORBIDDEN, "DENIED", "pushes from web pages are refused")


def _refuse_other_names(request: Request) -> None:
    """Raise ApiError for a request to a name that is not one of loopback: a web page rebound its own."""
    name = request.environ.get("HTTP_HOST")
    place = split_address(f"http://{name}")
    if name is not None and not (place and is_here(place.hostname or "")):
        message = "this registry answers to names of this machine only; start it with --host to change that"
        raise ApiError(HTTPStatus.FORBIDDEN, "DENIED", message)


def _from_werkzeug(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    headers: dict[str, Any] = {
        name: value for name, value in error.get_headers() if name in ("Allow", "Content-Range")
    }
    code, message = _ERRORS.get(status, ("UNKNOWN", str(error.description)))
    return ApiError(status, code, message, **headers).response()
