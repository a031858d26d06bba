"""Writing to the registry: uploads in one request or many, mounts, manifests."""

import contextlib
import re
from collections.abc import Iterator
from http import HTTPStatus

from werkzeug import Request, Response

from bundler.errors import ContentError, IntegrityError
from bundler.oci import Digest, Manifest, RepositoryPath, sha256
from bundler.oci.manifest import parse_served
from bundler.server.answers import ApiError, body, parse_digest, parse_name, parse_tag_or_digest
from bundler.server.uploads import UploadInUseError, UploadSession
from bundler.server.writable import MissingPartError, WritableContent

_CONTENT_RANGE = re.compile("(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/.*)?")


class WriteApi:
    """The answers by endpoint name (`bundler.server.app`); all raise ApiError."""

    def __init__(self, content: WritableContent, *, referrers: bool = True) -> None:
        self._content = content
        self._referrers = referrers

    # --- blobs -----------------------------------------------------------------------------------

    def begin_upload(self, request: Request, name: str) -> Response:
        """Answer `POST` of an upload with a session or, given `mount` or `digest`, with the blob."""
        path = parse_name(name)
        if "mount" in request.args:
            digest = parse_digest(request.args["mount"])
            # Wherever it was pushed to, it is here: `from` need not be asked.
            if self._content.blob(path, digest):
                return _created(path, "blobs", digest)
        upload = self._content.uploads.begin()
        if "digest" in request.args:
            return self.finish_upload(request, name, upload)
        return _accepted(path, upload, 0, HTTPStatus.ACCEPTED)

    def show_upload(self, request: Request, name: str, upload: str) -> Response:
        """Answer `GET` of an upload: how many bytes it has."""
        path = parse_name(name)
        with self._session(upload) as session:
            return _accepted(path, upload, session.size, HTTPStatus.NO_CONTENT)

    def append_upload(self, request: Request, name: str, upload: str) -> Response:
        """Answer `PATCH` of an upload: append the next bytes."""
        path = parse_name(name)
        with self._session(upload) as session:
            self._append(request, path, upload, session)
            return _accepted(path, upload, session.size, HTTPStatus.ACCEPTED)

    def finish_upload(self, request: Request, name: str, upload: str) -> Response:
        """Answer `PUT` of an upload: append the last bytes, and check the digest of all."""
        path = parse_name(name)
        digest = parse_digest(request.args.get("digest", ""))
        with self._session(upload) as session:
            self._append(request, path, upload, session)
            self._content.uploads.end(upload)
            try:
                self._content.keep_blob(session, digest)
            except IntegrityError as error:
                raise ApiError(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", str(error)) from error
        return _created(path, "blobs", digest)

    def cancel_upload(self, request: Request, name: str, upload: str) -> Response:
        """Answer `DELETE` of an upload: give it up."""
        with self._session(upload) as session:
            self._content.uploads.end(upload)
            session.discard()
        return Response(status=HTTPStatus.NO_CONTENT)

    @contextlib.contextmanager
    def _session(self, name: str) -> Iterator[UploadSession]:
        try:
            with self._content.uploads.session(name) as session:
                if session is None:
                    message = "this upload is over, or never began"
                    raise ApiError(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
                yield session
        except UploadInUseError as error:
            message = "another request sends to this upload"
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "TOOMANYREQUESTS", message) from error

    def _append(self, request: Request, path: RepositoryPath, name: str, session: UploadSession) -> None:
        content_range = request.headers.get("Content-Range")
        if content_range is not None:
            match = _CONTENT_RANGE.fullmatch(content_range)
            if not match or int(match[1]) != session.size:
                where = _accepted(path, name, session.size, HTTPStatus.ACCEPTED).headers
                message = f"Content-Range {content_range}: the next byte is number {session.size}"
                status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                raise ApiError(
                    status, "BLOB_UPLOAD_INVALID", message, Location=where["Location"], Range=where["Range"]
                )
        session.append(body(request))

    # --- manifests -------------------------------------------------------------------------------

    def put_manifest(self, request: Request, name: str, reference: str) -> Response:
        """Answer `PUT` of a manifest, under a tag or its digest; all its parts must be there.

        Its subject need not be. `OCI-Subject` tells the client that it will be among the referrers.
        """
        path, tag_or_digest = parse_name(name), parse_tag_or_digest(reference)
        data = self._manifest_body(request)
        seen = tag_or_digest.computed(data) if isinstance(tag_or_digest, Digest) else sha256(data)
        if isinstance(tag_or_digest, Digest) and seen != tag_or_digest:
            message = f"the received manifest has the digest {seen}, not {tag_or_digest}"
            raise ApiError(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", message)
        try:
            manifest = self._parsed(data, request.headers.get("Content-Type", ""), seen)
            self._content.put_manifest(
                path, None if isinstance(tag_or_digest, Digest) else tag_or_digest, manifest
            )
        except MissingPartError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", str(error)) from error
        except ContentError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", str(error)) from error
        response = _created(path, "manifests", seen)
        if manifest.subject and self._referrers:
            response.headers["OCI-Subject"] = manifest.subject.digest
        return response

    def delete_tag(self, request: Request, name: str, reference: str) -> Response:
        """Answer `DELETE` of a tag; its manifest stays, as there is no garbage collection."""
        path, tag_or_digest = parse_name(name), parse_tag_or_digest(reference)
        if isinstance(tag_or_digest, Digest):
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "manifests are not deleted here")
        if not self._content.delete_tag(path, tag_or_digest):
            raise ApiError(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", f"{path} has no tag {tag_or_digest}")
        return Response(status=HTTPStatus.ACCEPTED)

    def _manifest_body(self, request: Request) -> bytes:
        data = bytearray()
        for piece in body(request):
            data += piece
            if len(data) > self._content.limits.manifest:
                message = f"larger than the limit of {self._content.limits.manifest:,} bytes"
                raise ApiError(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", message)
        return bytes(data)

    def _parsed(self, data: bytes, declared: str, digest: Digest) -> Manifest:
        limits = self._content.limits
        return parse_served(data, declared, digest, item=f"manifest {digest}", limits=limits)


def _accepted(path: RepositoryPath, upload: str, size: int, status: HTTPStatus) -> Response:
    headers = {"Location": f"/v2/{path}/blobs/uploads/{upload}", "Range": f"0-{max(size - 1, 0)}"}
    return Response(status=status, headers=headers)


def _created(path: RepositoryPath, kind: str, digest: Digest) -> Response:
    headers = {"Location": f"/v2/{path}/{kind}/{digest}", "Docker-Content-Digest": digest}
    return Response(status=HTTPStatus.CREATED, headers=headers)
