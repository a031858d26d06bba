"""The files of one version as a directory, as `timoni mod pull` and `helm pull --untar` give them.

A version's archives are laid over each other, and may not overlap. Nothing is interpreted before all
of it is proven, nothing is overwritten, and the directory gets its name when it is whole.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bundler.bundle.reader import Bundle
from bundler.durable import local_errors
from bundler.errors import ContentError, LocalError, UsageError
from bundler.extractor.archive import Allowance, Archive, ArchiveEntry
from bundler.extractor.find import Extracted, FoundVersion
from bundler.folders import whole_directory
from bundler.limits import Limits
from bundler.oci import INDEXES, BlobSource, Descriptor, Manifest, parse_manifest, read_all
from bundler.session import Session

_ARCHIVES = ".tar+gzip"

_FILE_SYSTEMS = "application/vnd.oci.image.layer."
"""Layers of container images: their links, owners and deletions are more than files."""


def unpack_files(version: FoundVersion, bundle: Bundle, out: Path, session: Session) -> Extracted:
    """Unpack a version into a directory that is new or empty.

    Raises UsageError for another `out`; ContentError for a version without archives of files, and for
    an archive with anything else in it; IntegrityError.
    """
    _check_place(out)
    manifest = _manifest(version, bundle, session.limits)
    archives = _archives(version, manifest)
    _prove(archives, bundle, session)
    with whole_directory(out) as folder:
        files, allowance = Files(folder, session.limits), Allowance(session.limits)
        for blob in archives:
            files.add(Archive(f"layer {blob.digest}", bundle.chunks(blob), allowance))
    others = tuple(_shown(layer.blob) for layer in manifest.layers if not _holds_files(layer.blob))
    return Extracted(
        version.name, version.manifest.digest, str(out), "directory", files.count, files.size, others
    )


def _check_place(out: Path) -> None:
    if out.name in ("", ".."):
        raise UsageError(str(out), "this is not the name of a directory", "name a new directory")
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise UsageError(str(out), "it exists already", "a directory must be new; an archive ends in .tar")
    with local_errors(out, "read"):
        if any(out.iterdir()):
            raise UsageError(str(out), "it exists already and is not empty", "name a new directory")


def _manifest(version: FoundVersion, bundle: Bundle, limits: Limits) -> Manifest:
    blob = version.manifest
    if blob.media_type in INDEXES:
        cause = "it is an index of several manifests, not one version's files"
        raise ContentError(version.name, cause, "extract it to NAME.tar, or one of them by @DIGEST")
    return parse_manifest(read_all(bundle, blob), blob.media_type, blob.digest, limits=limits)


def _archives(version: FoundVersion, manifest: Manifest) -> list[Descriptor]:
    """Return the layers to unpack, each once."""
    archives = {layer.blob.digest: layer.blob for layer in manifest.layers if _holds_files(layer.blob)}
    if not archives:
        kinds = ", ".join(sorted({layer.blob.media_type for layer in manifest.layers})) or "no layers"
        raise ContentError(version.name, f"it has no archive of files ({kinds})", "extract it to NAME.tar")
    return list(archives.values())


def _holds_files(blob: Descriptor) -> bool:
    return blob.media_type.endswith(_ARCHIVES) and not blob.media_type.startswith(_FILE_SYSTEMS)


def _shown(blob: Descriptor) -> str:
    return f"{blob.digest} ({blob.media_type})"


def _prove(blobs: Sequence[Descriptor], source: BlobSource, session: Session) -> None:
    """Read them to the end, so that damage is reported as damage and not as an odd archive."""
    with session.progress.step("verifying", len(blobs), sum(blob.size for blob in blobs)) as step:
        for blob in blobs:
            for chunk in source.chunks(blob):
                step.advance(size=len(chunk))
            step.advance(items=1)


class Files:
    """A new directory that is filled from archives; a second file of the same name is refused."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.count = 0
        self.size = 0
        self._root = root
        self._folders = {""}
        self._limit = limits.files

    def add(self, archive: Archive) -> None:
        """Unpack one. Raises ContentError."""
        for entry, data in archive.entries():
            if entry.is_folder:
                self._add_folder(entry.path)
            else:
                self._add_file(entry, data)

    def _add_folder(self, path: str) -> None:
        """Make a directory and its parents; they may be named again."""
        names = path.split("/")
        for depth in range(1, len(names) + 1):
            folder = "/".join(names[:depth])
            if folder not in self._folders:
                with self._made_new(folder):
                    (self._root / folder).mkdir(0o755)
                self._folders.add(folder)

    def _add_file(self, entry: ArchiveEntry, data: Iterable[bytes]) -> None:
        self._add_folder(entry.path.rpartition("/")[0])
        with self._made_new(entry.path):
            new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._root / entry.path, new, 0o644)
        with local_errors(self._root / entry.path, "write"), os.fdopen(descriptor, "wb") as file:
            for chunk in data:
                file.write(chunk)
        self.count += 1
        self.size += entry.size

    @contextlib.contextmanager
    def _made_new(self, path: str) -> Iterator[None]:
        if self.count + len(self._folders) > self._limit:
            raise ContentError(path, f"more than the limit of {self._limit:,} files and directories")
        try:
            with local_errors(self._root / path, "create"):
                yield
        except LocalError as error:
            if isinstance(error.__cause__, FileExistsError):
                raise ContentError(path, "a second file of this name") from error
            raise
