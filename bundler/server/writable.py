"""The directory of a writable registry: it grows by pushes and outlives restarts.

A blob is there once its digest is proven, a tag once `index.json` says so on disk. Blobs belong to
the whole directory, so a blob that one repository has needs no upload to another. Manifests belong
to their repository; one that loses its tag stays, by its digest.

A directory that holds an exported bundle may be opened. The first change removes its `bundle.json`,
which would no longer be true, and makes it a registry's directory for good.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from bundler.bundle.inventory import INVENTORY_FILE
from bundler.durable import local_errors, remove_if_there, sync_directory, temporary_of
from bundler.errors import ContentError, UsageError
from bundler.layout import INDEX_FILE, LAYOUT_FILE
from bundler.oci import Descriptor, Digest, Manifest, RepositoryPath, Tag
from bundler.server.served_catalog import ServedRepository, encode_index
from bundler.server.served_content import LayoutContent
from bundler.server.uploads import Uploads, UploadSession
from bundler.session import Session
from bundler.store.blob_store import LOCK, PARTIAL, Store

_BEGINNINGS = frozenset({LOCK, PARTIAL, "blobs", temporary_of(Path(LAYOUT_FILE)).name})
"""Names that a new directory holds before it is a layout."""


class MissingPartError(ContentError):
    """A manifest that names a blob or manifest that is not there."""


class WritableContent(LayoutContent):
    """A directory that takes pushes. Safe for any number of threads of one process."""

    def __init__(self, store: Store, session: Session) -> None:
        if not (store.path / INDEX_FILE).exists():
            store.write_file(INDEX_FILE, encode_index({}))
        super().__init__(store.path, session)
        self._store = store
        self._changing = threading.Lock()
        self.uploads = Uploads(store.path / PARTIAL)

    def blob(self, name: RepositoryPath, digest: Digest) -> Descriptor | None:
        """Return a blob by its digest, under any name: a repository begins with its first manifest."""
        return self.held(digest)

    def keep_blob(self, upload: UploadSession, digest: Digest) -> None:
        """Make a finished upload a blob. Raises IntegrityError."""
        upload.keep(digest, self._store.blob_path(digest))

    def put_manifest(self, name: RepositoryPath, tag: Tag | None, manifest: Manifest) -> None:
        """Keep a manifest durably.

        Raises MissingPartError when it names what is not there, ContentError when it gives a blob a
        size that it has not.
        """
        with self._changing:
            repository = self._catalog.get(name, ServedRepository())
            self._check_parts(manifest)
            changed = repository.with_manifest(manifest.blob, tag)
            self._store.add_bytes(manifest.blob, manifest.data)
            if changed != repository:
                self._write_index({**self._catalog, name: changed})
                self._catalog[name] = changed

    def delete_tag(self, name: RepositoryPath, tag: Tag) -> bool:
        """Remove a tag durably; return False if it is not there."""
        with self._changing:
            repository = self._catalog.get(name, ServedRepository())
            if tag not in repository.tags:
                return False
            changed = repository.without_tag(tag)
            self._write_index({**self._catalog, name: changed})
            self._catalog[name] = changed
        return True

    def _check_parts(self, manifest: Manifest) -> None:
        """Raise unless every blob of the manifest is here; an index needs none of its children."""
        for blob in manifest.blobs:
            held = self.held(blob.digest)
            if held is None:
                raise MissingPartError(f"blob {blob.digest}", "not here", "push it first")
            if held.size != blob.size:
                cause = f"it has {held.size:,} bytes, the manifest says {blob.size:,}"
                raise ContentError(f"blob {blob.digest}", cause)

    def _write_index(self, catalog: dict[RepositoryPath, ServedRepository]) -> None:
        data = encode_index(catalog)
        if len(data) > self.limits.inventory:
            # What could not be read again after a restart is not written.
            raise ContentError(INDEX_FILE, f"full: more than {self.limits.inventory:,} bytes of names")
        self._sync_blobs()
        if (self._store.path / INVENTORY_FILE).exists():
            remove_if_there(self._store.path / INVENTORY_FILE)
            sync_directory(self._store.path)
        self._store.write_file(INDEX_FILE, data)

    def _sync_blobs(self) -> None:
        """Make the names of all blobs durable, before an index relies on them.

        Always: uploads get their names beside the store, which would not know of them.
        """
        blobs = self._store.path / "blobs"
        for folder in blobs.iterdir():
            sync_directory(folder)
        sync_directory(blobs)


@contextlib.contextmanager
def writable(path: Path, session: Session) -> Iterator[WritableContent]:
    """Yield a directory to serve and push to; created if it is not there.

    Raises UsageError for a directory with other files in it, LocalError when another process has it.
    """
    _check_place(path)
    with Store(path) as store:
        content = WritableContent(store, session)
        try:
            yield content
        finally:
            content.uploads.discard_all()


def _check_place(path: Path) -> None:
    if not path.exists() or (path / LAYOUT_FILE).exists():
        return
    if not path.is_dir():
        raise UsageError(str(path), "not a directory", "only a directory can take pushes")
    with local_errors(path, "read"):
        others = sorted({entry.name for entry in path.iterdir()} - _BEGINNINGS)
    if others:
        cause = f"holds other files ({others[0]}) and is not an OCI image layout"
        raise UsageError(str(path), cause, "name a new or empty directory")
