"""A bundle read once from its first byte to its last, which proves that it is whole.

Nothing is believed that can be computed: every frame is walked block by block, every tar header is
compared with the one that must stand there, every blob is hashed, and the seek table is built anew
and compared. So a pipe can be read as it flows, and a file is proven by the same code.
"""

from collections.abc import Callable, Iterator

from bundler.bundle import bundle_format
from bundler.bundle.bundle_format import BLOCK, END_OF_ARCHIVE
from bundler.bundle.inventory import INVENTORY_FILE, Inventory, bundle_id
from bundler.bundle.inventory_reader import check_index, decode
from bundler.bundle.wire import ByteStream, Wire, decompressed
from bundler.errors import BUNDLE, ContentError
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE
from bundler.limits import Limits
from bundler.oci import CHUNK, Descriptor, Digest
from bundler.reporting.json_report import StatementReport
from bundler.trust.armor import SIGNATURE_FILE
from bundler.trust.statement import STATEMENT_FILE, SignedStatement, signed_statement_of

StatementCheck = Callable[[SignedStatement | None], StatementReport]
"""Called with the signed statement, or None without one; returns what was proven.

Raises TrustError for a bundle to refuse.
"""


class BundleStream:
    """A bundle that is being read: call `open`, then read `blobs` to the end; then it is proven."""

    def __init__(
        self,
        file: ByteStream,
        limits: Limits,
        verifier: StatementCheck | None = None,
        read_before: tuple[Digest, Inventory] | None = None,
    ) -> None:
        """Take `read_before`: the id of an inventory in memory, which is not parsed again."""
        self._limits = limits
        self._verifier = verifier
        self._read_before = read_before
        self._wire = Wire(file, limits)
        self._tar = _Tar(decompressed(self._wire))
        self.id: Digest
        self.signed_statement: SignedStatement | None = None
        self.proven: StatementReport | None = None
        """The part of the statement that the verifier has proven; None without one."""
        self.inventory: Inventory
        self._is_open = False

    def open(self) -> Inventory:
        """Read what stands before the blobs. Raises ContentError, IntegrityError, TrustError.

        The verifier hears the id and what was signed before anything else of the bundle is looked at. An open
        stream is left as it is.
        """
        if self._is_open:
            return self.inventory
        self._wire.check_start()
        size = bundle_format.first_member_size(self._tar.exactly(BLOCK), INVENTORY_FILE)
        if size > self._limits.inventory:
            raise ContentError(INVENTORY_FILE, f"larger than the limit of {self._limits.inventory:,} bytes")
        data = self._tar.data(size)
        self.id = bundle_id(data)
        header = self._open_seal(self._tar.exactly(BLOCK))
        must_be(header, bundle_format.member_header(LAYOUT_FILE, len(LAYOUT)), LAYOUT_FILE)
        if self._verifier:
            self.proven = self._verifier(self.signed_statement)
        self.inventory = self._decoded(data)
        if self._tar.data(len(LAYOUT)) != LAYOUT:
            raise ContentError(LAYOUT_FILE, "not an OCI image layout 1.0.0")
        index = self._tar.small(self._tar.exactly(BLOCK), INDEX_FILE, self._limits.inventory)
        check_index(index, self.inventory)
        self._is_open = True
        return self.inventory

    def _decoded(self, data: bytes) -> Inventory:
        if self._read_before and self._read_before[0] == self.id:
            return self._read_before[1]
        return decode(data, limits=self._limits)

    def _open_seal(self, header: bytes) -> bytes:
        """Read statement and signatures if `header` is the statement's; return the header behind them."""
        if not bundle_format.is_named(header, STATEMENT_FILE):
            return header
        statement = self._tar.small(header, STATEMENT_FILE, self._limits.statement)
        signatures = self._tar.small(self._tar.exactly(BLOCK), SIGNATURE_FILE, self._limits.signatures)
        self.signed_statement = signed_statement_of(self.id, statement, signatures, self._limits)
        return self._tar.exactly(BLOCK)

    def blobs(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Yield every blob in file order, its bytes verified as they pass; then prove the end.

        A blob that the caller did not read to its end is read here, so that none goes unproven.
        """
        for member in self.inventory.members:
            self._tar.expect(member.header, member.name)
            chunks = member.restored(self._tar.chunks(member.size))
            yield member.blob, chunks
            for _ in chunks:
                pass
            self._tar.expect(member.padding, "padding")
        self._tar.expect(END_OF_ARCHIVE, "the end of the archive")
        self._tar.finish()
        self._wire.finish()

    @property
    def position(self) -> int:
        """Return the bytes of tar stream read so far."""
        return self._tar.position

    @property
    def sha256(self) -> str:
        """Return the sha256 of the whole file, once it is read."""
        return self._wire.sha256()


def must_be(actual: bytes, expected: bytes, what: str) -> None:
    """Raise ContentError that names the member found in the place of `what`, if the bytes differ."""
    if actual != expected:
        name = actual[:100].rstrip(b"\0").decode("utf-8", "replace")
        raise ContentError(BUNDLE, f"its archive holds {name!r:.120} where {what} must stand")


class _Tar:
    """The tar stream that the frames' contents make."""

    def __init__(self, contents: Iterator[bytes]) -> None:
        self._contents = contents
        self._waiting = memoryview(b"")
        self.position = 0

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes."""
        while size:
            if not self._waiting:
                self._waiting = memoryview(self._next())
                if not self._waiting:
                    raise bundle_format.truncated("its archive ends too early")
            chunk = bytes(self._waiting[: min(size, CHUNK)])
            self._waiting = self._waiting[len(chunk) :]
            size -= len(chunk)
            self.position += len(chunk)
            yield chunk

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes in one."""
        return b"".join(self.chunks(size))

    def data(self, size: int) -> bytes:
        """Return a member's data, its padding checked."""
        data = self.exactly(size)
        self.expect(bundle_format.padding(size), "padding")
        return data

    def small(self, header: bytes, name: str, limit: int) -> bytes:
        """Return the data of a member of this name that may have up to `limit` bytes."""
        size = bundle_format.size_in(header)
        must_be(header, bundle_format.member_header(name, max(size, 0)), name)
        if size > limit:
            raise ContentError(name, f"larger than the limit of {limit:,} bytes")
        return self.data(size)

    def expect(self, expected: bytes, what: str) -> None:
        """Raise ContentError unless exactly these bytes come next."""
        must_be(self.exactly(len(expected)), expected, what)

    def _next(self) -> bytes:
        return next(self._contents, b"")

    def finish(self) -> None:
        """Raise ContentError if anything follows."""
        if self._waiting or self._next():
            raise ContentError(BUNDLE, "its archive has data after its end")
