"""EXTRACT one version of a bundle: find it → an OCI archive, or files. This file is the flow only."""

from pathlib import Path

from bundler.bundle.reader import Bundle
from bundler.errors import NotFoundError
from bundler.extractor.find import Extracted, find, of_base
from bundler.extractor.module_files import unpack_files
from bundler.extractor.oci_archive import ARCHIVE_SUFFIX, write_archive
from bundler.session import Session

__all__ = ["Extracted", "extract"]


def extract(
    bundle: Bundle,
    reference: str,
    out: Path,
    session: Session,
    *,
    force: bool = False,
) -> Extracted:
    """Take one version out of a bundle: as an OCI archive if `out` ends in `.tar`, else as its files.

    `reference` is `[HOST/]REPOSITORY:TAG`, where the first parts of the repository may be left out, or
    `@DIGEST`. Either is there whole or not at all; `force` replaces an archive. Raises NotFoundError
    with names that are close, UsageError when the reference or `out` can't be meant, and what the
    content deserves.
    """
    version = find(reference, bundle.inventory)
    try:
        if out.name.endswith(ARCHIVE_SUFFIX):
            return write_archive(version, bundle, out, session, force=force)
        return unpack_files(version, bundle, out, session)
    except NotFoundError as error:
        raise of_base(version, bundle.inventory) or error from error
