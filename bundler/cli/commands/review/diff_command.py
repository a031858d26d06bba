"""`timoni-bundler diff`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from bundler import difference, open_bundle
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.summaries import print_document
from bundler.deltas.difference import Difference, TagChange, TagState
from bundler.errors import printable
from bundler.oci.content import shortened
from bundler.reporting.json_report import document
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

SIGNS = {"added": "+", "removed": "-", "moved": "~"}


@click.command("diff", cls=Command)
@click.argument("old", metavar="OLD", type=click.Path(path_type=Path))
@click.argument("new", metavar="NEW", type=click.Path(path_type=Path))
@more_volumes
@click.option("--markdown", is_flag=True, help="Print a table for a change note.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (schemas/difference.schema.json).")
def command(old: Path, new: Path, *, volumes_in: tuple[Path, ...], markdown: bool, as_json: bool) -> int:
    """Show what changed between two bundles: tags added, removed and moved, versions, revisions, bytes.

    OLD and NEW are bundles or their directories. Only inventories and manifests are read: `verify`
    proves the rest.

    \b
    timoni-bundler diff sunday.tar.zst monday.tar.zst --markdown > change-note.md
    """
    with (
        open_bundle(old, volumes_in=volumes_in) as before,
        open_bundle(new, volumes_in=volumes_in) as after,
    ):
        found = difference(before, after)
    if as_json:
        print_document(document(found), sys.stdout)
    else:
        click.echo("\n".join(markdown_of(found) if markdown else text_of(found)))
    return 0


def text_of(found: Difference) -> Iterator[str]:
    """A line for each change, and the sums."""
    for name, change in _ordered(found):
        known = any(state and state.revision for state in (change.old, change.new))
        revisions = f"  revision {_revisions(change, ' -> ')}" if known else ""
        yield f"{SIGNS[change.change]} {name}:{change.reference}  {_told(change, ' -> ')}{revisions}"
    yield _sums(found)


def markdown_of(found: Difference) -> Iterator[str]:
    """A table with a row for each change, and the sums."""
    if found.repositories:
        yield "| change | repository | tag | version and digest | git revision |"
        yield "|---|---|---|---|---|"
    for name, change in _ordered(found):
        cells = (change.change, name, change.reference, _told(change, " → "), _revisions(change, " → "))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    if found.repositories:
        yield ""
    yield _sums(found)


def _ordered(found: Difference) -> Iterator[tuple[str, TagChange]]:
    for entry in found.repositories:
        for change in sorted(entry.changes, key=lambda change: version_order(change.reference)):
            yield entry.name, change


def _told(change: TagChange, arrow: str) -> str:
    return _joined(
        change, arrow, lambda state: f"{printable(state.version or '-', 40)} {shortened(state.digest)}"
    )


def _revisions(change: TagChange, arrow: str) -> str:
    return _joined(change, arrow, lambda state: printable(state.revision or "-", 60))


def _joined(change: TagChange, arrow: str, tell: Callable[[TagState], str]) -> str:
    return arrow.join(dict.fromkeys(tell(state) for state in (change.old, change.new) if state))


def _sums(found: Difference) -> str:
    counts = dict.fromkeys(SIGNS, 0)
    for _, change in _ordered(found):
        counts[change.change] += 1
    tags = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return (
        f"{tags}, {found.unchanged} unchanged; {counted(found.added_blobs, 'blob')} more "
        f"({size_text(found.added_bytes)}), {found.removed_blobs} less ({size_text(found.removed_bytes)})"
    )
