"""The beginning of a bundle under its temporary name, and the rule for going on with it."""

from __future__ import annotations

from contextlib import suppress
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.durable import local_errors, temporary_of
from bundler.errors import ContentError, IntegrityError, TrustError
from bundler.file_system import followed

if TYPE_CHECKING:
    from bundler.bundle.begun.unfinished import UnfinishedBundle
    from bundler.exporter.output.output_file import StatementSource
    from bundler.limits import Limits
    from bundler.trust.statement import SignedStatement, Statement
    from bundler.volumes.volume_reader import BundleBytes


def is_begun(path: Path) -> bool:
    """Return True if something is under the temporary name of `path`."""
    with local_errors(path, "follow"):
        return lexists(temporary_of(followed(path)))


def unfinished(pieces: BundleBytes, path: Path, limits: Limits) -> UnfinishedBundle | None:
    """Open the beginning of a bundle; None for one without its index, or for something else."""
    from bundler.bundle.begun.unfinished import UnfinishedBundle

    with suppress(ContentError, IntegrityError, TrustError):
        return UnfinishedBundle(path, pieces, limits)
    return None


def begins(
    left: UnfinishedBundle,
    inventory: Inventory,
    signing: StatementSource | None,
    replaced: Statement | None,
) -> bool:
    """Return True if a bundle of this inventory, signed or not, can be the rest of what is left."""
    if left.id != bundle_id(encode(inventory)):
        return False
    if signing is None:
        return left.signed_statement is None
    return signing.resumes(left.signed_statement, replaced)


def statement_left(out: BundleOutput, inventory: Inventory) -> SignedStatement | None:
    """Return the statement that what is left begins with, if the same bundle can go on with it."""
    left = out.left_over()
    if left is None:
        return None
    with left:
        return left.signed_statement if out.resumes(left, inventory) else None
