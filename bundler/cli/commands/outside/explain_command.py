"""`timoni-bundler explain`."""

import sys
from typing import Annotated

import click

from bundler import Session, explain_selection
from bundler.cli.declared_command import declared
from bundler.cli.selected import asked, hosts_of, refuse_nothing
from bundler.cli.setup.registry_access import registries
from bundler.cli.terminal import outcome, progress_bars, selection_text
from bundler.config.export_options import ExportSettings
from bundler.config.option import Option, defaults_of
from bundler.config.run_options import Quiet, RegistryOptions
from bundler.config.selection_options import SelectionOptions, ShardOptions
from bundler.reporting.json_report import spelled


@declared("explain", reads_files=True)
def command(
    selection: SelectionOptions,
    shard: ShardOptions,
    *,
    all_tags: Annotated[
        bool, Option("--all", heading="Output", help="Show every tag, also those left out.")
    ] = False,
    as_json: Annotated[
        bool,
        Option(
            "--json", heading="Output", help="Print the result as JSON (`timoni-bundler schema explanation`)."
        ),
    ] = False,
    quiet: Quiet = False,
    registry: RegistryOptions,
) -> int:
    """Show which tags an export would take, and for each the rule that decides.

    Takes the same options as `export`. Reads tag lists only; rules about creation times need one
    request per tag.

    \b
    timoni-bundler explain ghcr.io/stefanprodan/modules/podinfo --versions '>=6.10' --newest 3 --all
    timoni-bundler explain -c export.yaml --json
    """
    settings_given = defaults_of(ExportSettings)._replace(shard=shard, registries=registry)
    settings, chosen = asked("explain", selection, settings_given)
    refuse_nothing(chosen)
    progress = progress_bars.display(quiet=quiet)
    reached = registries(settings.registries, progress, hosts_of(chosen))
    explanation = explain_selection(
        chosen, Session(reached, jobs=settings.registries.jobs, progress=progress)
    )
    if as_json:
        outcome.print_document(spelled(explanation), sys.stdout)
    else:
        click.echo(selection_text.explanation_text(explanation, all_tags=all_tags))
    return outcome.print_failures(explanation.failures, explanation.exit_code)
