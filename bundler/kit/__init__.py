"""A kit: everything that crosses in one folder, with checksums and a page that needs no program to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.folders import check_disk, whole_directory
from bundler.kit.kit_bundle import in_order
from bundler.kit.kit_readme import README, SUMS, KitContents, readme
from bundler.kit.kit_sources import (
    KitSources,
    archives_of,
    bytes_needed,
    check_content,
    check_place,
    proven_bundle,
)
from bundler.kit.kit_writer import KitWriter
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.bundle.stream import Judge
    from bundler.oci import Prefix

__all__ = ["Kit", "KitSources", "write_kit"]


class Kit(NamedTuple):
    """A kit that was written."""

    contents: KitContents
    files: tuple[str, ...]
    """All files, by name."""
    warnings: tuple[str, ...] = ()
    """What the verification of its bundles did not like."""


def write_kit(
    sources: KitSources,
    folder: Path,
    session: Session,
    *,
    judge: Judge | None = None,
    target: Prefix | None = None,
) -> Kit:
    """Verify the bundles, and write the new folder: it appears whole or not at all.

    `judge` says which signatures count. `target` is named in README.txt as the place to import to.

    Raises: UsageError for a name or size that FAT32 does not take, and for what is no file of a kit;
    what the verification of a bundle raises; LocalError.
    """
    archives = archives_of(sources.archives)
    check_place(folder, sources)
    bundles = [proven_bundle(path, sources, session, judge) for path in sources.bundles]
    check_content(bundles, sources)
    check_disk([(folder.parent, bytes_needed(bundles, sources))])
    with whole_directory(folder) as made:
        writer = KitWriter(made, session.progress)
        contents = KitContents(
            in_order([writer.bundle(bundle, sources.cut) for bundle in bundles]),
            tuple(writer.archive(*pair) for pair in zip(sources.archives, archives, strict=True)),
            writer.signers(sources.signers),
            f"oci://{target}" if target else None,
            writer.size,
        )
        writer.text(README, readme(contents))
        writer.sums()
    warnings = tuple(warning for bundle in bundles for warning in bundle.warnings)
    return Kit(contents, (*sorted(writer.digests), SUMS), warnings)
