"""`timoni-bundler verify`."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import click

from bundler import (
    Bundle,
    Destination,
    Part,
    Verified,
    compare_with_target,
    describe,
    open_bundle,
    parse_prefix,
    verify_bundle,
)
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.input_files import import_file, part_of
from bundler.cli.option_combinations import refuse_combination, said_flags
from bundler.cli.setup.base_access import open_beside
from bundler.cli.setup.import_policy import border_of, policy_of, with_signed, with_signers
from bundler.cli.setup.metrics_meter import Meter, metered
from bundler.cli.setup.registry_access import registries
from bundler.cli.setup.signing_key import now
from bundler.cli.setup.trusted_signers import TrustOptions, verifier_of
from bundler.cli.terminal.bundle_text import compared_text, verified_text
from bundler.cli.terminal.log import current_log
from bundler.cli.terminal.outcome import conclude, print_document
from bundler.cli.terminal.progress_bars import display
from bundler.config.import_options import (
    ImportSettings,
    IndexOptions,
    ModuleSignerOptions,
    PolicyOptions,
    SignatureOptions,
)
from bundler.config.option import Option, nothing_said, over
from bundler.config.run_options import (
    BaseBundles,
    BundleArgument,
    JobOptions,
    MetricsOptions,
    Quiet,
    RegistryOptions,
    SetOptions,
)
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

    destination: Destination
    registries: RegistryOptions
    deep: bool


@declared("verify", reads_files=True)
def command(
    bundle: BundleArgument,
    *,
    against: Annotated[
        Prefix | None,
        Option(
            "--against", metavar="oci://HOST[/PREFIX]", heading="Destination",
            read=lambda text, at: parse_prefix(text),
            help="Also prove that this target has all of it, under the same digests.",
        ),
    ] = None,
    deep: Annotated[
        bool,
        Option("--deep", heading="Destination", help="With --against, also read and hash every blob there."),
    ] = False,
    indexes: IndexOptions,
    config: Annotated[
        Path | None,
        Option(
            "--config", "-c", metavar="FILE",
            help="Read the import file of this target: names, selection, signers, registries.",
        ),
    ] = None,
    select: SelectOptions,
    tags: TagOptions,
    volumes: SetOptions,
    beside: BaseBundles = (),
    as_json: Annotated[
        bool, Option("--json", heading="Output", help="Print what was proven as JSON.")
    ] = False,
    quiet: Quiet = False,
    policy: PolicyOptions,
    module_signers: ModuleSignerOptions,
    signers: SignatureOptions,
    metrics: MetricsOptions,
    job: JobOptions,
    registry: RegistryOptions,
) -> int:  # fmt: skip
    """Prove that a bundle is complete and undamaged: inventory, every size and digest, the .sha256 beside it.

    This proves that the bundle is consistent; with --allowed-signers, also who signed it. With --against,
    a target is asked for every tag by HEAD; nothing is written. A compact delta reads its base, from --with
    or --against, to prove every layer; without, the result says how many layers that leaves out.

    \b
    timoni-bundler verify modules.tar.zst
    timoni-bundler verify modules.tar.zst --against oci://registry.internal:5000/mirror
    timoni-bundler verify tuesday.compact.zst --with monday.tar.zst
    """
    settings = nothing_said(ImportSettings)._replace(
        indexes=indexes,
        volumes=volumes,
        policy=policy,
        module_signers=module_signers,
        signers=signers,
        registries=registry,
        metrics=metrics,
        job=job,
    )
    with metered("verify", metrics.metrics, job.name) as meter:
        file = import_file(config)
        part = part_of(select, tags, file)
        settings = over(settings, file.settings) if file else settings
        flags = (("--against", against), ("--config", config), ("--deep", deep))
        said = {flag for flag, value in flags if value}
        refuse_combination("verify", said_flags(select, tags, settings).union(said))
        target = _target(against, settings, part, file, deep=deep)
        return _verified(
            bundle, settings, target, meter, folders=volumes, beside=beside, as_json=as_json, quiet=quiet
        )


def _target(
    against: Prefix | None, settings: ImportSettings, part: Part, file: ImportFile | None, *, deep: bool
) -> Against | None:
    prefix = against or settings.target.to
    if prefix is None and file:
        raise UsageError(file.name, "the import file has no target", "name one with --against")
    if prefix is None:
        return None
    mapping = file.mapping if file else KEPT
    destination = Destination(prefix, mapping, part, settings.indexes.filter_indexes)
    return Against(destination, settings.registries, deep)


def _verified(
    bundle: Path,
    settings: ImportSettings,
    target: Against | None,
    meter: Meter,
    *,
    folders: SetOptions,
    beside: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    progress, policy = display(quiet=quiet), policy_of(settings.policy, settings.module_signers)
    signed = TrustOptions(*settings.signers, job=settings.job.job, measured=bool(settings.metrics.metrics))
    trust, session = with_signers(signed, policy), _session(target, progress)
    verifier = verifier_of(trust, session.clock())
    with ExitStack() as stack:
        volumes_in = settings.volumes.volumes_in
        opened = stack.enter_context(open_bundle(bundle, judge=verifier, volumes_in=volumes_in))
        others = open_beside(beside, opened, volumes_in, stack)
        refuse_unused_folders(folders.volumes_in, opened, *others)
        # Its keys are read before gigabytes are, so that a mistake in them is told at once.
        border = border_of(policy, opened)
        if others or target:
            place = BaseRegistry(target.destination.prefix, target.destination.mapping) if target else None
            provide_base(opened, session, beside=others, registry=place)
        verified = verify_bundle(opened, session)
        if border:
            border.check(opened.inventory, verified.manifests)
        if target:
            said = opened.proven or (opened.sealed.told() if opened.sealed else None)
            return _compared(verified, target, session, meter, said=said, border=border, as_json=as_json)
        return _told(opened, verified, border, as_json=as_json)


def _session(target: Against | None, progress: Progress) -> Session:
    if target is None:
        return Session(progress=progress)
    known = registries(target.registries, progress, [target.destination.prefix.registry])
    return Session(known, jobs=target.registries.jobs, progress=progress)


def _told(
    opened: Bundle,
    verified: Verified,
    border: PolicyCheck | None,
    *,
    as_json: bool,
) -> int:
    contents = describe(opened, manifests=verified.manifests)
    contents = dataclasses.replace(
        contents,
        statement=opened.proven or contents.statement,
        signed=border.told if border else (),
    )
    for warning in verified.warnings:
        current_log().warn(warning)
    if as_json:
        print_document(
            {
                **document(contents),
                "sha256": opened.sha256,
                "verified": not verified.unproven,
                "unprovenLayers": verified.unproven,
            },
            sys.stdout,
        )
        return 0
    click.echo(verified_text(contents, now(), verified.unproven))
    return 0


def _compared(
    verified: Verified,
    target: Against,
    session: Session,
    meter: Meter,
    *,
    said: StatementReport | None,
    border: PolicyCheck | None,
    as_json: bool,
) -> int:
    prefix = target.destination.prefix
    found = compare_with_target(verified, target.destination, session, deep=target.deep)
    found = with_signed(found, border)
    if found.bundle:
        found = dataclasses.replace(found, bundle=dataclasses.replace(found.bundle, statement=said))
    meter.noted(found)
    summary = compared_text(found, str(prefix), verified.bundle.id, now())
    return conclude(found, summary=summary, file=None, as_json=as_json, stream=sys.stdout)
