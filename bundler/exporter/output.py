"""Where an export goes: a bundle file, a pipe, or the store itself as a directory.

A file that is there already is replaced only if nothing in it would be lost, or by `force`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundler.bundle.inventory import BUNDLE_SUFFIX, Inventory
from bundler.errors import UsageError
from bundler.exporter.output_directory import DirectoryOutput
from bundler.exporter.output_file import FileOutput
from bundler.exporter.output_stream import STANDARD_OUTPUT, StreamOutput
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.content import BlobSource
from bundler.progress import Progress
from bundler.report import BundleReport

if TYPE_CHECKING:
    from bundler.exporter.cutting import Cut
    from bundler.trust.signing import Signing


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

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Write it, whole or not at all."""


def output_to(
    text: str,
    *,
    force: bool = False,
    cut: Cut | None = None,
    signing: Signing | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Output:
    """What `-o` means: a bundle by its suffix, `-` for standard output, anything else a directory.

    With `cut`, the bundle is written as volumes. Raises UsageError for volumes of anything else.
    """
    path = Path(text)
    is_bundle = path.name.endswith(BUNDLE_SUFFIX)
    if cut is not None:
        if not is_bundle:
            raise UsageError(text, "only a bundle file can be cut", f"let its name end in {BUNDLE_SUFFIX}")
        from bundler.exporter.output_volumes import VolumesOutput

        return VolumesOutput(path, cut, limits, signing)
    if text == "-":
        return StreamOutput(STANDARD_OUTPUT, signing)
    if is_bundle:
        return FileOutput(path, force, limits, signing)
    return DirectoryOutput(path, force, limits, signing)
