"""`timoni-bundler catalog`."""

import sys
from typing import Annotated

import click

from bundler import Session, list_repositories
from bundler.cli.declared_command import declared
from bundler.cli.setup.registry_access import registries
from bundler.cli.terminal import outcome, progress_bars
from bundler.config.option import Option
from bundler.config.run_options import Quiet, ReachOptions, RegistryHost, RegistryOptions, WidthOptions
from bundler.reporting.json_report import document


@declared("catalog")
def command(
    registry: RegistryHost,
    *,
    as_json: Annotated[
        bool, Option("--json", help="Print the result as JSON (`timoni-bundler schema registry-catalog`).")
    ] = False,
    quiet: Quiet = False,
    reach: ReachOptions,
) -> int:
    """Show the repositories that a registry lists, one per line. ghcr.io and Docker Hub list none.

    \b
    timoni-bundler catalog registry.internal:5000
    timoni-bundler catalog registry.internal:5000 | grep ^mirror/
    """
    progress = progress_bars.display(quiet=quiet)
    reachable = registries(RegistryOptions(WidthOptions(), reach), progress, [registry])
    listed = list_repositories(registry, Session(reachable, progress=progress))
    if as_json:
        outcome.print_document(document(listed), sys.stdout)
    elif listed.repositories:
        click.echo("\n".join(f"{registry}/{path}" for path in listed.repositories))
    return 0
