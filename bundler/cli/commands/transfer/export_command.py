"""`timoni-bundler export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bundler import (
    OnDrift,
    export_bundle,
    locked_selection,
    output_to,
    plan_bundle,
    read_lock,
    store_location_of,
)
from bundler.cli.options.cosign_options import gathered_signers, signer_options
from bundler.cli.options.job_options import gathered_series, series_options
from bundler.cli.options.metrics_options import Meter, metrics_options
from bundler.cli.options.registry_options import (
    RegistryOptions,
    check_report,
    output_options,
    registries,
    registry_options,
)
from bundler.cli.options.signing_options import gathered_signing, signing, signing_options
from bundler.cli.options.volume_options import (
    cut_options,
    gathered_cut,
    in_shard,
    lock_to_write,
    shard_option,
)
from bundler.cli.selected import SelectionOptions, asked, hosts_of, selected, selection_options
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.log import current_log
from bundler.cli.terminal.outcome import conclude, failed_report
from bundler.cli.terminal.selection_text import plan_text
from bundler.cli.terminal.summaries import export_summary
from bundler.errors import BundlerError, UsageError
from bundler.exporter import Incremental
from bundler.reporting.json_report import Report
from bundler.selection.sources import Selection
from bundler.session import Session
from bundler.workers import DEFAULT_JOBS

if TYPE_CHECKING:
    from bundler.config.file_values import ExportFile
    from bundler.trust.bundle_signing import Signing
    from bundler.trust.module_signers import Signers
    from bundler.volumes.volume_writer import Cut


class ExportTask(NamedTuple):
    """One export, all that was said about it put together."""

    selection: Selection
    out: str
    store: Path | None
    force: bool
    lock: Path | None
    on_drift: OnDrift
    settings: RegistryOptions
    incremental: Incremental
    cut: Cut | None
    signing: Signing | None
    signers: Signers


ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tzst", ".zst", ".zip")
"""Endings that promise a file."""


@click.command("export", cls=Command)
@selection_options
@click.option(
    "--output",
    "-o",
    "out",
    metavar="OUT",
    type=click.Path(allow_dash=True, readable=False),
    help="NAME.tar.zst for a bundle, - for a bundle on standard output, else a directory.",
)
@click.option(
    "--store",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep blobs here for the next run. Default: beside OUT, removed when the bundle is done.",
)
@click.option(
    "--lock",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Export what this file pins, every tag by its digest; if it is not there, write it.",
)
@click.option(
    "--on-drift",
    type=click.Choice(["warn", "fail", "refetch"]),
    help="Ask for every tag again at the end: what to do about one that moved meanwhile. Default: don't ask.",
)
@series_options
@cut_options
@click.option(
    "--sign-key",
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="Sign the bundle: an OpenSSH private key, or the public key of one that the agent holds.",
)
@signing_options
@signer_options
@shard_option
@click.option("--force", is_flag=True, help="Replace OUT, even if that loses what it holds.")
@click.option("--dry-run", is_flag=True, help="Show tags, digests, requests, bytes and disk; write nothing.")
@output_options
@metrics_options("export")
@registry_options
def command(
    *,
    meter: Meter,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    out: str | None,
    **options: Any,
) -> int:
    """Carry modules from registries into a bundle.

    SOURCE is [oci://]HOST/REPOSITORY[:TAG|@DIGEST]; without tag or digest, the options choose among
    its tags, all of them without any. HOST/GLOB (with a *) is every repository of the registry's
    catalog that matches. `timoni-bundler explain` shows what would be taken, and why.

    \b
    timoni-bundler export ghcr.io/stefanprodan/modules/podinfo -o podinfo.tar.zst
    timoni-bundler export HOST/redis --newest-per-minor 1 --newest 3 --with-images -o night.tar.zst
    timoni-bundler export -c export.yaml --store /var/lib/modules -o night.tar.zst
    timoni-bundler export -c export.yaml --base last --store /var/lib/modules -o tuesday.tar.zst

    Interrupted? The same command goes on with what is missing. An existing OUT is replaced only if
    nothing that it holds would be lost.
    """
    stream = sys.stderr if out == "-" else sys.stdout
    if out and out.endswith(ARCHIVES) and not out.endswith(".tar.zst"):
        current_log().warn(f"{out}: becomes a directory; only a name that ends in .tar.zst makes a bundle")
    # Written only when it is known that it replaces nothing of the command's own.
    wish, report = report, None
    try:
        task, report = _task(out, wish, options)
        stream = sys.stderr if task.out == "-" else sys.stdout
        done, summary = _carried(task, dry_run=dry_run, quiet=quiet)
    except BundlerError as error:
        failed = meter.noted(failed_report("export", error))
        return conclude(failed, summary="", file=report, as_json=as_json, stream=stream)
    return conclude(meter.noted(done), summary=summary, file=report, as_json=as_json, stream=stream)


def _task(out: str | None, report: Path | None, options: dict[str, Any]) -> tuple[ExportTask, Path | None]:
    """Command line and export files together; what the command line says wins."""
    terms = gathered_signing(options)
    settings, chosen, file = asked(options)
    cut = gathered_cut(options)
    out, store, lock = out or (file and file.output), options["store"], options["lock"]
    if not out:
        raise UsageError("export", "no output is named", "say where to with -o NAME.tar.zst")
    store, lock = store or _file_path(file, "store"), lock or _file_path(file, "lock")
    report = report or _file_path(file, "report")
    series = gathered_series(options, file, out, store)
    check_report(
        report, out, store, lock, settings.creds_file, options["sign_key"], *chosen.config, *series.base
    )
    drift = OnDrift(options["on_drift"] or (file and file.on_drift) or "ignore")
    force = bool(options["force"] or (file and file.force))
    signed = signing(options["sign_key"], terms, series.job, store)
    signers = gathered_signers(options)
    to_write = lock_to_write(lock, options["shard"])
    selection = in_shard(_selection(chosen, file, lock), options["shard"])
    return ExportTask(
        selection, out, store, force, to_write, drift, settings, series, cut, signed, signers
    ), report


def _selection(chosen: SelectionOptions, file: ExportFile | None, lock: Path | None) -> Selection:
    """What the lock file pins, if it is there; it needs no other word, and knows what is named besides."""
    locked = lock is not None and lock.exists()
    asked = selected(chosen, file, may_be_empty=locked)
    if lock is None or not locked:
        return asked
    named = [source.repository for source in asked.sources]
    named += [pin.reference.repository for pin in asked.pins]
    return locked_selection(read_lock(lock), named, lock)


def _file_path(file: ExportFile | None, key: str) -> Path | None:
    value = getattr(file, key, None)
    return Path(value) if value else None


def _carried(task: ExportTask, *, dry_run: bool, quiet: bool) -> tuple[Report, str]:
    progress = display(quiet=quiet)
    out = output_to(task.out, force=task.force, cut=task.cut, signing=task.signing)
    location = store_location_of(out, task.store)
    known = registries(task.settings, progress, hosts_of(task.selection))
    session = Session(known, jobs=task.settings.jobs or DEFAULT_JOBS, progress=progress)
    if dry_run:
        planned, plan, disk = plan_bundle(
            task.selection, out, location, session, incremental=task.incremental
        )
        return planned, plan_text(planned, len(plan.tasks), plan.fetch_bytes, plan.total_bytes, disk)
    done = export_bundle(
        task.selection,
        out,
        location,
        session,
        incremental=task.incremental,
        on_drift=task.on_drift,
        lock=task.lock,
        signers=task.signers,
    )
    return done, export_summary(done)
