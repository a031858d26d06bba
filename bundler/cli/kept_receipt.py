"""The receipt that an import keeps up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.durable import local_errors, write_whole
from bundler.errors import UsageError
from bundler.ledger.receipt import Receipt, decode_receipt, encode_receipt, received
from bundler.limits import DEFAULT_LIMITS
from bundler.named_files import read_at_most
from bundler.oci.content import Digest
from bundler.oci.reference import Prefix, RepositoryName
from bundler.reporting.json_report import Report


class Brought(NamedTuple):
    """The bundle that was imported."""

    id: Digest
    inventory: Inventory


def earlier_receipt(path: Path | None, target: Prefix) -> Receipt | None:
    """The receipt that is there. Raises UsageError for another target's, ContentError for no receipt."""
    if path is None or not path.exists():
        return None
    with local_errors(path, "read"):
        earlier = decode_receipt(read_at_most(path, DEFAULT_LIMITS.inventory), str(path))
    if earlier.target != str(target):
        raise UsageError(str(path), f"it is the receipt of {earlier.target}", "keep one for each target")
    return earlier


def keep_receipt(
    path: Path, earlier: Receipt | None, brought: Brought, report: Report, target: Prefix
) -> None:
    """Write what the target holds now."""
    names = {
        RepositoryName(entry.source): RepositoryName(entry.name)
        for entry in report.repositories
        if entry.source
    }
    there = {
        (entry.source, tag.reference)
        for entry in report.repositories
        for tag in entry.tags
        if tag.status in ("pushed", "moved", "present", "merged")
    }
    roots = (root for root in roots_of(brought.inventory) if _name(root) in there)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    receipt = received(earlier, brought.inventory, brought.id, roots, names, target=str(target), time=now)
    write_whole(path, encode_receipt(receipt))


def _name(root: Root) -> tuple[str, str]:
    return (root.repository, root.tag or root.digest)
