"""Writing to one repository: manifests, tags, and the questions before and after.

Source: distribution-spec 1.1, "Push". What real registries do otherwise is said where it is handled.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from bundler.errors import (
    AuthError,
    BundlerError,
    ContentError,
    NetworkError,
    NotFoundError,
    TargetRefusedError,
    printable,
)
from bundler.oci import Descriptor, Digest, Manifest, RepositoryName, Tag
from bundler.oci.manifest import ACCEPTED
from bundler.registry import quirks
from bundler.registry.blob_uploads import Arrival, BegunUpload, BlobUploads
from bundler.registry.http.host import REDIRECTS, Host, Reply
from bundler.registry.http.retry import TransientError
from bundler.registry.http.status import ABOUT_A_BLOB, ABOUT_A_BYTE, RequestRefusedError, about_types
from bundler.registry.large_bodies import limit_large_bodies
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
        self._uploads = BlobUploads(host, name)

    def digest_of(self, reference: Tag | Digest) -> Digest | None:
        """Return the digest that a tag or digest points to now, by one HEAD; None if it is not there.

        Raises RepositoryRefusedError for a name that the target does not take.
        """
        try:
            return digest_at(self._host, self.name, reference, self._push)
        except RequestRefusedError as error:
            if error.status != 400:
                raise
            cause = f"the target refuses this repository name ({error.cause})"
            raise quirks.RepositoryRefusedError(self.name, cause, quirks.NAME_HINT) from error

    def manifest_at(self, reference: Tag | Digest) -> Manifest | None:
        """Return the manifest that a tag or digest points to now, by one GET; None if it is not there."""
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
        """Return whether the blob is in this repository, by one HEAD."""
        reply = self._asked_for(blob)
        length = reply.headers.get("Content-Length", "")
        # A wrong length means that the registry holds something else: it gets the blob again.
        return reply.status == 200 and (not length or length == str(blob.size))

    def keeps(self, blob: Descriptor) -> bool:
        """Return whether the blob stayed after its upload; False only if it can't be read several times."""
        return self._host.settled(lambda: self.readable(blob))

    def readable(self, blob: Descriptor) -> bool:
        """Return whether the blob's first byte can be read: Distribution's cache tells of removed blobs.

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

    def holds(self, digest: Digest) -> bool:
        """Return whether a manifest can be read, its bytes hashed. Raises IntegrityError for others."""
        return self._host.settled(lambda: self.manifest_at(digest) is not None)

    def shows(self, reference: Tag | Digest, digest: Digest) -> bool:
        """Return whether a tag or digest leads to the bytes that were put there, asked several times."""
        return self._host.settled(lambda: self._reads(reference, digest))

    @limit_large_bodies
    def _reads(self, reference: Tag | Digest, digest: Digest) -> bool:
        """Return whether the bytes at a tag or digest are right, whatever the registry says of them."""
        reply = self._host.fetch(
            "GET",
            f"{self._base}/manifests/{reference}",
            self._push,
            accept=frozenset({200, 404}),
            limit=self._limits.manifest,
            headers={"Accept": ", ".join(ACCEPTED)},
        )
        return reply.status == 200 and digest.computed(reply.body) == digest

    def _points_to(self, tag: Tag, digest: Digest) -> bool:
        with suppress(quirks.RepositoryRefusedError):
            return self.digest_of(tag) == digest
        return False

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
        begun: BegunUpload | None = None,
    ) -> Arrival:
        """Upload a blob, or have it mounted from another repository.

        `chunks(0)` is opened again for every try. Raises TargetRefusedError, IntegrityError.
        """
        return self._uploads.add(blob, chunks, self.has, mount_from=mount_from, begun=begun)

    # --- asking before writing -------------------------------------------------------------------

    def begin(self) -> BegunUpload:
        """Ask for an upload, for `add` or `call_off`. Raises RepositoryRefusedError, AuthError."""
        return self._uploads.begin()

    def call_off(self, session: BegunUpload) -> None:
        """Call off an upload that nothing was sent to."""
        self._uploads.call_off(session)

    def offer(self, manifest: Manifest) -> None:
        """Send a manifest before its blobs; only a refusal of its kind is raised, TypeRefusedError."""
        try:
            self.put_manifest(manifest, manifest.blob.digest)
        except quirks.TypeRefusedError:
            raise
        except BundlerError:
            return  # it lacks its blobs yet; any other trouble comes again when they are there

    def put_manifest(self, manifest: Manifest, reference: Tag | Digest) -> None:
        """Send a manifest's exact bytes under a tag or its digest.

        Raises TargetRefusedError with the registry's words, IntegrityError for another digest.
        """
        for _ in range(self._limits.integrity_attempts - 1):
            try:
                return self._put(manifest, reference)
            except quirks.DigestRefusedError:
                self._host.traffic.count(retries=1)
        return self._put(manifest, reference)

    def _put(self, manifest: Manifest, reference: Tag | Digest) -> None:
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
            raise TargetRefusedError(
                item, error.cause, quirks.missing_hint(self.name, error.cause)
            ) from error
        except RequestRefusedError as error:
            if refusal := _content_refusal(item, manifest, error):
                raise refusal from error
            if isinstance(reference, Tag) and self._points_to(reference, manifest.blob.digest):
                return  # an immutable tag: somebody else has set it to the same, or the answer was lost
            raise self._refusal(item, error) from error
        self._host.traffic.count(sent=len(manifest.data))
        digest_header = reply.headers.get("Docker-Content-Digest", "")
        if quirks.contradicts(digest_header, manifest.blob.digest):
            raise quirks.StoredOtherwiseError(item, f"the target says it stored {printable(digest_header)}")

    def _refusal(self, item: str, error: RequestRefusedError) -> TargetRefusedError:
        """Return the error for a manifest that was refused as such, with the registry's words."""
        types = error.status in (400, 405, 415)
        hint = quirks.type_hint(self.name, error.cause) if types else quirks.refusal_hint(error.cause)
        kind = quirks.TypeRefusedError if about_types(error) else TargetRefusedError
        return kind(item, f"{quirks.REFUSED}{error.cause}", hint or quirks.AT_TARGET)


def _content_refusal(item: str, manifest: Manifest, error: RequestRefusedError) -> TargetRefusedError | None:
    """Return the error for a manifest refused for its layers or its digest; None for another cause."""
    if error.status >= 500 and not all(layer.distributed for layer in manifest.layers):
        return TargetRefusedError(item, f"{quirks.REFUSED}{error.cause}", quirks.FOREIGN_HINT)
    if error.code in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"):
        return quirks.MissingContentError(item, error.cause)
    if error.code == "DIGEST_INVALID":
        return quirks.DigestRefusedError(item, f"{quirks.REFUSED}{error.cause}", quirks.DIGEST_HINT)
    return None
