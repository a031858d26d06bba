"""Where an export goes: a bundle file, a pipe, or the store itself as a directory.

A file that is there already is replaced only if nothing in it would be lost, or by `force`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundler.bundle.inventory import (
    INVENTORY_FILE,
    Inventory,
    bundle_id,
    encode,
    encode_index,
    roots_of,
)
from bundler.bundle.sidecar import check_sidecar, remove_sidecar, write_sidecar
from bundler.bundle.writer import Written, largest_size, write_bundle
from bundler.durable import local_errors, temporary_of, whole_file
from bundler.errors import (
    BundlerError,
    ContentError,
    IntegrityError,
    LocalError,
    NotFoundError,
    UsageError,
)
from bundler.layout import INDEX_FILE, LAYOUT_FILE
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.progress import Progress, Step
from bundler.report import BundleReport
from bundler.store import Store

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle

BUNDLE_SUFFIX = ".tar.zst"
STANDARD_OUTPUT = 1


class Output(Protocol):
    """What takes the finished export."""

    @property
    def path(self) -> Path | None:
        """None where it is no file."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def is_store(self) -> bool:
        """Whether it is the directory of blobs itself."""

    def check(self) -> None:
        """Raise UsageError or LocalError, before any request, if this can't be written."""

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """What is there, if it is this very content already. Raises UsageError if it would be lost."""

    def need(self, inventory: Inventory) -> tuple[Path, int] | None:
        """Where it will need how many bytes at most."""

    def write(self, inventory: Inventory, store: Store, progress: Progress) -> BundleReport:
        """Write it, whole or not at all."""


