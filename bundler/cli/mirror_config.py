"""The folder that `--write-mirror-config` writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bundler import Report, Session
from bundler.durable import make_directories, read_if_there, remove_if_there, write_whole
from bundler.mirrors.mirror_files import DIGEST_SET, MARK, TAG_SET, mirror_files
from bundler.mirrors.mirror_rules import mirror_rules
from bundler.oci import RepositoryName


def write_mirror_config(
    folder: Path, report: Report, session: Session, receipt: Path | None
) -> tuple[str, ...]:
    """Write the files for what was imported, and for what the receipt has; return what is not written.

    A file that an earlier import wrote and that would not hold any more is removed; a file that something
    else wrote stays as it is. A dry run writes and removes nothing.
    """
    files = mirror_files(mirror_rules(_names(report, receipt)), session.registries.origin)
    foreign = {path for path in _written_before(folder, files.files) if not _is_ours(path)}
    if not report.dry_run:
        for path in _written_before(folder, files.files) - foreign:
            if str(path.relative_to(folder)) not in files.files:
                remove_if_there(path)
        for name, text in files.files.items():
            if folder / name not in foreign:
                make_directories((folder / name).parent)
                write_whole(folder / name, text.encode())
    kept = sorted(path for path in foreign if str(path.relative_to(folder)) in files.files)
    return (*files.refused, *(f"{path}: not written, as another program wrote this file" for path in kept))


def _written_before(folder: Path, names: Iterable[str]) -> set[Path]:
    """Return the files that are there and would be written, or may be of an earlier import."""
    paths = {folder / name for name in (*names, DIGEST_SET, TAG_SET)}
    return {path for path in (*paths, *folder.glob("certs.d/*/hosts.toml")) if os.path.lexists(path)}


def _is_ours(path: Path) -> bool:
    return (read_if_there(path) or b"").startswith(MARK.encode())


def _names(report: Report, receipt: Path | None) -> dict[RepositoryName, RepositoryName]:
    """Return the name at the target of every repository that has something there."""
    names: dict[RepositoryName, RepositoryName] = {}
    if receipt and receipt.exists():
        from bundler.ledger.receipt import decode_receipt

        held = decode_receipt(receipt.read_bytes(), str(receipt))
        names |= {entry.name: entry.target for entry in held.repositories}
    for entry in report.repositories:
        if entry.source and any(tag.is_there for tag in entry.tags):
            names[RepositoryName(entry.source)] = RepositoryName(entry.name)
    return names
