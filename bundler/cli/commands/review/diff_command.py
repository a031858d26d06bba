"""`timoni-bundler diff`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bundler import difference, open_bundle
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.difference_text import markdown_of, text_of
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.outcome import print_document
from bundler.reporting.json_report import document


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
