"""`timoni-bundler verify`."""

from __future__ import annotations

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
    registry_access,
    signing_key,
    trusted_signers,
)
from bundler.cli.terminal import bundle_text, log, outcome, progress_bars
from bundler.config import import_options, run_options
from bundler.config.option import Option, defaults_of, over
from bundler.config.selection_options import SelectOptions, TagOptions
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.errors import UsageError
from bundler.mapping import KEPT
from bundler.oci import Prefix
from bundler.reporting.json_report import StatementReport, document
from bundler.reporting.progress import Progress
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.config.import_file import ImportFile
    from bundler.importer.policy_check import PolicyCheck


class Against(NamedTuple):
    """A target to compare with."""

    destination: bundler.Destination
    registries: run_options.RegistryOptions
    deep: bool


@declared("verify", reads_files=True)
def command(
    bundle: run_options.BundleArgument,
    *,
    against: Annotated[
        Prefix | None,
        Option(
            "--against", metavar="oci://HOST[/PREFIX]", heading="Destination",
            read=lambda text, at: bundler.parse_prefix(text),
            help="Also prove that this target has all of it, under the same digests.",
        ),
    ] = None,
    deep: Annotated[
        bool,
        Option("--deep", heading="Destination", help="With --against, also read and hash every blob there."),
    ] = False,
    indexes: import_options.IndexOptions,
    config: Annotated[
        Path | None,
        Option(
            "--config", "-c", metavar="FILE",
            help="Read the import file of this target: names, selection, signers, registries.",
        ),
    ] = None,
    select: SelectOptions,
    tags: TagOptions,
    volumes: run_options.SetOptions,
    beside: run_options.BaseBundles = (),
    as_json: Annotated[
        bool, Option("--json", heading="Output", help="Print what was proven as JSON.")
    ] = False,
    quiet: run_options.Quiet = False,
    policy: import_options.PolicyOptions,
    module_signers: import_options.ModuleSignerOptions,
    signers: import_options.SignatureOptions,
    metrics: run_options.MetricsOptions,
    job: run_options.JobOptions,
    registry: run_options.RegistryOptions,
) -> int:  # fmt: skip
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
    settings = defaults_of(import_options.ImportSettings)._replace(
        indexes=indexes,
        volumes=volumes,
        policy=policy,
        module_signers=module_signers,
        signers=signers,
        registries=registry,
        metrics=metrics,
        job=job,
    )
    options_given = given_flags(select, tags, metrics, job, settings)
    flags = (("--against", against), ("--config", config), ("--deep", deep))
    options_given |= {flag for flag, value in flags if value}
    with metrics_meter.metered("verify", metrics.metrics, job.name) as meter:
        file = import_file(config)
        part = part_of(select, tags, file)
        settings = over(settings, file.settings) if file else settings
        refuse_combination("verify", options_given)
        target = _target(against, settings, part, file, deep=deep)
        return _verified(
            bundle, settings, target, meter, folders=volumes, beside=beside, as_json=as_json, quiet=quiet
        )


def _target(
    against: Prefix | None,
    settings: import_options.ImportSettings,
    part: bundler.Part,
    file: ImportFile | None,
    *,
    deep: bool,
) -> Against | None:
    prefix = against or settings.target.to
    if prefix is None and file:
        raise UsageError(file.name, "the import file has no target", "name one with --against")
    if prefix is None:
        return None
    mapping = file.mapping if file else KEPT
    destination = bundler.Destination(prefix, mapping, part, settings.indexes.filter_indexes)
    return Against(destination, settings.registries, deep)


def _verified(
    bundle: Path,
    settings: import_options.ImportSettings,
    target: Against | None,
    meter: metrics_meter.Meter,
    *,
    folders: run_options.SetOptions,
    beside: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    progress, policy = (
        progress_bars.display(quiet=quiet),
        import_policy.policy_of(settings.policy, settings.module_signers),
    )
    signed = trusted_signers.TrustOptions(
        *settings.signers, job=settings.job.job, measured=bool(settings.metrics.metrics)
    )
    session = _session(target, progress)
    verifier = trusted_signers.verifier_of(import_policy.with_signers(signed, policy), session.clock())
    with ExitStack() as stack:
        volumes_in = settings.volumes.volumes_in
        opened = stack.enter_context(bundler.open_bundle(bundle, verifier=verifier, volumes_in=volumes_in))
        others = base_access.open_beside(beside, opened, volumes_in, stack)
        refuse_unused_folders(folders.volumes_in, opened, *others)
        # Its keys are read before gigabytes are, so that a mistake in them is told at once.
        border = import_policy.policy_check_of(policy, opened)
        if others or target:
            place = BaseRegistry(target.destination.prefix, target.destination.mapping) if target else None
            provide_base(opened, session, beside=others, registry=place)
        verified = bundler.verify_bundle(opened, session)
        if border:
            border.check(opened.inventory, verified.manifests)
        if target:
            statement = opened.proven or (opened.sealed.report() if opened.sealed else None)
            return _compared(
                verified, target, session, meter, statement=statement, border=border, as_json=as_json
            )
        return _told(opened, verified, border, as_json=as_json)


def _session(target: Against | None, progress: Progress) -> Session:
    if target is None:
        return Session(progress=progress)
    reachable = registry_access.registries(target.registries, progress, [target.destination.prefix.registry])
    return Session(reachable, jobs=target.registries.jobs, progress=progress)


def _told(
    opened: bundler.Bundle,
    verified: bundler.Verified,
    border: PolicyCheck | None,
    *,
    as_json: bool,
) -> int:
    contents = bundler.describe(opened, manifests=verified.manifests)
    contents = dataclasses.replace(
        contents,
        statement=opened.proven or contents.statement,
        signed=border.signed if border else (),
    )
    for warning in verified.warnings:
        log.current_log().warn(warning)
    if as_json:
        outcome.print_document(
            {
                **document(contents),
                "sha256": opened.sha256,
                "verified": not verified.unproven,
                "unprovenLayers": verified.unproven,
            },
            sys.stdout,
        )
        return 0
    click.echo(bundle_text.verified_text(contents, signing_key.now(), verified.unproven))
    return 0


def _compared(
    verified: bundler.Verified,
    target: Against,
    session: Session,
    meter: metrics_meter.Meter,
    *,
    statement: StatementReport | None,
    border: PolicyCheck | None,
    as_json: bool,
) -> int:
    prefix = target.destination.prefix
    report = bundler.compare_with_target(verified, target.destination, session, deep=target.deep)
    report = import_policy.with_signed(report, border)
    if report.bundle:
        report = dataclasses.replace(report, bundle=dataclasses.replace(report.bundle, statement=statement))
    meter.noted(report)
    summary = bundle_text.compared_text(report, str(prefix), verified.bundle.id, signing_key.now())
    return outcome.conclude(report, summary=summary, file=None, as_json=as_json, stream=sys.stdout)
