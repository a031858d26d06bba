"""`timoni-bundler verify`."""

import dataclasses
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import click

import bundler
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.input_files import import_file, part_of
from bundler.cli.option_combinations import given_flags, refuse_combination
from bundler.cli.setup import (
    base_access,
    import_policy,
    metrics_meter,
    trusted_signers,
)
from bundler.cli.terminal import bundle_text, log, outcome, progress_bars
from bundler.config import import_options, include_options, run_options
from bundler.config.option import Option, defaults_of, over
from bundler.config.selection_options import SelectOptions, TagOptions
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.errors import UsageError
from bundler.mapping import KEPT
from bundler.oci import Prefix
from bundler.reporting.json_report import document
from bundler.session import Session, system_clock

if TYPE_CHECKING:
    from bundler.config.import_file import ImportFile
    from bundler.importer.policy_check import PolicyCheck


class ComparisonOptions(NamedTuple):
    """The target that a bundle is compared with."""

    against: Annotated[
        Prefix | None,
        Option(
            "--against", metavar="oci://HOST[/PREFIX]", heading="Destination",
            read=lambda text, at: bundler.parse_prefix(text),
            help="Also prove that this target has all of it, under the same digests.",
        ),
    ] = None  # fmt: skip
    deep: Annotated[
        bool,
        Option("--deep", heading="Destination", help="With --against, also read and hash every blob there."),
    ] = False
    config: Annotated[
        Path | None,
        Option(
            "--config", "-c", metavar="FILE",
            help="Read the import file of this target: names, selection, signers, registries.",
        ),
    ] = None  # fmt: skip


class VerifySettings(NamedTuple):
    """Settings of a verification: the part of an import's that it needs."""

    indexes: import_options.IndexOptions
    volumes: run_options.SetOptions
    policy: import_options.PolicyOptions
    module_signers: include_options.ModuleSignerOptions
    signers: import_options.SignatureOptions
    metrics: run_options.MetricsOptions
    job: run_options.JobOptions
    registries: run_options.RegistryOptions

    @property
    def of_import(self) -> import_options.ImportSettings:
        """Return the settings of an import with these, and defaults for all others."""
        return defaults_of(import_options.ImportSettings)._replace(**self._asdict())


class Opening(NamedTuple):
    """A bundle to verify, and all that was said about it."""

    bundle: Path
    beside: tuple[Path, ...]
    settings: import_options.ImportSettings
    """The command line and the import file together."""
    volumes: run_options.SetOptions
    """The folders that the command line alone names: one without effect is refused."""


class Against(NamedTuple):
    """A target to compare with."""

    destination: "bundler.Destination"
    registries: run_options.RegistryOptions
    deep: bool


@declared("verify", reads_files=True)
def command(
    bundle: run_options.BundleArgument,
    comparison: ComparisonOptions,
    select: SelectOptions,
    tags: TagOptions,
    *,
    beside: run_options.BaseBundles = (),
    as_json: Annotated[
        bool, Option("--json", heading="Output", help="Print what was proven as JSON.")
    ] = False,
    quiet: run_options.Quiet = False,
    settings: VerifySettings,
) -> int:
    """Prove that a bundle is complete and undamaged: inventory, every size and digest, the .sha256 beside it.

    This proves that the bundle is consistent; with --allowed-signers, also who signed it. With --against,
    the target is asked for every tag by a HEAD request; nothing is written. To prove every layer of a
    compact delta, its base is read, from --with or --against; without it, the result says how many layers
    were not proven.

    \b
    timoni-bundler verify modules.tar.zst
    timoni-bundler verify modules.tar.zst --against oci://registry.internal:5000/mirror
    timoni-bundler verify tuesday.compact.zst --with monday.tar.zst
    """
    with metrics_meter.metered("verify", settings.metrics.metrics, settings.job.name) as meter:
        file = import_file(comparison.config)
        joined = over(settings.of_import, file.settings) if file else settings.of_import
        refuse_combination("verify", given_flags(comparison, select, tags, joined))
        opening = Opening(bundle, beside, joined, settings.volumes)
        target = _target(comparison, joined, file, select, tags)
        return _verified(opening, target, meter, as_json=as_json, quiet=quiet)


