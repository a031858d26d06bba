"""Uploads of blobs to one repository: mounted, in one request or two, or in pieces where a body is too long.

Source: distribution-spec 1.1, "Pushing blobs". Registries that differ are named where they are handled.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from bundler.errors import AuthError, BundlerError, ContentError, NotFoundError, TargetRefusedError, printable
from bundler.limits import KIB, MIB
from bundler.oci import Descriptor, RepositoryName, held_back, pieces
from bundler.registry import quirks
from bundler.registry.http.bodies import SMALLEST_PIECE, Body, first_piece, least_piece, with_query
from bundler.registry.http.exchange import Answer
from bundler.registry.http.host import Host
from bundler.registry.http.retry import TransientError
from bundler.registry.http.status import FULL, RequestRefusedError

UPLOAD_BEGUN = frozenset({201, 202})

Chunks = Callable[[int], Iterable[bytes]]

TRIED_WHOLE = 64 * KIB
"""Bytes of the largest blob by which it is found out whether a registry takes blobs in one POST."""

SENT_WHOLE = MIB
"""Bytes of the largest blob that is sent in one POST: it is in memory."""


_KNOWS_UPLOADS = re.compile("BLOB_UPLOAD|DIGEST_INVALID|SIZE_INVALID|RANGE_INVALID|413|416")
"""Refusals by a registry that does know the upload, or for its length."""


class Arrival(Enum):
    """The way in which a blob came to a repository."""

    NAMED = "named"
    """Its bytes were sent, and the target's answer to them names its digest."""
    SENT = "sent"
    """Its bytes were sent; the target has said no more than that it took them."""
    LENT = "lent"
    """It was mounted from another repository, or is there already: no bytes were sent."""


class BegunUpload(NamedTuple):
    """An upload under way."""

    location: str
    least: int
    """Bytes that a piece must have, except the last."""


