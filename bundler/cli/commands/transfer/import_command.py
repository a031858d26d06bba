"""`timoni-bundler import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundler import Destination, OnConflict, Part, parse_prefix
from bundler.cli.import_log import ImportLog
from bundler.cli.import_task import ImportTask, carried
from bundler.cli.input_files import import_file
from bundler.cli.kept_receipt import earlier_receipt, keep_receipt
from bundler.cli.options.metrics_options import Meter, metrics_options
from bundler.cli.options.policy_options import border_options, gathered_border, with_signers
from bundler.cli.options.registry_options import (
    check_report,
    check_stdin,
    gathered,
    output_options,
    registries,
    registry_options,
)
from bundler.cli.options.rollback_options import RollbackTarget, check_alone, read_rollback, way_back_options
from bundler.cli.options.tag_options import NameRuleOptions, gathered_rules, name_rules, rule_options
from bundler.cli.options.trust_options import (
    gate_of,
    gathered_trust,
    rollback_options,
    trust_options,
    with_statement,
)
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.outcome import conclude, failed_report
from bundler.cli.terminal.summaries import import_summary
from bundler.cli.written_files import gathered_written, write_all, written_options
from bundler.errors import BundlerError, UsageError
from bundler.importer.roll_back import roll_back
from bundler.mapping import KEPT
from bundler.oci.content import Digest
from bundler.reporting.json_report import Report
from bundler.selection.choose import EVERY_TAG
from bundler.session import Session
from bundler.workers import DEFAULT_JOBS

if TYPE_CHECKING:
    from bundler.config.file_values import ImportFile


@click.command("import", cls=Command)
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR|-", required=False, type=click.Path(allow_dash=True))
@click.option(
    "--to",
    "target",
    metavar="oci://HOST[/PREFIX]",
    help="Where to: source paths are kept below PREFIX, source hosts are dropped.",
)
@click.option(
    "--config",
    "-c",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An import file: names at the target, allow-list, selection (schemas/import-file.schema.json).",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["fail", "skip", "overwrite"]),
    help="A tag that exists with another digest. Default: move `latest`, fail for any other.",
)
@click.option(
    "--repository",
    "repositories",
    metavar="GLOB",
    multiple=True,
    help="Import only repositories whose HOST/PATH outside matches. Repeatable.",
)
@rule_options
@click.option(
    "--with",
    "beside",
    metavar="BUNDLE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A bundle that a delta builds on: what the target lacks is taken from it. Repeatable.",
)
@click.option(
    "--allow-gap",
    is_flag=True,
    help="Import a delta although a bundle that it builds on was not imported from here.",
)
@click.option(
    "--prune",
    metavar="MOST",
    type=click.IntRange(1),
    help="After a delta, delete the tags that it says are gone, if they are no more than this.",
)
@more_volumes
@written_options
@way_back_options
@border_options
@trust_options
@rollback_options
@click.option(
    "--dry-run", is_flag=True, help="Verify, ask the target, show what would be pushed; write nothing."
)
@output_options
@metrics_options("import")
@registry_options
def command(
    bundle: str | None,
    *,
    meter: Meter,
    rollback: Path | None,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Replay a bundle to a registry, digests unchanged.

    The whole bundle is verified before the first write; from - it is verified as it flows, and
    manifests and tags come last. What the target has is skipped. No tag of a repository moves before
    everything that its tags need is there and confirmed. Every tag is read back.

    \b
    timoni-bundler import modules.tar.zst --to oci://registry.internal:5000/mirror
    timoni-bundler import modules.tar.zst -c import.yaml --versions '>=6.10' --dry-run
    ssh outside cat modules.tar.zst | timoni-bundler import - --to oci://localhost:5000
    timoni-bundler import --rollback before.json
    """
    # Written only when it is known that it replaces nothing of the command's own.
    wish, report = report, None
    try:
        if rollback:
            check_report(wish, rollback, options["creds_file"], options["state"])
            report = wish
            done = _rolled_back(rollback, bundle, options, quiet=quiet, dry_run=dry_run)
            return conclude(
                meter.noted(done),
                summary=import_summary(done, str(rollback)),
                file=wish,
                as_json=as_json,
                stream=sys.stdout,
            )
        task = _task(bundle, options)
        check_report(
            wish, bundle, task.settings.creds_file, *task.written.files, *task.trust.files, task.way_back.file
        )
        report = wish
        target = task.destination.prefix
        receipt, earlier = task.written.receipt, earlier_receipt(task.written.receipt, target)
        with gate_of(task.trust, remembers=True, may_write=not dry_run) as gate:
            done, brought = carried(task, gate, dry_run=dry_run, quiet=quiet)
            done = with_statement(done, gate)
        if not dry_run:
            done = write_all(task.written, done)
            if receipt:
                keep_receipt(receipt, earlier, brought, done, target)
    except BundlerError as error:
        failed = meter.noted(failed_report("import", error))
        return conclude(failed, summary="", file=report, as_json=as_json, stream=sys.stdout)
    summary = import_summary(done, str(task.destination.prefix))
    return conclude(meter.noted(done), summary=summary, file=report, as_json=as_json, stream=sys.stdout)


