"""An earlier output under the name of a new one: replaced only if nothing in it would be lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.inventory import Inventory, roots_of
from bundler.deltas.departed import Name, name_of
from bundler.errors import BundlerError, LocalError, UsageError
from bundler.limits import Limits
from bundler.oci import Digest

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle
    from bundler.trust.statement import Statement


def open_bundle(path: Path, limits: Limits) -> Bundle:
    """Open a bundle; the reader is loaded only where an earlier output exists."""
    from bundler.bundle import reader

    return reader.open_bundle(path, limits)


def statement_there(path: Path, limits: Limits) -> Statement | None:
    """Return the statement of the signed bundle under a name; None if there is none, or it is damaged.

    Raises: LocalError for what could not be seen.
    """
    try:
        with open_bundle(path, limits) as bundle:
            return bundle.signed_statement.statement if bundle.signed_statement else None
    except LocalError:
        raise
    except BundlerError:
        return None


def refuse_loss(name: str, old: Inventory, new: Inventory) -> None:
    """Raise UsageError if something that is in the old bundle would not be in the new one."""
    kept = set(roots_of(new))
    lost = [root for root in roots_of(old) if root not in kept]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        cause = f"it exists, and has {lost[0]}{more}, which the new one would lose or change"
        raise UsageError(name, cause, "choose another name, or --force to replace it")
    still_named = {name_of(root) for root in kept} | set(_departed(new))
    if untold := [name for name in _departed(old) if name not in still_named]:
        repository, tag = untold[0]
        cause = f"it exists, and says that {repository}:{tag} is gone, but the new one would not"
        raise UsageError(name, cause, "choose another name, or --force to replace it")


def refuse_own_base(name: str, old: Digest, new: Inventory) -> None:
    """Raise UsageError, also under `force`, if the new bundle builds on what it would replace."""
    if old in new.base:
        raise UsageError(name, "it exists, and it is a base of the new one", "choose another name")


def _departed(inventory: Inventory) -> Iterator[Name]:
    """Yield the names that are gone at the source or no longer selected."""
    for entry in inventory.repositories:
        yield from ((entry.name, name) for name in (*entry.removed, *entry.deselected))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say of what is there that it is in the way; what could not be seen stays a LocalError."""
    try:
        yield
    except LocalError:
        raise  # what it holds could not be seen: no reason to replace it
    except BundlerError as error:
        raise UsageError(
            str(path), f"it exists: {error.cause}", "choose another name, or --force to replace it"
        ) from error
