"""The destinations of an export: a bundle file, a pipe, or the store itself as a directory.

A file that is there already is replaced only if nothing in it would be lost, or by `force`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import BUNDLE_SUFFIX, COMPACT_SUFFIX
from bundler.errors import UsageError
from bundler.exporter.output.output_file import FileOutput, StatementSource, StreamOutput, writer_of
from bundler.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from bundler.exporter.export_content import ExportContent
    from bundler.reporting.bundle_outcome import CompactReport
    from bundler.session import Session
    from bundler.store.blob_store import Store
    from bundler.volumes.volume_writer import Cut


def output_to(
    text: str,
    *,
    force: bool = False,
    cut: Cut | None = None,
    signing: StatementSource | None = None,
    compact: int | None = None,
    scratch: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> BundleOutput:
    """Return what `-o` means: a bundle by its suffix, `-` for standard output, anything else a directory.

    With `cut`, the bundle is written as volumes; with `compact`, a zstd level, in its compact form. Its
    temporary files are beside the output; of a pipe, in `scratch`.
    Raises UsageError for volumes of anything else, and for a name that says another form.
    """
    path = Path(text)
    if text == "-" and cut is None:
        writer = writer_of(compact, scratch or path.parent, limits)
        return StreamOutput(signing=signing, writer=writer, compact=compact)
    suffix = BUNDLE_SUFFIX if compact is None else COMPACT_SUFFIX
    _check_form(path, is_compact=compact is not None)
    is_bundle = path.name.endswith(suffix)
    if cut is not None:
        if not is_bundle:
            raise UsageError(
                text, "only a bundle file can be split into volumes", f"use a name that ends in {suffix}"
            )
        from bundler.exporter.output.output_volumes import VolumesOutput

        return VolumesOutput(path, cut, limits, signing, compact=compact)
    if is_bundle:
        return FileOutput(path, force, limits, signing, compact=compact)
    from bundler.exporter.output.output_directory import DirectoryOutput

    return DirectoryOutput(path, force, limits, signing)


def _check_form(path: Path, *, is_compact: bool) -> None:
    """Raise UsageError for a name that says another form than the one that is written."""
    if is_compact and not path.name.endswith(COMPACT_SUFFIX):
        cause = f"the name of a compact bundle ends in {COMPACT_SUFFIX}"
        raise UsageError(str(path), cause, "choose such a name")
    if not is_compact and path.name.endswith(COMPACT_SUFFIX):
        cause = "this is the name of a compact bundle, and a portable one would be written"
        raise UsageError(str(path), cause, f"choose a name that ends in {BUNDLE_SUFFIX}, or export --compact")


def planned_compact(
    content: ExportContent, out: BundleOutput, store: Store, session: Session
) -> CompactReport | None:
    """Return what a compact bundle would save, as far as the store has its blobs; None for another form."""
    if out.compact is None:
        return None
    from bundler.bundle.compacted.compact_savings import planned_savings

    return planned_savings(
        content.inventory,
        content.resolution.manifests,
        store,
        store.has,
        session.progress,
        folder=out.path.parent if out.path else None,
        limits=session.limits,
        level=out.compact,
    )