def _rolled_back(
    file: Path, bundle: str | None, options: dict[str, Any], *, quiet: bool, dry_run: bool
) -> Report:
    if bundle is not None:
        raise UsageError("--rollback", "there is nothing to import", "leave the bundle out")
    check_alone(click.get_current_context())
    settings, progress, rollback = gathered(options), display(quiet=quiet), read_rollback(file)
    known = registries(settings, progress, {moved.repository.registry for moved in rollback.moved})
    session = Session(known, jobs=settings.jobs or DEFAULT_JOBS, progress=progress)
    overwrite = options["on_conflict"] == "overwrite"
    report = roll_back(rollback, session, overwrite=overwrite, may_write=not dry_run)
    if not dry_run:
        ImportLog(options["state"], rollback.target).back(rollback.bundle)
    return report


def _task(bundle: str | None, options: dict[str, Any]) -> ImportTask:
    """Command line and import file together; what the command line says wins."""
    settings, rules, written = gathered(options), gathered_rules(options), gathered_written(options)
    allowed = gathered_border(options)
    trust = with_signers(gathered_trust(options), allowed)
    if bundle is None:
        raise UsageError("import", "no bundle is named", "name a file or directory, or - for standard input")
    check_stdin(bundle, settings.creds_file)
    file = import_file(options["config"])
    prefix = parse_prefix(options["target"]) if options["target"] else file and file.to
    if not prefix:
        raise UsageError("import", "no target is named", "say where to with --to oci://HOST[/PREFIX]")
    way_back = RollbackTarget(options["rollback_file"], trust.state, str(prefix))
    way_back.check()
    arrivals = ImportLog(trust.state, str(prefix))
    brought = frozenset[Digest]() if options["allow_gap"] else arrivals.known()
    policy = options["on_conflict"] or (file and file.on_conflict)
    if file and file.image_map and not written.image_map:
        written = written._replace(image_map=Path(file.image_map))
    part = _part(options["repositories"], rules, file)
    return ImportTask(
        bundle,
        Destination(prefix, file.mapping if file else KEPT, part, brought),
        OnConflict(policy) if policy else OnConflict.DEFAULT,
        settings,
        written,
        options["beside"],
        options["prune"],
        options["volumes_in"],
        trust,
        way_back,
        arrivals,
        allowed,
    )


def _part(repositories: tuple[str, ...], options: NameRuleOptions, file: ImportFile | None) -> Part:
    own = name_rules(options)
    if file is None or repositories or own != EVERY_TAG:
        return Part(repositories, own)
    return Part(*file.select)