@dataclass
class FileOutput:
    """A bundle file with its sidecar."""

    path: Path
    force: bool
    limits: Limits
    is_store: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise before any request if this can't be written."""
        if not self.path.parent.is_dir():
            raise UsageError(self.name, "its folder does not exist", f"create {self.path.parent}")
        if self.path.is_dir():
            raise UsageError(self.name, "a directory has this name", "choose another name")
        if self.path.exists() and not self.force:
            with _explained(self.path), open_bundle(self.path, self.limits):
                pass
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise LocalError(self.name, "no permission to write into its folder", "choose another place")

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """What is there, if it is the same; proven by its digests, as the sidecar may be missing."""
        if not self.path.exists():
            return None
        try:
            return self._same(inventory, progress)
        except (IntegrityError, ContentError):
            if self.force:
                return None
            raise

    def _same(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        with open_bundle(self.path, self.limits) as bundle:
            if bundle.id != bundle_id(encode(inventory)):
                if not self.force:
                    refuse_loss(self.name, bundle.inventory, inventory)
                return None
            size = sum(blob.size for blob in inventory.content)
            with progress.step("checking the bundle that is there", size=size) as step:
                for blob, _ in bundle.everything():
                    step.advance(size=blob.size)
            sha256 = bundle.sha256 or ""
        if not _sidecar_right(self.path, sha256):
            write_sidecar(self.path, sha256)
        return BundleReport(self.name, bundle.id, sha256, self.path.stat().st_size)

    def need(self, inventory: Inventory) -> tuple[Path, int]:
        """The folder, and the largest size that the bundle can have."""
        return self.path.parent, largest_size(inventory)

    def write(self, inventory: Inventory, store: Store, progress: Progress) -> BundleReport:
        """Write it under a temporary name; the old one stays until the new one is durable."""
        with whole_file(self.path) as file, _packing(inventory, progress) as step:
            written = write_bundle(file.write, inventory, store, step)
            # An old sidecar must not speak of the new file.
            remove_sidecar(self.path)
        write_sidecar(self.path, written.sha256)
        return _report(self.name, written)


@dataclass
class StreamOutput:
    """Standard output: the bundle as it is made."""

    descriptor: int
    path: None = None
    name: str = "-"
    is_store: bool = False

    def check(self) -> None:
        """Raise UsageError on a terminal."""
        if os.isatty(self.descriptor):
            raise UsageError("-", "standard output is a terminal", "send it into a file or a pipe")

    def unchanged(self, inventory: Inventory, progress: Progress) -> None:
        """A pipe holds nothing."""

    def need(self, inventory: Inventory) -> None:
        """No disk."""

    def write(self, inventory: Inventory, store: Store, progress: Progress) -> BundleReport:
        """Write it in order."""
        with _packing(inventory, progress) as step:
            return _report(self.name, write_bundle(self._write, inventory, store, step))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with local_errors(Path("standard output"), "write"):
            while view:
                view = view[os.write(self.descriptor, view) :]


@dataclass
class DirectoryOutput:
    """The store itself, with `index.json` and, as the mark of completeness, `bundle.json`."""

    path: Path
    force: bool
    limits: Limits
    is_store: bool = True

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise UsageError if something else is there."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(self.name, "a file has this name", f"a bundle's name ends in {BUNDLE_SUFFIX}")
        if not self.path.parent.is_dir():
            raise UsageError(self.name, "its folder does not exist", f"create {self.path.parent}")
        # What a run leaves that was killed before the layout's file had its name.
        left = {".partial", ".lock", "blobs", temporary_of(self.path / LAYOUT_FILE).name}
        names = {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()
        if LAYOUT_FILE not in names and not names <= left:
            raise UsageError(self.name, "a directory of something else", "choose an empty or a new one")

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """What is there, if it is the same; its blobs are checked by presence when they are planned."""
        if not (self.path / INVENTORY_FILE).exists():
            return None
        try:
            with open_bundle(self.path, self.limits) as bundle:
                if not self.force:
                    refuse_loss(self.name, bundle.inventory, inventory)
        except (IntegrityError, ContentError, NotFoundError):
            pass  # damaged or half replaced: this run makes it whole again
        return None

    def need(self, inventory: Inventory) -> None:
        """Nothing besides the blobs."""

    def write(self, inventory: Inventory, store: Store, progress: Progress) -> BundleReport:
        """Name what the blobs make."""
        data = encode(inventory)
        store.write_file(INDEX_FILE, encode_index(inventory))
        store.write_file(INVENTORY_FILE, data)
        return BundleReport(self.name, bundle_id(data))


def open_bundle(path: Path, limits: Limits) -> Bundle:
    """As `bundler.bundle.reader` has it; loaded only where an earlier output is there."""
    from bundler.bundle import reader

    return reader.open_bundle(path, limits)


def output_to(text: str, *, force: bool = False, limits: Limits = DEFAULT_LIMITS) -> Output:
    """What `-o` means: a bundle by its suffix, `-` for standard output, anything else a directory."""
    if text == "-":
        return StreamOutput(STANDARD_OUTPUT)
    path = Path(text)
    if path.name.endswith(BUNDLE_SUFFIX):
        return FileOutput(path, force, limits)
    return DirectoryOutput(path, force, limits)


def refuse_loss(name: str, old: Inventory, new: Inventory) -> None:
    """Raise UsageError if something that is in the old bundle would not be in the new one."""
    kept = set(roots_of(new))
    lost = [root for root in roots_of(old) if root not in kept]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        cause = f"it exists, and holds {lost[0]}{more}, which the new one would not hold as it is"
        raise UsageError(name, cause, "choose another name, or --force to replace it")


@contextmanager
def _packing(inventory: Inventory, progress: Progress) -> Iterator[Step]:
    blobs = list(inventory.content)
    with progress.step("packing", len(blobs), sum(blob.size for blob in blobs)) as step:
        yield step


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except LocalError:
        raise  # what it holds could not be seen: no reason to replace it
    except BundlerError as error:
        raise UsageError(
            str(path), f"it exists: {error.cause}", "choose another name, or --force to replace it"
        ) from error


def _sidecar_right(path: Path, sha256: str) -> bool:
    try:
        return check_sidecar(path, sha256)
    except BundlerError:
        return False


def _report(name: str, written: Written) -> BundleReport:
    return BundleReport(name, written.bundle_id, written.sha256, written.size)
