"""A blob as a member of a bundle: the one place where a descriptor becomes a name, a size and bytes.

Writer, reader, stream, unpacked directory, extractor and the sizes of volumes all ask a `Member`, so
that a blob that is stored in another way than byte for byte is a matter of this module.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from bundler.bundle.bundle_format import member_header, member_size, padding
from bundler.oci import BlobSource, Descriptor, verified


class Member(NamedTuple):
    """One blob as the archive holds it."""

    blob: Descriptor
    name: str
    """Name in the archive and, unpacked, in the directory."""
    size: int
    """Bytes of data in the archive, without header and padding."""
    encoding: Literal["identity"]
    """`identity`: the data is the blob itself."""

    @property
    def header(self) -> bytes:
        """Return the bytes of the tar stream before the data."""
        return member_header(self.name, self.size)

    @property
    def padding(self) -> bytes:
        """Return the zeros of the tar stream behind the data."""
        return padding(self.size)

    @property
    def length(self) -> int:
        """Return the bytes of the tar stream that header, data and padding take."""
        return member_size(self.name, self.size)

    def stored(self, source: BlobSource) -> Iterator[bytes]:
        """Yield the data to be written, made of the blob's bytes. Raises what `source` raises."""
        return source.chunks(self.blob)

    def restored(self, data: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the blob's bytes, made of the data; end well only if they are its bytes.

        Raises IntegrityError behind the last chunk.
        """
        return verified(self.blob, data)


def member_of(blob: Descriptor) -> Member:
    """Return the member that holds `blob`."""
    return Member(blob, blob.digest.path, blob.size, "identity")
