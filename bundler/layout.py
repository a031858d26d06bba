"""An OCI image layout as a directory, for reading. A BlobSource.

Source: image-spec 1.1, image-layout.md.
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bundler.durable import local_errors
from bundler.errors import ContentError, NotFoundError
from bundler.oci import CHUNK, Descriptor, Digest, verified

LAYOUT_FILE = "oci-layout"

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}\n'

INDEX_FILE = "index.json"

_IRREGULAR = {errno.ELOOP: "a link, not a regular file", errno.ENXIO: "a socket, not a regular file"}
"""The kind of file found in the place of a regular one, by the error of opening it."""

_COPY = "copy the directory again, with regular files in it"


class Layout:
    """An OCI image layout as a directory, for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str, limit: int) -> bytes:
        """Read a small file of the layout. Raises NotFoundError, ContentError over `limit` bytes."""
        path = self.path / name
        with (
            self._open(path) as descriptor,
            local_errors(path, "read"),
            io.FileIO(descriptor, closefd=False) as file,
        ):
            data = io.BufferedReader(file).read(limit + 1)
        if len(data) > limit:
            raise ContentError(str(self.path / name), f"larger than the limit of {limit:,} bytes")
        return data

    def blob_path(self, digest: Digest) -> Path:
        """Return where the layout keeps a blob, whether or not it has it."""
        return self.path / digest.path

    def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob's file in bytes; None if there is no regular file. Raises LocalError."""
        path = self.blob_path(digest)
        with local_errors(path, "look at"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = path.lstat()
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        return None

    def has(self, blob: Descriptor) -> bool:
        """Return True if the blob is there in its size."""
        return self.size_of(blob.digest) == blob.size

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        return verified(blob, self.read(blob.digest.path))

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a file of the layout. Raises NotFoundError, ContentError, LocalError."""
        path = self.path / name
        with self._open(path) as descriptor:
            while True:
                with local_errors(path, "read"):
                    chunk = os.read(descriptor, CHUNK)
                if not chunk:
                    return
                yield chunk

    @contextlib.contextmanager
    def _open(self, path: Path) -> Iterator[int]:
        """Open a regular file of the layout; a link, pipe or socket in its place is refused."""
        try:
            # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(
                str(path), "not there", "run the command that made the directory again"
            ) from error
        except OSError as error:
            if error.errno in _IRREGULAR:
                raise ContentError(str(path), _IRREGULAR[error.errno], _COPY) from error
            with local_errors(path, "open"):
                raise error from None
        try:
            with local_errors(path, "look at"):
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ContentError(str(path), "not a regular file", _COPY)
            yield descriptor
        finally:
            os.close(descriptor)
