"""Writing to one repository: uploads, mounts, manifests, and the questions before and after.

Source: distribution-spec 1.1, "Push". What real registries do otherwise is said where it is handled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import urlencode, urlsplit

from bundler.errors import (
    AuthError,
    BundlerError,
    ContentError,
    NetworkError,
    NotFoundError,
    TargetRefusedError,
    printable,
)
from bundler.oci.content import Descriptor, Digest, held_back
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.http.bodies import CHUNK_UPLOAD, Body, piece_size, pieces, with_query
from bundler.registry.http.exchange import Answer
from bundler.registry.http.host import REDIRECTS, Host, Reply
from bundler.registry.http.library_errors import TransientError
from bundler.registry.http.status import ABOUT_A_BLOB, ABOUT_A_BYTE, FULL, RequestRefusedError, about_types
from bundler.registry.quirks import (
    THERE,
    MissingContentError,
    RepositoryRefusedError,
    StoredOtherwiseError,
    TypeRefusedError,
    contradicts,
    missing_hint,
    refusal_hint,
    type_hint,
)
from bundler.registry.repository import Repository, digest_at

UPLOAD_BEGUN = frozenset({201, 202})


class TargetRepository:
    """One repository that is written to, from any number of threads. A BlobSink."""

    def __init__(self, host: Host, name: RepositoryName) -> None:
        self.name = name
        self._host = host
        self._limits = host.settings.limits
        self._base = f"/v2/{name.path}"
        self._push = f"repository:{name.path}:pull,push"
        self._piece = CHUNK_UPLOAD

    def digest_of(self, reference: Tag | Digest) -> Digest | None:
        """What a tag or digest points to now, by one HEAD; None if it is not there."""
        return digest_at(self._host, self.name, reference, self._push)

    def manifest_at(self, reference: Tag | Digest) -> Manifest | None:
        """The manifest that a tag or digest points to now, by one GET; None if it is not there."""
        try:
            return Repository(self._host, self.name).manifest(reference).manifest
        except NotFoundError:
            return None

    def delete(self, reference: Tag | Digest) -> bool:
        """Delete a tag, or a manifest with all its tags; False where the registry won't by such a name.

        Source: distribution-spec 1.1, "Deleting Tags", "Deleting Manifests".
        """
        reply = self._host.fetch(
            "DELETE",
            f"{self._base}/manifests/{reference}",
            f"{self._push},delete",
            accept=frozenset({200, 202, 204, 400, 404, 405}),
            limit=self._limits.error_body,
        )
        return reply.status not in (400, 405)

    def has(self, blob: Descriptor) -> bool:
        """Whether the blob is in this repository, by one HEAD."""
        reply = self._asked_for(blob)
        length = reply.headers.get("Content-Length", "")
        # A wrong length means that the registry holds something else: it gets the blob again.
        return reply.status == 200 and (not length or length == str(blob.size))

    def keeps(self, blob: Descriptor) -> bool:
        """Whether what was brought here stayed; False only where it can't be read, several times."""
        return self._host.settled(lambda: self.readable(blob))

    def readable(self, blob: Descriptor) -> bool:
        """Whether the blob's first byte can be read: a cache tells of blobs that were removed (Distribution).

        Where the registry does not let it be read, or can't, what it says of the blob is the answer.
        """
        path, first = f"{self._base}/blobs/{blob.digest}", {"Range": "bytes=0-0"}
        try:
            answer = self._host.exchange("GET", path, self._push, accept=ABOUT_A_BYTE, headers=first)
        except NotFoundError:
            return False
        except (AuthError, ContentError, NetworkError):
            return self._asked_for(blob).status != 404
        try:
            return answer.status == 416 or blob.size == 0 or next(answer.chunks(), b"") != b""
        except TransientError:
            return False
        finally:
            answer.close()

    def shows(self, reference: Tag | Digest, digest: Digest) -> bool:
        """Whether a tag or digest points to what was put there; asked several times before it does not."""
        return self._host.settled(lambda: self.digest_of(reference) == digest)

    def _asked_for(self, blob: Descriptor) -> Reply:
        path = f"{self._base}/blobs/{blob.digest}"
        reply = self._host.fetch("HEAD", path, self._push, accept=ABOUT_A_BLOB | REDIRECTS)
        if reply.status not in REDIRECTS:
            return reply
        try:
            url = self._host.checked_url(reply.headers.get("Location", ""), self._host.origin + path, path)
            return self._host.fetch("HEAD", url, self._push, accept=ABOUT_A_BLOB)
        except (AuthError, ContentError, NetworkError):
            # To a storage that lets nobody ask, because its addresses are signed for GET.
            return reply

    def add(
        self,
        blob: Descriptor,
        chunks: Callable[[int], Iterable[bytes]],
        *,
        mount_from: RepositoryName | None = None,
    ) -> bool:
        """Upload a blob, or have it mounted from another repository; True if its bytes were sent.

        `chunks(0)` is opened again for every try. The last chunk is sent only after the verdict on
        all, so that wrong bytes are never finalised. Raises TargetRefusedError, IntegrityError.
        """
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            # An earlier try may have ended well, and only its answer been lost.
            if tries > 1 and self.has(blob):
                return True
            location = self._start_upload(blob, mount_from if tries == 1 else None)
            if location is None:
                if not self.has(blob):  # the next try sends it
                    cause = "the target says that it mounted it, and does not have it"
                    raise TransientError(f"blob {blob.digest} for {self.name}", cause)
                return False
            self._upload(blob, chunks, location)
            return True

        try:
            return self._host.retrying(attempt)
        except RequestRefusedError as error:
            item = f"blob {blob.digest} for {self.name}"
            cause = f"the target refuses it: {error.cause}"
            kind = RepositoryRefusedError if FULL in error.cause else TargetRefusedError
            raise kind(item, cause, refusal_hint(error.cause) or THERE) from error

    def _start_upload(self, blob: Descriptor, mount_from: RepositoryName | None) -> str | None:
        """Where to send the bytes; None if the blob was mounted."""
        answer = self._mounted(blob, mount_from) if mount_from else None
        if answer is None:
            answer = self._post()
        answer.start_of_body(self._limits.error_body)
        if answer.status == 202:
            self._piece = piece_size(answer.headers.get("OCI-Chunk-Min-Length", ""), self._piece)
            return self._location(answer, f"upload to {self.name}")
        if mount_from is None:
            raise TargetRefusedError(self.name, "it answered 201 to a blob that was not sent", THERE)
        return None

    def _mounted(self, blob: Descriptor, mount_from: RepositoryName) -> Answer | None:
        """The answer to a mount, 201 or 202; None where it is not understood."""
        query = urlencode({"mount": blob.digest, "from": mount_from.path})
        scope = f"{self._push} repository:{mount_from.path}:pull"
        try:
            path = f"{self._base}/blobs/uploads/?{query}"
            return self._host.exchange("POST", path, scope, accept=UPLOAD_BEGUN)
        except (RequestRefusedError, NotFoundError, AuthError):
            return None

    def _post(self) -> Answer:
        try:
            path = f"{self._base}/blobs/uploads/"
            return self._host.exchange("POST", path, self._push, accept=UPLOAD_BEGUN)
        except NotFoundError as error:
            hint = missing_hint(self.name, error.cause)
            raise RepositoryRefusedError(self.name, error.cause, hint) from error
        except RequestRefusedError as error:
            cause = f"it takes no uploads: {error.cause}"
            raise RepositoryRefusedError(self.name, cause, missing_hint(self.name, error.cause)) from error

    # --- asking before writing -------------------------------------------------------------------

    def probe(self) -> None:
        """Ask for an upload, and call it off. Raises RepositoryRefusedError, AuthError."""
        location = self._host.retrying(lambda: self._begun(self._post()))
        with suppress(BundlerError):  # a session that nobody uses goes away by itself
            self._host.fetch(
                "DELETE", location, self._push, accept=frozenset({202, 204}), limit=self._limits.error_body
            )

    def _begun(self, answer: Answer) -> str:
        answer.start_of_body(self._limits.error_body)
        return self._location(answer, f"upload to {self.name}")

    def offer(self, manifest: Manifest) -> None:
        """Send a manifest before its blobs; only a refusal of its kind is raised, TypeRefusedError."""
        try:
            self.put_manifest(manifest, manifest.blob.digest)
        except TypeRefusedError:
            raise
        except BundlerError:
            return  # it lacks its blobs yet; any other trouble comes again when they are there

    def _location(self, answer: Answer, item: str) -> str:
        """Where to send the bytes: on this registry, or nowhere."""
        try:
            url = self._host.checked_url(answer.headers.get("Location", ""), answer.url, item)
        except ContentError as error:
            raise TargetRefusedError(item, error.cause, THERE) from error
        if not self._host.same_origin(url):
            cause = f"it wants the bytes sent to another host, {urlsplit(url).netloc}"
            raise TargetRefusedError(item, cause, THERE)
        return url

    def _upload(self, blob: Descriptor, chunks: Callable[[int], Iterable[bytes]], location: str) -> None:
        body = Body(blob.size, held_back(chunks(0)), self._host.traffic.count)
        try:
            answer = self._put(location, blob, body)
        except RequestRefusedError as error:
            if error.status not in (413, 416) or blob.size <= CHUNK_UPLOAD:
                raise
            # A proxy in between takes no long body: a new session, in pieces.
            fresh = self._start_upload(blob, None)
            answer = self._inpieces(blob, chunks, fresh or "")
        answer.start_of_body(self._limits.error_body)
        said = answer.headers.get("Docker-Content-Digest", "")
        if contradicts(said, blob.digest):
            raise StoredOtherwiseError(
                f"blob {blob.digest} at {self.name}", f"the target says it stored {printable(said)}"
            )

    def _put(self, location: str, blob: Descriptor, body: Body | bytes) -> Answer:
        try:
            return self._host.exchange(
                "PUT",
                with_query(location, digest=blob.digest),
                self._push,
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

    def _inpieces(self, blob: Descriptor, chunks: Callable[[int], Iterable[bytes]], location: str) -> Answer:
        start = 0
        for piece in pieces(held_back(chunks(0)), self._piece):
            answer = self._host.exchange(
                "PATCH",
                location,
                self._push,
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
            location = self._location(answer, f"upload to {self.name}")
        return self._put(location, blob, b"")

    def put_manifest(self, manifest: Manifest, reference: Tag | Digest) -> None:
        """Send a manifest's exact bytes under a tag or its digest.

        Raises TargetRefusedError with the registry's words, IntegrityError for another digest.
        """
        item = f"{self.name}{'@' if isinstance(reference, Digest) else ':'}{reference}"
        try:
            reply = self._host.fetch(
                "PUT",
                f"{self._base}/manifests/{reference}",
                self._push,
                accept=frozenset({201, 202}),
                limit=self._limits.error_body,
                headers={"Content-Type": manifest.blob.media_type},
                body=manifest.data,
            )
        except NotFoundError as error:
            raise TargetRefusedError(item, error.cause, missing_hint(self.name, error.cause)) from error
        except RequestRefusedError as error:
            if error.code in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"):
                raise MissingContentError(item, error.cause) from error
            if isinstance(reference, Tag) and self.digest_of(reference) == manifest.blob.digest:
                return  # an immutable tag: somebody else has set it to the same, or the answer was lost
            types = error.status in (400, 405, 415)
            hint = type_hint(self.name, error.cause) if types else refusal_hint(error.cause)
            kind = TypeRefusedError if about_types(error) else TargetRefusedError
            raise kind(item, f"the target refuses it: {error.cause}", hint) from error
        self._host.traffic.count(sent=len(manifest.data))
        said = reply.headers.get("Docker-Content-Digest", "")
        if contradicts(said, manifest.blob.digest):
            raise StoredOtherwiseError(item, f"the target says it stored {printable(said)}")
