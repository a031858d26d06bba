"""Read-only content of a registry: a bundle, or the directory of a writable registry."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from bundler.bundle.inventory import INVENTORY_FILE
from bundler.bundle.reader import Bundle, open_bundle, refuse_unused_folders
from bundler.errors import UsageError
from bundler.layout import INDEX_FILE, Layout
from bundler.limits import Limits
from bundler.oci import Descriptor, Digest, RepositoryPath, read_all
from bundler.server import served_catalog
from bundler.session import Session

BLOB = "application/octet-stream"
"""Media type of a blob; the one that a manifest gives it is not known here."""


class ServedContent(Protocol):
    """Content that a registry serves. Safe for any number of threads."""

    limits: Limits
    """Bounds of what is read and answered."""

    def names(self) -> Collection[RepositoryPath]:
        """Return the names of all repositories."""

    def repository(self, name: RepositoryPath) -> served_catalog.ServedRepository | None:
        """Return a repository as it is now; None if there is none of that name."""

    def blob(self, name: RepositoryPath, digest: Digest) -> Descriptor | None:
        """Return a blob by its digest; None if the repository does not have it."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob or manifest, verified."""


class BundleContent:
    """Repositories of a bundle under their source paths, without the source hosts.

    A blob is given under the name of any repository of the bundle: what it says is the same in all.
    Raises UsageError when two repositories would have the same path.
    """

    def __init__(self, bundle: Bundle, session: Session) -> None:
        self.bundle = bundle
        self.limits = session.limits
        entries = served_catalog.inventory_entries(bundle.inventory)
        self._blobs = {blob.digest: blob for blob in bundle.inventory.content}
        read = partial(read_all, bundle)
        listed = served_catalog.with_children(entries, read, self._has, self.limits)
        self._catalog = served_catalog.catalog_of(listed)

    def names(self) -> Collection[RepositoryPath]:
        """Return the names of all repositories."""
        return tuple(self._catalog)

    def repository(self, name: RepositoryPath) -> served_catalog.ServedRepository | None:
        """Return a repository; None if there is none of that name."""
        return self._catalog.get(name)

    def blob(self, name: RepositoryPath, digest: Digest) -> Descriptor | None:
        """Return a blob by its digest."""
        return self._blobs.get(digest) if name in self._catalog else None

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob or manifest, verified."""
        return self.bundle.chunks(blob)

    def _has(self, manifest: Descriptor) -> bool:
        return manifest.digest in self._blobs


class LayoutContent:
    """A directory that a writable registry keeps: an OCI image layout named by `index.json`."""

    def __init__(self, path: Path, session: Session) -> None:
        self._layout = Layout(path)
        self.limits = session.limits
        index = self._layout.file(INDEX_FILE, self.limits.inventory)
        entries = served_catalog.decode_index(index, self.limits)
        read = partial(read_all, self._layout)
        self._catalog = served_catalog.catalog_of(
            served_catalog.with_children(entries, read, self._layout.has, self.limits)
        )

    def names(self) -> Collection[RepositoryPath]:
        """Return the names of all repositories."""
        return tuple(self._catalog)

    def repository(self, name: RepositoryPath) -> served_catalog.ServedRepository | None:
        """Return a repository; None if there is none of that name."""
        return self._catalog.get(name)

    def blob(self, name: RepositoryPath, digest: Digest) -> Descriptor | None:
        """Return a blob by its digest."""
        return self.held(digest) if name in self._catalog else None

    def held(self, digest: Digest) -> Descriptor | None:
        """Return a blob that the directory holds, whoever pushed it."""
        size = self._layout.size_of(digest)
        return None if size is None else Descriptor(BLOB, digest, size)

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob or manifest, verified."""
        return self._layout.chunks(blob)


@contextlib.contextmanager
def read_only(path: Path, session: Session, volumes_in: Sequence[Path] = ()) -> Iterator[ServedContent]:
    """Yield the content of a bundle file, an unpacked bundle, or the directory of a writable registry.

    Raises NotFoundError, UsageError for colliding repositories, and what damaged content deserves.
    """
    if not (path / INVENTORY_FILE).exists() and (path / INDEX_FILE).exists():
        yield LayoutContent(path, session)
        return
    with open_bundle(path, session.limits, volumes_in=volumes_in) as bundle:
        refuse_unused_folders(volumes_in, bundle)
        if bundle.inventory.kind == "delta":
            next_step = "merge it with its base first: `timoni-bundler merge`"
            raise UsageError(str(path), "it is a delta, without its base's content", next_step)
        yield BundleContent(bundle, session)
