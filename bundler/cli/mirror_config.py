"""The folder that `--write-mirror-config` writes."""

from __future__ import annotations

from pathlib import Path

from bundler import Report, Session
from bundler.durable import make_directories, remove_if_there, write_whole
from bundler.mirrors.mirror_files import DIGEST_SET, TAG_SET, mirror_files
from bundler.mirrors.mirror_rules import mirror_rules
from bundler.oci import RepositoryName


def write_mirror_config(
    folder: Path, report: Report, session: Session, receipt: Path | None
) -> tuple[str, ...]:
    """Write the files for what was imported, and for what the receipt has; return what they can't express.

    A file that an earlier import wrote and that would not hold any more is removed. A dry run writes and
    removes nothing.
    """
    files = mirror_files(mirror_rules(_names(report, receipt)), session.registries.origin)
    if report.dry_run:
        return files.refused
    for name, text in files.files.items():
        path = folder / name
        make_directories(path.parent)
        write_whole(path, text.encode())
    stale = [folder / name for name in (DIGEST_SET, TAG_SET)] + list(folder.glob("certs.d/*/hosts.toml"))
    for path in stale:
        if str(path.relative_to(folder)) not in files.files:
            remove_if_there(path)
    return files.refused


def _names(report: Report, receipt: Path | None) -> dict[RepositoryName, RepositoryName]:
    """Return the name at the target of every repository that has something there."""
    names: dict[RepositoryName, RepositoryName] = {}
    if receipt and receipt.exists():
        from bundler.ledger.receipt import decode_receipt

        held = decode_receipt(receipt.read_bytes(), str(receipt))
        names |= {entry.name: entry.target for entry in held.repositories}
    for entry in report.repositories:
        is_there = any(
            tag.status in ("pushed", "present", "moved", "merged", "planned") for tag in entry.tags
        )
        if entry.source and is_there:
            names[RepositoryName(entry.source)] = RepositoryName(entry.name)
    return names
