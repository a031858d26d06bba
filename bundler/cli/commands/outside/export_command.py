"""`timoni-bundler export`."""

import sys
from pathlib import Path
from typing import NamedTuple

from bundler import (
    OnDrift,
    export_bundle,
    locked_selection,
    output_to,
    plan_bundle,
    read_lock,
    store_location_of,
)
from bundler.cli.declared_command import declared
from bundler.cli.option_combinations import refuse_force
from bundler.cli.selected import asked, hosts_of, refuse_nothing
from bundler.cli.setup.bundle_form import cut_of, incremental_of, level_of, lock_to_write
from bundler.cli.setup.metrics_meter import metered
from bundler.cli.setup.registry_access import check_report, registries
from bundler.cli.setup.signing_key import signing
from bundler.cli.setup.trusted_signers import module_signers
from bundler.cli.terminal.log import current_log
from bundler.cli.terminal.outcome import conclude, failed_report
from bundler.cli.terminal.progress_bars import display
from bundler.cli.terminal.selection_text import export_plan_text
from bundler.cli.terminal.summaries import export_summary
from bundler.config.export_options import ExportSettings
from bundler.config.run_options import DryRunOptions, PrintOptions
from bundler.config.selection_options import SelectionOptions, rules_of
from bundler.errors import BundlerError, UsageError
from bundler.reporting.json_report import Report
from bundler.selection.sources import Selection
from bundler.session import Session


class ExportTask(NamedTuple):
    """One export, all that was said about it put together."""

    selection: Selection
    out: str
    settings: ExportSettings


ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tzst", ".zst", ".zip")
"""Endings that promise a file."""


@declared("export", reads_files=True)
def command(
    options: SelectionOptions, settings: ExportSettings, dry_run: DryRunOptions, printed: PrintOptions
) -> int:
    """Export modules from registries into a bundle.

    SOURCE is [oci://][HOST/]REPOSITORY[:TAG|@DIGEST]. Without a tag or digest, the options choose
    among its tags; without options, all tags are taken. HOST/GLOB (with a *) is every repository in the
    registry's catalog that matches. `timoni-bundler explain` shows what would be taken, and why.

    \b
    timoni-bundler export ghcr.io/stefanprodan/modules/podinfo -o podinfo.tar.zst
    timoni-bundler export HOST/redis --newest-per-minor 1 --newest 3 --with-images -o night.tar.zst
    timoni-bundler export -c export.yaml --store /var/lib/modules -o night.tar.zst
    timoni-bundler export -c export.yaml --base last --store /var/lib/modules -o tuesday.tar.zst

    If an export is interrupted, run the same command again: it continues with what is missing. An
    existing OUT is replaced only if nothing in it would be lost.
    """
    dry, name = dry_run.dry_run, settings.job.name
    with metered("export", settings.metrics.metrics, name, dry_run=dry, only_failure=True):
        task = _task(options, settings, dry_run)
    settings = task.settings
    stream = sys.stderr if task.out == "-" else sys.stdout
    if task.out.endswith(ARCHIVES) and not task.out.endswith((".tar.zst", ".compact.zst")):
        current_log().warn(
            f"{task.out}: this will be a directory; for a bundle file, use a name that ends in .tar.zst"
        )
    job = settings.job.name
    with metered("export", settings.metrics.metrics, job, dry_run=dry_run.dry_run) as meter:
        # Written only when it is known that it replaces nothing of the command's own.
        report: Path | None = None
        try:
            _check_report(task, options)
            report = settings.report.report
            done, summary = _carried(task, dry_run, quiet=printed.quiet)
        except BundlerError as error:
            done, summary = failed_report("export", error, dry_run=dry_run.dry_run), ""
        meter.noted(done)
        return conclude(done, summary=summary, file=report, as_json=printed.as_json, stream=stream)


def _task(options: SelectionOptions, settings: ExportSettings, dry_run: DryRunOptions) -> ExportTask:
    """Join command line and export files; what the command line says wins."""
    settings, selection = asked("export", options, settings, dry_run)
    out, lock = settings.output.out, settings.lock.lock
    if not out:
        raise UsageError("export", "no output given", "add -o NAME.tar.zst")
    refuse_force(out, force=settings.output.force)
    return ExportTask(_locked(selection, lock, options), out, settings)


def _check_report(task: ExportTask, options: SelectionOptions) -> None:
    settings = task.settings
    check_report(
        settings.report.report,
        task.out,
        settings.output.store,
        settings.lock.lock,
        settings.registries.reach.creds_file,
        settings.signing.sign_key,
        *options.place.config,
        *settings.incremental.base,
    )


def _locked(selection: Selection, lock: Path | None, options: SelectionOptions) -> Selection:
    """Return what the lock file pins, if it is there; alone, it is under the restrictions of the options."""
    if lock is None or not lock.exists():
        refuse_nothing(selection)
        return selection
    rules, include = rules_of(options.tags, options.more), options.include.include()
    locked = locked_selection(read_lock(lock), selection, lock, rules, include)
    return locked._replace(shard=selection.shard)


def _carried(task: ExportTask, dry_run: DryRunOptions, *, quiet: bool) -> tuple[Report, str]:
    progress, settings = display(quiet=quiet), task.settings
    place, job = settings.output, settings.job.name
    incremental = incremental_of(settings.incremental, job, task.out, place.store)
    signed = signing(settings.signing.sign_key, settings.signing.terms, job, place.store)
    signers = module_signers(settings.signers)
    lock = lock_to_write(settings.lock.lock, settings.shard.shard)
    cut, level = cut_of(settings.volumes), level_of(settings.form)
    out = output_to(task.out, force=place.force, cut=cut, signing=signed, compact=level, scratch=place.store)
    location = store_location_of(out, place.store)
    known = registries(settings.registries, progress, hosts_of(task.selection))
    session = Session(known, jobs=settings.registries.jobs, progress=progress)
    if dry_run.dry_run:
        planned, plan, disk = plan_bundle(
            task.selection,
            out,
            location,
            session,
            incremental=incremental,
            on_drift=OnDrift(settings.lock.on_drift or "ignore"),
            lock=lock,
            signers=signers,
        )
        return planned, export_plan_text(planned, plan, disk, all_tags=dry_run.all_tags)
    done = export_bundle(
        task.selection,
        out,
        location,
        session,
        incremental=incremental,
        on_drift=OnDrift(settings.lock.on_drift or "ignore"),
        lock=lock,
        signers=signers,
    )
    return done, export_summary(done)