def _target(
    comparison: ComparisonOptions,
    settings: import_options.ImportSettings,
    file: "ImportFile | None",
    select: SelectOptions,
    tags: TagOptions,
) -> Against | None:
    prefix = comparison.against or settings.target.to
    if prefix is None and file:
        raise UsageError(file.name, "the import file has no target", "name one with --against")
    if prefix is None:
        return None
    mapping = file.mapping if file else KEPT
    part = part_of(select, tags, file)
    destination = bundler.Destination(prefix, mapping, part, settings.indexes.filter_indexes)
    return Against(destination, settings.registries, comparison.deep)


def _verified(
    opening: Opening, target: Against | None, meter: metrics_meter.Meter, *, as_json: bool, quiet: bool
) -> int:
    settings = opening.settings
    policy = import_policy.policy_of(settings.policy, settings.module_signers)
    signers = trusted_signers.TrustOptions(
        *settings.signers, job=settings.job.job, measured=bool(settings.metrics.metrics)
    )
    trust, session = import_policy.with_signers(signers, policy), _session(target, quiet=quiet)
    verifier = trusted_signers.verifier_of(trust, session.clock())
    folders = settings.volumes.volumes_in
    with ExitStack() as stack:
        opened = stack.enter_context(
            bundler.open_bundle(opening.bundle, verifier=verifier, volumes_in=folders)
        )
        others = base_access.open_beside(opening.beside, opened, folders, stack)
        refuse_unused_folders(opening.volumes.volumes_in, opened, *others)
        # Its keys are read before gigabytes are, so that a mistake in them is told at once.
        check = import_policy.policy_check_of(policy, opened)
        if others or target:
            place = BaseRegistry(target.destination.prefix, target.destination.mapping) if target else None
            provide_base(opened, session, beside=others, registry=place)
        verified = bundler.verify_bundle(opened, session)
        if check:
            check.check(opened.inventory, verified.manifests)
        if target:
            return _compared(verified, target, session, meter, check=check, as_json=as_json)
        return _shown(verified, check, as_json=as_json)


def _session(target: Against | None, *, quiet: bool) -> Session:
    progress = progress_bars.display(quiet=quiet)
    if target is None:
        return Session(progress=progress)
    from bundler.cli.setup import registry_access

    registries = registry_access.registries(target.registries, progress, [target.destination.prefix.registry])
    return Session(registries, jobs=target.registries.jobs, progress=progress)


def _shown(verified: bundler.Verified, check: "PolicyCheck | None", *, as_json: bool) -> int:
    bundle = verified.bundle
    contents = bundler.describe(bundle, manifests=verified.manifests)
    statement = bundle.proven or contents.statement
    contents = dataclasses.replace(contents, statement=statement, signed=check.signed if check else ())
    for warning in verified.warnings:
        log.current_log().warn(warning)
    if as_json:
        proven = {"verified": not verified.unproven, "unprovenLayers": verified.unproven}
        outcome.print_document({**document(contents), "sha256": bundle.sha256, **proven}, sys.stdout)
        return 0
    click.echo(bundle_text.verified_text(contents, system_clock(), verified.unproven))
    return 0


def _compared(
    verified: bundler.Verified,
    target: Against,
    session: Session,
    meter: metrics_meter.Meter,
    *,
    check: "PolicyCheck | None",
    as_json: bool,
) -> int:
    bundle, prefix = verified.bundle, target.destination.prefix
    report = bundler.compare_with_target(verified, target.destination, session, deep=target.deep)
    report = import_policy.with_signed(report, check)
    if report.bundle:
        statement = bundle.proven or (bundle.signed_statement.report() if bundle.signed_statement else None)
        report = dataclasses.replace(report, bundle=dataclasses.replace(report.bundle, statement=statement))
    meter.noted(report)
    summary = bundle_text.compared_text(report, str(prefix), bundle.id, system_clock())
    return outcome.conclude(report, summary=summary, file=None, as_json=as_json, stream=sys.stdout)