class BlobUploads:
    """The uploads of blobs to one repository, from any number of threads."""

    def __init__(self, host: Host, name: RepositoryName) -> None:
        self._host = host
        self._name = name
        self._limits = host.settings.limits
        self._base = f"/v2/{name.path}"
        self._push = f"repository:{name.path}:pull,push"
        self._too_long = float("inf")
        """Bytes of the shortest body that was refused for its length."""

    def add(
        self,
        blob: Descriptor,
        chunks: Chunks,
        has: Callable[[Descriptor], bool],
        *,
        mount_from: RepositoryName | None = None,
        begun: BegunUpload | None = None,
    ) -> Arrival:
        """Upload a blob, or have it mounted from another repository.

        `chunks(0)` is opened again for every try. The last chunk is sent only after the verdict on
        all, so that wrong bytes are never finalised. Raises TargetRefusedError, IntegrityError.
        """
        tries = 0

        def attempt() -> Arrival:
            nonlocal tries
            tries += 1
            # An earlier try may have ended well, and only its answer been lost.
            if tries > 1 and has(blob):
                return Arrival.SENT
            if tries == 1 and begun:
                return self._upload(blob, chunks, begun)
            answer = self._mounted(blob, mount_from) if mount_from and tries == 1 else None
            if answer and answer.status == 201:
                answer.start_of_body(self._limits.error_body)
                if not has(blob):  # the next try sends it
                    cause = "the target said that it mounted the blob, but does not have it"
                    raise TransientError(f"blob {blob.digest} for {self._name}", cause)
                return Arrival.LENT
            return self._sent_anew(blob, chunks, answer)

        try:
            return self._host.retrying(attempt)
        except RequestRefusedError as error:
            item = f"blob {blob.digest} for {self._name}"
            cause = f"the target refuses it: {error.cause}"
            kind = quirks.RepositoryRefusedError if FULL in error.cause else TargetRefusedError
            raise kind(item, cause, quirks.refusal_hint(error.cause) or quirks.AT_TARGET) from error

    def _sent_anew(self, blob: Descriptor, chunks: Chunks, answer: Answer | None) -> Arrival:
        """Send a blob in a request or two; `answer` has begun an upload already."""
        answer = answer or self._posted_whole(blob, chunks)
        if answer and answer.status == 201:
            return self._arrived(blob, answer)
        return self._upload(blob, chunks, self._session(answer) if answer else self._begin_anew())

    def _begin_anew(self) -> BegunUpload:
        answer = self._post()
        if answer.status == 202:
            return self._session(answer)
        answer.start_of_body(self._limits.error_body)
        raise TargetRefusedError(self._name, "the target answered 201 to an empty upload", quirks.AT_TARGET)

    def _session(self, answer: Answer) -> BegunUpload:
        answer.start_of_body(self._limits.error_body)
        least = least_piece(answer.headers.get("OCI-Chunk-Min-Length", ""))
        return BegunUpload(self._location(answer, f"upload to {self._name}"), least)

    def _mounted(self, blob: Descriptor, mount_from: RepositoryName) -> Answer | None:
        """Return the answer to a mount, 201 or 202; None where it is not understood."""
        query = urlencode({"mount": blob.digest, "from": mount_from.path})
        scope = f"{self._push} repository:{mount_from.path}:pull"
        try:
            return self._host.exchange(
                "POST", f"{self._base}/blobs/uploads/?{query}", scope, accept=UPLOAD_BEGUN
            )
        except (RequestRefusedError, NotFoundError, AuthError):
            return None

    def _posted_whole(self, blob: Descriptor, chunks: Chunks) -> Answer | None:
        """Return the answer to a POST with all bytes, 201 or 202; None where that is not done.

        One small blob finds out whether the registry takes it. Where the answer is 202 it has begun an
        upload, as without the bytes (Distribution).
        """
        taken = self._host.takes_whole_posts
        if taken is False or blob.size > (SENT_WHOLE if taken else TRIED_WHOLE):
            return None
        self._host.takes_whole_posts = taken or False
        data = b"".join(chunks(0))
        path = f"{self._base}/blobs/uploads/?{urlencode({'digest': blob.digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        try:
            answer = self._host.exchange(
                "POST", path, self._push, accept=UPLOAD_BEGUN, headers=headers, body=data
            )
        except (RequestRefusedError, NotFoundError, AuthError):
            return None  # the usual way has the same trouble, and better words for it
        self._host.takes_whole_posts = answer.status == 201
        self._host.traffic.count(sent=len(data))
        return answer

    def _post(self) -> Answer:
        try:
            return self._host.exchange(
                "POST", f"{self._base}/blobs/uploads/", self._push, accept=UPLOAD_BEGUN
            )
        except NotFoundError as error:
            hint = quirks.missing_hint(self._name, error.cause)
            raise quirks.RepositoryRefusedError(self._name, error.cause, hint) from error
        except RequestRefusedError as error:
            cause = f"the target does not accept uploads: {error.cause}"
            raise quirks.RepositoryRefusedError(
                self._name, cause, quirks.missing_hint(self._name, error.cause)
            ) from error

    def begin(self) -> BegunUpload:
        """Begin an upload of any blob. Raises RepositoryRefusedError, AuthError."""
        return self._host.retrying(self._begin_anew)

    def call_off(self, session: BegunUpload) -> None:
        """Call off an upload that nothing was sent to."""
        accept, limit = frozenset({202, 204}), self._limits.error_body
        with suppress(BundlerError):  # a session that nobody uses goes away by itself
            self._host.fetch("DELETE", session.location, self._push, accept=accept, limit=limit)

    def _location(self, answer: Answer, item: str) -> str:
        """Return the address to send the bytes to, on this registry. Raises TargetRefusedError."""
        try:
            url = self._host.checked_url(answer.headers.get("Location", ""), answer.url, item)
        except ContentError as error:
            raise TargetRefusedError(item, error.cause, quirks.AT_TARGET) from error
        if not self._host.same_origin(url):
            cause = f"the target sends uploads to another host, {urlsplit(url).netloc}"
            raise TargetRefusedError(item, cause, quirks.AT_TARGET)
        return url

    def _upload(self, blob: Descriptor, chunks: Chunks, session: BegunUpload) -> Arrival:
        try:
            if blob.size >= self._too_long:
                answer = self._in_pieces(blob, chunks, session)
            else:
                body = Body(blob.size, held_back(chunks(0)), self._host.traffic.count)
                answer = self._put(session.location, blob, body)
        except RequestRefusedError as error:
            if error.status not in (413, 416) or not SMALLEST_PIECE < blob.size < self._too_long:
                raise
            # A proxy in between takes no long body: a new session, in pieces.
            self._too_long = blob.size
            answer = self._in_pieces(blob, chunks, self._begin_anew())
        return self._arrived(blob, answer)

    def _arrived(self, blob: Descriptor, answer: Answer) -> Arrival:
        """Return what the answer to a blob's bytes says. Raises StoredOtherwiseError."""
        answer.start_of_body(self._limits.error_body)
        digest_header = answer.headers.get("Docker-Content-Digest", "")
        if quirks.contradicts(digest_header, blob.digest):
            cause = f"the target says it stored {printable(digest_header)}"
            raise quirks.StoredOtherwiseError(f"blob {blob.digest} at {self._name}", cause)
        return Arrival.NAMED if digest_header == blob.digest else Arrival.SENT

    def _in_pieces(self, blob: Descriptor, chunks: Chunks, session: BegunUpload) -> Answer:
        """Send a blob in pieces, each time halved that one is refused for its length."""
        size = first_piece(min(blob.size, self._too_long))
        while True:
            size = max(size, session.least)
            try:
                return self._patched(blob, pieces(held_back(chunks(0)), size), session.location)
            except RequestRefusedError as error:
                smaller = first_piece(size)
                if error.status != 413 or smaller >= size or smaller < session.least:
                    raise
                self._too_long = min(self._too_long, size)
                size, session = smaller, self._begin_anew()

    def _put(self, location: str, blob: Descriptor, body: Body | bytes) -> Answer:
        try:
            return self._sent(
                "PUT",
                with_query(location, digest=blob.digest),
                accept=frozenset({201, 204}),
                headers={"Content-Type": "application/octet-stream"},
                body=body,
            )
        except NotFoundError as error:
            # The session is gone; a new one may work.
            raise TransientError(error.item, f"the upload session is gone: {error.cause}") from error
        except RequestRefusedError as error:
            # What was sent was right: it was spoilt on the way, or two uploads got into each other.
            if error.code == "DIGEST_INVALID":
                raise TransientError(error.item, error.cause) from error
            raise

    def _sent(
        self,
        method: str,
        location: str,
        *,
        accept: frozenset[int],
        headers: Mapping[str, str],
        body: Body | bytes,
    ) -> Answer:
        """Send bytes to a `Location`. A refusal of one outside of this repository is a proxy's fault."""
        try:
            return self._host.exchange(
                method, location, self._push, accept=accept, headers=headers, body=body
            )
        except (AuthError, NotFoundError, RequestRefusedError) as error:
            path = urlsplit(location).path
            if path.startswith(f"{self._base}/") or _KNOWS_UPLOADS.search(error.cause):
                raise
            cause = f"the upload's Location, {path}, is not below {self._base}/: {error.cause}"
            raise TargetRefusedError(f"upload to {self._name}", cause, quirks.LOCATION_HINT) from error

    def _patched(self, blob: Descriptor, parts: Iterable[bytes], location: str) -> Answer:
        start = 0
        for piece in parts:
            answer = self._sent(
                "PATCH",
                location,
                accept=frozenset({201, 202, 204}),
                body=piece,
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Range": f"{start}-{start + len(piece) - 1}",
                },
            )
            answer.start_of_body(self._limits.error_body)
            self._host.traffic.count(sent=len(piece))
            start += len(piece)
            if answer.status == 201 and start == blob.size:
                return answer  # done already: ECR refuses the PUT that would end it
            location = self._location(answer, f"upload to {self._name}")
        return self._put(location, blob, b"")
