"""`timoni-bundler explain`."""

from __future__ import annotations

import sys
from typing import Any

import click

from bundler import explain_selection
from bundler.cli.options.registry_options import registries, registry_options
from bundler.cli.options.volume_options import in_shard, shard_option
from bundler.cli.selected import asked, hosts_of, selected, selection_options
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.outcome import print_document, print_failures
from bundler.cli.terminal.selection_text import explanation_text
from bundler.reporting.json_report import spelled
from bundler.session import Session
from bundler.workers import DEFAULT_JOBS


@click.command("explain", cls=Command)
@selection_options
@shard_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (schemas/explanation.schema.json).")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors.")
@registry_options
def command(*, as_json: bool, quiet: bool, **options: Any) -> int:
    """Show which tags an export would take, and for each the rule that decided.

    It takes the same options as `export`, and asks for tag lists only; for creation times, one
    request per tag.

    \b
    timoni-bundler explain ghcr.io/stefanprodan/modules/podinfo --versions '>=6.10' --newest 3
    timoni-bundler explain -c export.yaml --json
    """
    settings, chosen, file = asked(options)
    progress = display(quiet=quiet)
    selection = in_shard(selected(chosen, file), options["shard"])
    known = registries(settings, progress, hosts_of(selection))
    found = explain_selection(
        selection, Session(known, jobs=settings.jobs or DEFAULT_JOBS, progress=progress)
    )
    if as_json:
        print_document(spelled(found), sys.stdout)
    else:
        click.echo(explanation_text(found))
    return print_failures(found.failures, found.exit_code)
