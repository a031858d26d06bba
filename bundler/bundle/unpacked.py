"""An unpacked bundle: a directory whose blobs can be read in any order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from bundler.bundle.inventory import INVENTORY_FILE, Inventory, bundle_id
from bundler.bundle.inventory_reader import check_index, decode
from bundler.bundle.member_encoding import member_of
from bundler.bundle.stream import StatementCheck
from bundler.durable import check_ours, read_if_there, remove_if_there, write_whole
from bundler.errors import ContentError, IntegrityError, NotFoundError, TrustError
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE, Layout
from bundler.limits import Limits
from bundler.oci import Descriptor
from bundler.trust.armor import SIGNATURE_FILE
from bundler.trust.statement import STATEMENT_FILE, SignedStatement, signed_statement_of


def is_layout(path: Path) -> bool:
    """Return True for a folder that is, or was meant to be, an OCI layout; one half copied is one too."""
    return any((path / name).exists() for name in (INVENTORY_FILE, LAYOUT_FILE, "blobs/sha256"))


def check_own_layout(path: Path) -> None:
    """Raise LocalError for an unpacked bundle that others could change while it is read.

    Files and volumes pass: once opened, they stay the same.
    """
    if is_layout(path):
        for folder in (path, path / "blobs", path / "blobs" / "sha256"):
            check_ours(folder)


def absent(blob: Descriptor, inventory: Inventory, path: Path) -> NotFoundError:
    """Return the error for a blob that the bundle does not hold."""
    if inventory.kind == "full":
        return NotFoundError(f"blob {blob.digest}", f"not in {path}")
    next_step = "`timoni-bundler merge` makes a full bundle of a delta and its base"
    return NotFoundError(f"blob {blob.digest}", f"{path} is a delta, and only its base has it", next_step)


class BundleDirectory:
    """An unpacked bundle, or the directory that `export -o DIR` keeps."""

    is_compact = False

    def __init__(self, path: Path, limits: Limits, verifier: StatementCheck | None = None) -> None:
        self.path = path
        self.name = path.name or path.resolve().name
        self.sha256: str | None = None
        self.file_size: int | None = None
        self.volumes = 0
        self._layout = Layout(path)
        try:
            data = self._layout.file(INVENTORY_FILE, limits.inventory)
        except NotFoundError as error:
            next_step = "an interrupted export has none: run it again; other layouts are not bundles"
            raise ContentError(str(path), f"not a bundle (no {INVENTORY_FILE})", next_step) from error
        self.id = bundle_id(data)
        self.signed_statement = self._read_seal(limits)
        self.proven = verifier(self.signed_statement) if verifier else None
        self.inventory = decode(data, limits=limits)
        if self._layout.file(LAYOUT_FILE, len(LAYOUT) + 1024) != LAYOUT:
            raise ContentError(str(path / LAYOUT_FILE), "not an OCI image layout 1.0.0")
        check_index(self._layout.file(INDEX_FILE, limits.inventory), self.inventory)

    def _read_seal(self, limits: Limits) -> SignedStatement | None:
        """Return the signed statement. Without `statement.json`, `statement.sig` means nothing."""
        try:
            statement = self._layout.file(STATEMENT_FILE, limits.statement)
        except NotFoundError:
            return None
        try:
            signatures = self._layout.file(SIGNATURE_FILE, limits.signatures)
        except NotFoundError:
            cause = f"{STATEMENT_FILE} without {SIGNATURE_FILE}"
            raise TrustError(str(self.path), cause, "carry the directory again") from None
        return signed_statement_of(self.id, statement, signatures, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: no file is held open."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        try:
            member = member_of(blob)
            yield from member.restored(self._layout.read(member.name))
        except NotFoundError as error:
            if any(blob.digest == left.digest for left in self.inventory.required):
                raise absent(blob, self.inventory, self.path) from None
            raise IntegrityError(
                f"blob {blob.digest}", f"missing in {self.path}", "carry the directory again"
            ) from error

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Yield every blob that the inventory names; other files of the directory don't matter."""
        for blob in self.inventory.content:
            chunks = self.chunks(blob)
            yield blob, chunks
            for _ in chunks:
                pass


def write_seal(folder: Path, signed: SignedStatement) -> None:
    """Write both files into a directory."""
    (_, statement), (_, signatures) = signed.files()
    if _has(folder, statement):
        write_whole(folder / SIGNATURE_FILE, signatures, follow=False)
        return
    remove_if_there(folder / STATEMENT_FILE)
    write_whole(folder / SIGNATURE_FILE, signatures, follow=False)
    write_whole(folder / STATEMENT_FILE, statement, follow=False)


def remove_seal(folder: Path) -> None:
    """Remove what was signed of a bundle that is about to be replaced."""
    for name in (STATEMENT_FILE, SIGNATURE_FILE):
        remove_if_there(folder / name)


def _has(folder: Path, statement: bytes) -> bool:
    return read_if_there(folder / STATEMENT_FILE, len(statement) + 1) == statement
