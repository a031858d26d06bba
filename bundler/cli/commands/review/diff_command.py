"""`timoni-bundler diff`."""

import sys
from pathlib import Path
from typing import Annotated

import click

from bundler import difference, open_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.terminal import difference_text, outcome
from bundler.config.option import Argument, Option
from bundler.config.run_options import SetOptions
from bundler.reporting.json_report import document


@declared("diff")
def command(
    old: Annotated[Path, Argument("OLD", path=True)],
    new: Annotated[Path, Argument("NEW", path=True)],
    volumes: SetOptions,
    *,
    markdown: Annotated[bool, Option("--markdown", help="Print a table for a change note.")] = False,
    as_json: Annotated[
        bool, Option("--json", help="Print the result as JSON (`timoni-bundler schema difference`).")
    ] = False,
) -> int:
    """Show what changed between two bundles: tags added, removed and moved, versions, revisions, bytes.

    OLD and NEW are bundles or their directories. Only inventories and manifests are read; `verify`
    proves the rest.

    \b
    timoni-bundler diff sunday.tar.zst monday.tar.zst --markdown > change-note.md
    """
    with (
        open_bundle(old, volumes_in=volumes.volumes_in) as before,
        open_bundle(new, volumes_in=volumes.volumes_in) as after,
    ):
        refuse_unused_folders(volumes.volumes_in, before, after)
        changes = difference(before, after)
    if as_json:
        outcome.print_document(document(changes), sys.stdout)
    else:
        click.echo(
            "\n".join(difference_text.markdown_of(changes) if markdown else difference_text.text_of(changes))
        )
    return 0
