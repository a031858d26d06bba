"""`timoni-bundler inspect`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from bundler import describe, open_bundle
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.bundle_text import contents_text
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.outcome import print_document
from bundler.reporting.json_report import document


@click.command("inspect", cls=Command)
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR", type=click.Path(path_type=Path))
@more_volumes
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (schemas/contents.schema.json).")
def command(bundle: Path, *, volumes_in: tuple[Path, ...], as_json: bool) -> int:
    """Show what a bundle holds: repositories, tags, digests, versions, dates, sizes.

    SIZE is all that a tag needs, OWN what nothing else in the bundle needs. Only the manifests are
    read: `verify` proves the rest.

    \b
    timoni-bundler inspect modules.tar.zst
    timoni-bundler inspect modules.tar.zst --json | jq -r '.repositories[].name'
    """
    with open_bundle(bundle, volumes_in=volumes_in) as opened:
        contents = describe(opened)
    if as_json:
        print_document(document(contents), sys.stdout)
    else:
        # Not a terminal: no width, unless $COLUMNS says one.
        click.echo(contents_text(contents, shutil.get_terminal_size((0, 0)).columns))
    return 0
