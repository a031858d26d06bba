"""`timoni-bundler export`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import bundler
from bundler import Report, Selection, Session
from bundler.cli.declared_command import declared
from bundler.cli.option_combinations import refuse_force
from bundler.cli.selected import asked, hosts_of, refuse_nothing
from bundler.cli.setup import bundle_form, metrics_meter, registry_access, signing_key, trusted_signers
from bundler.cli.setup.report_file import check_report
from bundler.cli.terminal import log, outcome, progress_bars, selection_text, summaries
from bundler.config.export_options import ExportSettings
from bundler.config.run_options import DryRunOptions, PrintOptions
from bundler.config.selection_options import SelectionOptions, rules_of
from bundler.errors import BundlerError, UsageError

Result = TypeVar("Result")


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
    with metrics_meter.metered("export", settings.metrics.metrics, name, dry_run=dry, only_failure=True):
        task = _task(options, settings, dry_run)
    settings = task.settings
    stream = sys.stderr if task.out == "-" else sys.stdout
    if task.out.endswith(ARCHIVES) and not task.out.endswith((".tar.zst", ".compact.zst")):
        log.current_log().warn(
            f"{task.out}: this will be a directory; for a bundle file, use a name that ends in .tar.zst"
        )
    job = settings.job.name
    stops = outcome.StopReport("export", dry_run=dry, as_json=printed.as_json, stream=stream)
    with metrics_meter.metered("export", settings.metrics.metrics, job, dry_run=dry) as meter, stops:
        try:
            _check_report(task, options)
            stops.file = settings.report.report
            done, summary = _carried(task, dry_run, quiet=printed.quiet)
        except BundlerError as error:
            done, summary = outcome.failed_report("export", error, dry_run=dry_run.dry_run), ""
        meter.noted(done)
        return outcome.conclude(
            done, summary=summary, file=stops.file, as_json=printed.as_json, stream=stream
        )


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
    locked = bundler.locked_selection(bundler.read_lock(lock), selection, lock, rules, include)
    return locked._replace(shard=selection.shard)


def _carried(task: ExportTask, dry_run: DryRunOptions, *, quiet: bool) -> tuple[Report, str]:
    progress, settings = progress_bars.display(quiet=quiet), task.settings
    place, job = settings.output, settings.job.name
    incremental = bundle_form.incremental_of(settings.incremental, job, task.out, place.store)
    signing = signing_key.signing(settings.signing.sign_key, settings.signing.terms, job, place.store)
    signers = trusted_signers.module_signers(settings.signers)
    lock = bundle_form.lock_to_write(settings.lock.lock, settings.shard.shard)
    cut, level = bundle_form.cut_of(settings.volumes), bundle_form.level_of(settings.form)
    out = bundler.output_to(
        task.out, force=place.force, cut=cut, signing=signing, compact=level, scratch=place.store
    )
    location = bundler.store_location_of(out, place.store)
    registries = registry_access.registries(settings.registries, progress, hosts_of(task.selection))
    session = Session(registries, jobs=settings.registries.jobs, progress=progress)

    def carried_by(carry: Callable[..., Result]) -> Result:
        return carry(
            task.selection,
            out,
            location,
            session,
            incremental=incremental,
            on_drift=bundler.OnDrift(settings.lock.on_drift or "ignore"),
            lock=lock,
            signers=signers,
        )

    if dry_run.dry_run:
        planned, plan, disk = carried_by(bundler.plan_bundle)
        return planned, selection_text.export_plan_text(planned, plan, disk, all_tags=dry_run.all_tags)
    done = carried_by(bundler.export_bundle)
    return done, summaries.export_summary(done)
