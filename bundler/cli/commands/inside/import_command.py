"""`timoni-bundler import`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import click
from click.core import ParameterSource

from bundler import Destination, Ledger, OnConflict, Part, Permits, Pruning, Report, Session, roll_back
from bundler.cli.declared_command import declared
from bundler.cli.import_task import ImportTask, carry_out, session_of
from bundler.cli.input_files import import_file, part_of
from bundler.cli.option_combinations import given_flags, refuse_combination
from bundler.cli.setup import import_policy, metrics_meter, registry_access, trusted_signers
from bundler.cli.setup.report_file import check_report
from bundler.cli.terminal import outcome, progress_bars, summaries
from bundler.cli.written_files import check_names, write_all
from bundler.config.import_options import ConfigOptions, DeltaOptions, ImportSettings
from bundler.config.option import Argument, fields_of, over
from bundler.config.run_options import DryRunOptions, PrintOptions, RegistryOptions
from bundler.config.selection_options import RuntimeOptions, SelectOptions, TagOptions
from bundler.errors import BundlerError, UsageError
from bundler.ledger.rollback_file import read_rollback_file
from bundler.mapping import KEPT, Mapping
from bundler.named_files import check_folder

if TYPE_CHECKING:
    from bundler.trust.policy import Policy

_WITH_ROLLBACK = {
    "rollback", "on_conflict", "state", "receipt", "dry_run", "all_tags", "report", "as_json", "quiet",
    "metrics", "job",
    *(field.name for field in fields_of(RegistryOptions)),
}  # fmt: skip


@declared("import", reads_files=True)
def command(
    config: ConfigOptions,
    select: SelectOptions,
    tags: TagOptions,
    *,
    runtime: RuntimeOptions,
    settings: ImportSettings,
    dry_run: DryRunOptions,
    printed: PrintOptions,
    bundles: Annotated[tuple[str, ...], Argument("[BUNDLE|VOLUME|DIR|-]...", path=True)] = (),
) -> int:
    """Import a bundle, or a folder of bundles, into a registry. Digests do not change.

    The whole bundle is verified before the first write. From standard input (-), it is verified as it
    arrives, and manifests and tags come last; a compact bundle is first received as a whole, into a temporary
    file (in $TMPDIR). What the target already has is skipped. No tag of a repository moves before
    everything its tags need is there and confirmed. Every tag is read back.

    Several bundles, or a folder of them, are imported in the order in which they were made: full bundles,
    deltas, volumes, in any form and under any name. What was imported before is skipped. If a file is
    missing, the error names it, and nothing that builds on it is imported.

    \b
    timoni-bundler import modules.tar.zst --to oci://registry.internal:5000/mirror
    timoni-bundler import modules.tar.zst -c import.yaml --versions '>=6.10' --dry-run
    timoni-bundler import /media/usb --to oci://registry.internal:5000/mirror
    ssh outside cat modules.tar.zst | timoni-bundler import - --to oci://localhost:5000
    timoni-bundler import --rollback before.json
    """
    shown, flags = settings.metrics.metrics, given_flags(settings)
    dry, name = dry_run.dry_run, settings.job.name
    with metrics_meter.metered("import", shown, name, dry_run=dry, only_failure=True):
        file = import_file(config.config)
        part = part_of(select, tags, file)
        settings = over(settings, file.settings) if file else settings
        _check_options(settings, config, select, tags, runtime, settings, dry_run)
    mapping = file.mapping if file else KEPT
    job = settings.job.name
    stops = outcome.StopReport("import", dry_run=dry, as_json=printed.as_json, stream=sys.stdout)
    with metrics_meter.metered("import", settings.metrics.metrics, job, dry_run=dry) as meter, stops:
        if settings.rollback.rollback:
            return _taken_back(settings, bundles, meter, stops, dry_run=dry_run, printed=printed)
        try:
            demands = _demands(settings, bundles)
            stops.file = settings.report.report
            task = _task(bundles, settings, part, mapping, demands)._replace(given=flags)
            done = _imported(task, settings, runtime, dry_run=dry_run.dry_run, quiet=printed.quiet)
            prune = _prune_command(task, config)
            summary = summaries.import_summary(
                done, str(task.destination.prefix), prune, all_tags=dry_run.all_tags
            )
        except BundlerError as error:
            done, summary = outcome.failed_report("import", error, dry_run=dry_run.dry_run), ""
        meter.noted(done)
        return outcome.conclude(
            done, summary=summary, file=stops.file, as_json=printed.as_json, stream=sys.stdout
        )


def _prune_command(task: ImportTask, config: ConfigOptions) -> str:
    """Return the command that imports the same again and may delete tags, up to the number."""
    place = ["-c", str(config.config)] if config.config else ["--to", str(task.destination.prefix)]
    return shlex.join(["timoni-bundler", "import", *task.bundles, *place, "--prune"])


def _check_report(
    settings: ImportSettings, bundles: tuple[str, ...], trust: trusted_signers.TrustOptions
) -> None:
    names = settings.names
    check_report(
        settings.report.report,
        *bundles,
        settings.registries.reach.creds_file,
        names.image_map,
        settings.receipt.receipt,
        *names.timoni_bundles,
        *trust.files,
        settings.rollback.rollback_file,
    )


def _imported(
    task: ImportTask, settings: ImportSettings, runtime: RuntimeOptions, *, dry_run: bool, quiet: bool
) -> Report:
    session = session_of(task, quiet=quiet)
    done = carry_out(task, session, dry_run=dry_run)
    return write_all(settings.names, runtime, done, session, settings.receipt.receipt)


def _taken_back(
    settings: ImportSettings,
    bundles: tuple[str, ...],
    meter: metrics_meter.Meter,
    stops: outcome.StopReport,
    *,
    dry_run: DryRunOptions,
    printed: PrintOptions,
) -> int:
    file, report = settings.rollback.rollback, settings.report.report
    assert file is not None
    check_report(report, file, settings.registries.reach.creds_file, settings.order.state)
    stops.file = report
    try:
        done = _rolled_back(file, bundles, settings, quiet=printed.quiet, dry_run=dry_run.dry_run)
        summary = summaries.rollback_summary(done, str(file), all_tags=dry_run.all_tags)
    except BundlerError as error:
        done, summary = outcome.failed_report("import", error, dry_run=dry_run.dry_run), ""
    meter.noted(done)
    return outcome.conclude(done, summary=summary, file=report, as_json=printed.as_json, stream=sys.stdout)


def _rolled_back(
    file: Path, bundles: tuple[str, ...], settings: ImportSettings, *, quiet: bool, dry_run: bool
) -> Report:
    if bundles:
        raise UsageError(
            "--rollback", "a rollback does not read a bundle", "remove the bundle from the command"
        )
    progress, rollback = progress_bars.display(quiet=quiet), read_rollback_file(file)
    reachable = registry_access.registries(
        settings.registries, progress, {moved.repository.registry for moved in rollback.moved}
    )
    session = Session(reachable, jobs=settings.registries.jobs, progress=progress)
    overwrite = settings.target.on_conflict == "overwrite"
    receipt = settings.receipt.receipt
    ledger = Ledger(
        trusted_signers.state_folder(settings.order.state), receipt=receipt and receipt.absolute()
    )
    return roll_back(rollback, session, ledger, overwrite=overwrite, may_write=not dry_run)


def _check_options(settings: ImportSettings, *groups: tuple[object, ...]) -> None:
    """Raise UsageError for an option without effect."""
    if settings.rollback.rollback:
        _refuse_ignored(click.get_current_context())
    refuse_combination("import", given_flags(*groups))


def _refuse_ignored(context: click.Context) -> None:
    """Raise UsageError for options of an import that --rollback would ignore."""
    for parameter in context.command.params:
        given = parameter.name and context.get_parameter_source(parameter.name)
        if not parameter.expose_value:
            continue  # --log-format, which every command obeys
        if given is ParameterSource.COMMANDLINE and parameter.name not in _WITH_ROLLBACK:
            cause = "it has no effect with --rollback, which does only what its file says"
            raise UsageError(parameter.opts[0], cause, "leave it out")


class _Demands(NamedTuple):
    """The demands that a bundle must meet to come in."""

    trust: trusted_signers.TrustOptions
    policy: "Policy | None"


def _demands(settings: ImportSettings, bundles: tuple[str, ...]) -> _Demands:
    """Return who must have signed, and the policy, when no file would be written over. Raises UsageError."""
    check_names(settings.names, settings.receipt.receipt)
    policy = import_policy.policy_of(settings.policy, settings.module_signers)
    signers = trusted_signers.TrustOptions(
        *settings.signers, job=settings.job.job, measured=bool(settings.metrics.metrics)
    )
    trust = import_policy.with_signers(signers._replace(**settings.order._asdict()), policy)
    _check_report(settings, bundles, trust)
    return _Demands(trust, policy)


def _task(
    bundles: tuple[str, ...],
    settings: ImportSettings,
    part: Part,
    mapping: Mapping,
    demands: _Demands,
) -> ImportTask:
    """Make one value of all that was said about an import. Raises UsageError."""
    if not bundles:
        raise UsageError("import", "no bundle given", "name a file or directory, or - for standard input")
    if "-" in bundles and len(bundles) > 1:
        raise UsageError("-", "standard input is one bundle", "name files, or import it by itself")
    registry_access.check_stdin(bundles[0], settings.registries.reach.creds_file)
    prefix = settings.target.to
    if not prefix:
        raise UsageError("import", "no target given", "add --to oci://HOST[/PREFIX]")
    ledger = _ledger(settings)
    ledger.check(prefix)
    return ImportTask(
        bundles,
        Destination(prefix, mapping, part, settings.indexes.filter_indexes),
        OnConflict(settings.target.on_conflict or "default"),
        settings.registries,
        settings.delta.beside,
        _pruning(settings.delta),
        settings.volumes.volumes_in,
        demands.trust,
        ledger,
        demands.policy,
        settings.target.confirm == "full",
        frozenset(),
    )


def _pruning(options: DeltaOptions) -> Pruning | None:
    return None if options.prune is None else Pruning(options.prune, options.prune_deselected)


def _ledger(settings: ImportSettings) -> Ledger:
    file, receipt, order = settings.rollback.rollback_file, settings.receipt.receipt, settings.order
    if file:
        check_folder(file, "--rollback-file")
    return Ledger(
        trusted_signers.state_folder(order.state),
        rollback_file=file,
        receipt=receipt and receipt.absolute(),
        permits=Permits(older=order.allow_rollback, gap=settings.delta.allow_gap, new_job=order.new_job),
    )
