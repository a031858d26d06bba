"""`timoni-bundler inspect`."""

import shutil
import sys
from typing import Annotated

import click

from bundler import describe, open_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.terminal import bundle_text, outcome
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, SetOptions
from bundler.reporting.json_report import document
from bundler.session import system_clock


@declared("inspect")
def command(
    bundle: BundleArgument,
    volumes: SetOptions,
    *,
    as_json: Annotated[
        bool, Option("--json", help="Print the result as JSON (`timoni-bundler schema contents`).")
    ] = False,
) -> int:
    """Show what is in a bundle: repositories, tags, digests, versions, dates, sizes.

    SIZE is everything that a tag needs; OWN is what nothing else in the bundle needs. Only the manifests
    are read; `verify` proves the rest.

    \b
    timoni-bundler inspect modules.tar.zst
    timoni-bundler inspect modules.tar.zst --json | jq -r '.repositories[].name'
    """
    with open_bundle(bundle, volumes_in=volumes.volumes_in) as opened:
        refuse_unused_folders(volumes.volumes_in, opened)
        contents = describe(opened)
    if as_json:
        outcome.print_document(document(contents), sys.stdout)
    else:
        # Not a terminal: no width, unless $COLUMNS says one.
        click.echo(
            bundle_text.contents_text(contents, system_clock(), shutil.get_terminal_size((0, 0)).columns)
        )
    return 0
