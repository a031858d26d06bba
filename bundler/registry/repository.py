"""Reading one repository: tags, manifests, blobs.

Source: distribution-spec 1.1. What real registries do otherwise is said where it is handled.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple
from urllib.parse import urlencode

from bundler.errors import ContentError, IntegrityError, NetworkError, NotFoundError, printable
from bundler.limits import KIB, Limits
from bundler.oci import Descriptor, Digest, RepositoryName, Tag, sha256, strict_json, verified
from bundler.oci.manifest import ACCEPTED, Manifest, parse_served
from bundler.registry.http.exchange import Answer, compressed
from bundler.registry.http.host import REDIRECTS, Host, Reply
from bundler.registry.http.retry import Deadline, TransientError
from bundler.registry.http.status import ABOUT_A_BLOB, RequestRefusedError
from bundler.registry.large_bodies import limit_large_bodies
from bundler.registry.listings import pages_of_names, referrers

OK = frozenset({200})

FOUND_OR_NOT = frozenset({200, 404})

_TAG_LIST = frozenset({"name", "tags"})

PROGRESS = 64 * KIB
"""Bytes that a broken connection must have brought to be no lost try."""


def _uncounted(number: int) -> None:
    """Ignore the count."""


class TagList(NamedTuple):
    """A registry's list: valid tags, and names that can't be tags."""

    tags: tuple[Tag, ...]
    invalid: tuple[str, ...]
    names: frozenset[str]
    """The valid ones, for a quick answer whether there is one."""


class PinnedManifest(NamedTuple):
    """A manifest as it was served, with warnings about how."""

    manifest: Manifest
    warnings: tuple[str, ...] = ()
    moved: bool = False
    """True if it was asked for by a tag that has moved since, and taken by its digest."""


class Repository:
    """One repository of one registry, for any number of threads. A BlobSource."""

    def __init__(self, host: Host, name: RepositoryName) -> None:
        self.name = name
        self.host = host
        self._limits = host.settings.limits
        self._base = f"/v2/{name.path}"
        self._pull = f"repository:{name.path}:pull"

    def tags(self) -> TagList:
        """Return all tags, over all pages.

        Raises ContentError for endless or hostile lists, NotFoundError for no such repository.
        """
        *_, whole = self.lists_of_tags()
        return whole

    def lists_of_tags(self, count: Callable[[int], None] = _uncounted) -> Iterator[TagList]:
        """Yield the tags; where a registry may have cut the list without a word, yield all once it was asked.

        The second is the first, if nothing was missing. `count` is told how many came with each page. Raises
        as `tags` does.
        """
        item = f"tags of {self.name}"
        seen: dict[str, None] = {}
        first: TagList | None = None
        address = f"{self._base}/tags/list?{urlencode({'n': self._limits.page_size})}"
        read = partial(self._page, item=item)
        for page in pages_of_names(self.host, self.host.tag_lists, address, item, read):
            if page is None:
                first = _tag_list(seen)
                yield first
                continue
            before = len(seen)
            seen.update(dict.fromkeys(page))
            count(len(seen) - before)
            if len(seen) > self._limits.tags:
                raise ContentError(item, f"more than the limit of {self._limits.tags:,} tags")
        yield first if first and len(first.tags) + len(first.invalid) == len(seen) else _tag_list(seen)

    @limit_large_bodies
    def _page(self, address: str, item: str) -> tuple[Reply, list[str]]:
        """Return one page of the list, and its answer without the body."""
        reply = self.host.fetch("GET", address, self._pull, accept=OK, limit=self._limits.tag_page)
        return reply._replace(body=b""), _tag_page(reply.body, item, self._limits)

    def digest_of(self, reference: Tag | Digest) -> Digest | None:
        """Return the digest that a tag or digest points to now, by one HEAD; None if it is not there."""
        return digest_at(self.host, self.name, reference, self._pull)

    @limit_large_bodies
    def manifest(self, reference: Tag | Digest) -> PinnedManifest:
        """Return a manifest or index by tag or digest: its exact bytes, proven.

        Raises IntegrityError when the bytes are not what the digest says, also on another try.
        """
        item = f"{self.name}{'@' if isinstance(reference, Digest) else ':'}{reference}"
        path = f"{self._base}/manifests/{reference}"
        reply = self._read_manifest(path)
        header = reply.headers.get("Docker-Content-Digest", "")
        expected = reference if isinstance(reference, Digest) else header
        seen = digest_like(expected, reply.body)
        if isinstance(reference, Digest):
            for _ in range(self._limits.integrity_attempts - 1):
                if seen == reference:
                    break
                reply = self._read_manifest(path)
                seen = digest_like(reference, reply.body)
            if seen != reference:
                raise IntegrityError(item, f"its bytes have digest {seen}")
            warning = header not in ("", reference)
            return PinnedManifest(
                self._parsed(reply, seen, item), (_wrong_header(item, header),) if warning else ()
            )
        if header in ("", seen):
            return PinnedManifest(self._parsed(reply, seen, item))
        return self._settle(reply, header, item)

    def _settle(self, reply: Reply, header: str, item: str) -> PinnedManifest:
        """Decide between header and bytes of a tag: the one that can be fetched by its digest is right."""
        seen = sha256(reply.body)
        for digest in (header, seen):
            try:
                pinned = Digest.parse(digest)
                by_digest = self._read_manifest(f"{self._base}/manifests/{pinned}")
            except (ValueError, NotFoundError, RequestRefusedError):
                continue
            if digest_like(pinned, by_digest.body) == pinned:
                return PinnedManifest(self._parsed(by_digest, pinned, item), (_wrong_header(item, header),))
        raise IntegrityError(item, f"the registry says {header}, its bytes have digest {seen}")

    def _read_manifest(self, path: str) -> Reply:
        headers = {"Accept": ", ".join(ACCEPTED)}
        return self.host.fetch(
            "GET", path, self._pull, accept=OK, limit=self._limits.manifest, headers=headers
        )

    def _parsed(self, reply: Reply, digest: Digest, item: str) -> Manifest:
        declared = reply.headers.get("Content-Type", "")
        return parse_served(reply.body, declared, digest, item=item, limits=self._limits)

    def referrers(
        self, subject: Digest, count: Callable[[int], None] = _uncounted
    ) -> tuple[Descriptor, ...] | None:
        """Return the manifests that refer to `subject`; None where the registry can't be asked."""
        return referrers(self.host, self.name, subject, count)

    def has(self, blob: Descriptor) -> bool:
        """Return whether the blob is in this repository, by one HEAD; a registry without HEAD says yes."""
        path, accept = f"/v2/{self.name.path}/blobs/{blob.digest}", ABOUT_A_BLOB | REDIRECTS
        return self.host.fetch("HEAD", path, self._pull, accept=accept).status not in (400, 404)

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified; a broken connection is resumed where it broke."""
        return verified(blob, self.chunks_from(blob, 0))

    def chunks_from(self, blob: Descriptor, offset: int) -> Generator[bytes, None, None]:
        """Yield the bytes from `offset` on, not verified: the caller knows the bytes before them.

        Goes on by Range after a break. Raises NetworkError when it no longer moves, or takes longer
        than the limits allow in all.
        """
        end = self.host.deadline(self._limits.blob_deadline(blob.size))
        position, useless, clock = offset, 0, self.host.settings.clock
        while True:
            # Opening and the first bytes are tried again with growing waits; a connection that
            # breaks after some progress is simply opened again.
            first, stream = self.host.retrying(partial(self._first_chunk, blob, position, end))
            if not first:
                return  # complete, or all that this registry has: the verdict is the reader's
            start, breaks = position, list[TransientError]()
            for chunk in chain((first,), _until_break(stream, breaks)):
                position += len(chunk)
                self.host.traffic.count(received=len(chunk))
                begun = clock()
                yield chunk
                end.excuse(clock() - begun)
                if end.passed:
                    raise self._too_slow(blob, position, end)
            if position >= blob.size:
                continue  # to the end of the answer, which may hold too much
            self.host.traffic.count(retries=1)
            useless = 0 if position - start >= PROGRESS else useless + 1
            if useless >= self._limits.attempts:
                if not breaks:
                    return  # it says that this is all: the verdict is the reader's
                cause = f"{breaks[0].cause}, {useless} times at {position:,} of {blob.size:,} bytes"
                raise NetworkError(breaks[0].item, cause, "run the same command again to go on")

    def _first_chunk(self, blob: Descriptor, offset: int, end: Deadline) -> tuple[bytes, Iterator[bytes]]:
        skip, whole = self._open_blob(blob, offset)
        for chunk in whole:
            if len(chunk) > skip:
                return chunk[skip:], whole
            # What is had already can be sent as slowly as the rest.
            skip -= len(chunk)
            if end.passed:
                raise self._too_slow(blob, offset, end)
        return b"", whole

    def _too_slow(self, blob: Descriptor, position: int, end: Deadline) -> NetworkError:
        cause = f"slower than the limit: {position:,} of {blob.size:,} bytes in {end.spent:.0f} s"
        return NetworkError(
            f"blob {blob.digest} of {self.name}", cause, "run the same command again to go on"
        )

    def _open_blob(self, blob: Descriptor, offset: int) -> tuple[int, Iterator[bytes]]:
        """Return what follows `offset`, behind a number of bytes to pass over."""
        if offset >= blob.size > 0:
            return 0, iter(())
        path = f"{self._base}/blobs/{blob.digest}"
        headers = {"Range": f"bytes={offset}-{blob.size - 1}"} if offset else {}
        accept = frozenset({200, 206, 416}) if offset else OK
        answer = self.host.exchange("GET", path, self._pull, accept=accept, headers=headers)
        size = blob.size - (offset if answer.status == 206 else 0)
        if answer.is_compressed(size):
            answer.close()
            raise compressed(IntegrityError, f"blob {blob.digest}", answer.encoding)
        if answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            return 0, answer.chunks()
        if answer.status == 200:
            return offset, answer.chunks()
        # 416, or another range than asked for: the whole blob, and what we have is passed over.
        answer.close()
        return offset, self.host.exchange("GET", path, self._pull, accept=OK).chunks()

    def open_range(self, blob: Descriptor, start: int, end: int) -> Answer:
        """Ask once for the bytes from `start` to before `end`; the answer may be something else."""
        headers, accept = {"Range": f"bytes={start}-{end - 1}"}, frozenset({200, 206, 416})
        path = f"{self._base}/blobs/{blob.digest}"
        return self.host.exchange("GET", path, self._pull, accept=accept, headers=headers)


@strict_json.alone
def _tag_page(body: bytes, item: str, limits: Limits) -> list[str]:
    strict_json.check_width(body, item=item, most=limits.json_wide)
    document = strict_json.loads(
        body, item=item, depth=limits.json_depth, values=limits.manifest_values, names=_TAG_LIST
    )
    names = document.get("tags") if isinstance(document, dict) else document
    if names is None and isinstance(document, dict):
        return []  # what some registries say when the last tag is gone
    if not isinstance(document, dict) or not isinstance(names, list):
        raise ContentError(
            item, "the answer is not a tag list", "check the address: it may not be a registry"
        )
    return [name if isinstance(name, str) else f"{name!r} (no string)" for name in names]


def _tag_list(names: Iterable[str]) -> TagList:
    tags: list[Tag] = []
    invalid: list[str] = []
    for name in names:
        try:
            tags.append(Tag.parse(name))
        except ValueError:
            invalid.append(printable(name, 140))
    return TagList(tuple(tags), tuple(invalid), frozenset(tags))


def digest_at(host: Host, name: RepositoryName, reference: Tag | Digest, scope: str) -> Digest | None:
    """Return the digest that a tag or digest points to now, by one HEAD; None if it is not there."""
    path, headers = f"/v2/{name.path}/manifests/{reference}", {"Accept": ", ".join(ACCEPTED)}
    reply = host.fetch("HEAD", path, scope, accept=frozenset({200, 404, 405}), headers=headers)
    if reply.status == 404:
        return None
    try:
        return Digest.parse(reply.headers.get("Docker-Content-Digest", ""))
    except ValueError:
        # A registry without the header, or without HEAD: the bytes tell.
        limit = host.settings.limits.manifest
        reply = host.fetch("GET", path, scope, accept=FOUND_OR_NOT, limit=limit, headers=headers)
        like = reference if isinstance(reference, Digest) else ""
        return digest_like(like, reply.body) if reply.status == 200 else None


def digest_like(expected: str, data: bytes) -> Digest:
    """Return the digest of `data`, by the algorithm of `expected`."""
    try:
        return Digest.parse(expected).computed(data)
    except ValueError:
        return sha256(data)


def _wrong_header(item: str, header: str) -> str:
    return f"{item}: the bytes are right, but Docker-Content-Digest says {printable(header, 80)}"


def _until_break(stream: Iterator[bytes], breaks: list[TransientError]) -> Iterator[bytes]:
    """Yield the chunks until they end, or break off in a way that is worth another try."""
    try:
        yield from stream
    except TransientError as error:
        breaks.append(error)
