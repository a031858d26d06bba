"""`timoni-bundler verify`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundler import (
    Bundle,
    Destination,
    Verified,
    compare_with_target,
    describe,
    open_bundle,
    parse_prefix,
    verify_bundle,
)
from bundler.cli.input_files import import_file
from bundler.cli.options.metrics_options import Meter, metrics_options
from bundler.cli.options.policy_options import (
    border_of,
    border_options,
    gathered_border,
    with_signed,
    with_signers,
)
from bundler.cli.options.registry_options import RegistryOptions, gathered, registries, registry_options
from bundler.cli.options.trust_options import gate_of, gathered_trust, trust_options
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.bundle_text import compared_text, verified_text
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.log import current_log
from bundler.cli.terminal.outcome import conclude, print_document
from bundler.errors import UsageError
from bundler.mapping import KEPT
from bundler.reporting.json_report import document
from bundler.reporting.progress import Progress
from bundler.session import Session
from bundler.workers import DEFAULT_JOBS

if TYPE_CHECKING:
    from bundler.importer.policy_check import PolicyCheck
    from bundler.ledger.statement_verifier import StatementVerifier


@click.command("verify", cls=Command)
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR", type=click.Path(path_type=Path))
@click.option(
    "--against",
    metavar="oci://HOST[/PREFIX]",
    help="Also prove that this target has all of it, under the same digests.",
)
@click.option(
    "--config",
    "-c",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The import file that gave the names at the target.",
)
@more_volumes
@click.option("--json", "as_json", is_flag=True, help="Print what was proven as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors.")
@border_options
@trust_options
@metrics_options("verify")
@registry_options
def command(
    bundle: Path,
    *,
    meter: Meter,
    against: str | None,
    config: Path | None,
    volumes_in: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Prove that a bundle is whole: inventory, closure, every size and digest, and the .sha256 beside it.

    This proves that it is consistent; with --allowed-signers, also who signed it. With --against, every
    tag is asked for at a target, by HEAD; nothing is written.

    \b
    timoni-bundler verify modules.tar.zst
    timoni-bundler verify modules.tar.zst --against oci://registry.internal:5000/mirror
    """
    settings, policy, progress = gathered(options), gathered_border(options), display(quiet=quiet)
    trust = with_signers(gathered_trust(options), policy)
    destination = _destination(against, config)
    with gate_of(trust) as gate, open_bundle(bundle, judge=gate, volumes_in=volumes_in) as opened:
        # Its keys are read before gigabytes are, so that a mistake in them is told at once.
        border = border_of(policy, opened)
        verified = verify_bundle(opened, Session(progress=progress))
        if border:
            border.check(opened.inventory, verified.manifests)
        if destination:
            return _compared(verified, destination, settings, progress, meter, border=border, as_json=as_json)
        return _told(opened, verified, gate, border, as_json=as_json)


def _told(
    opened: Bundle,
    verified: Verified,
    gate: StatementVerifier | None,
    border: PolicyCheck | None,
    *,
    as_json: bool,
) -> int:
    contents = describe(opened, manifests=verified.manifests)
    contents = dataclasses.replace(
        contents,
        statement=gate.told if gate else contents.statement,
        signed=border.told if border else (),
    )
    for warning in verified.warnings:
        current_log().warn(warning)
    if as_json:
        print_document({**document(contents), "sha256": opened.sha256, "verified": True}, sys.stdout)
        return 0
    click.echo(verified_text(contents))
    return 0


def _destination(against: str | None, config: Path | None) -> Destination | None:
    file = import_file(config)
    prefix = parse_prefix(against) if against else file and file.to
    if prefix is None and config:
        raise UsageError(str(config), "it names no target", "name one with --against")
    return Destination(prefix, file.mapping if file else KEPT) if prefix else None


def _compared(
    verified: Verified,
    destination: Destination,
    settings: RegistryOptions,
    progress: Progress,
    meter: Meter,
    *,
    border: PolicyCheck | None,
    as_json: bool,
) -> int:
    known = registries(settings, progress, [destination.prefix.registry])
    session = Session(known, jobs=settings.jobs or DEFAULT_JOBS, progress=progress)
    found = compare_with_target(verified, destination, session)
    found = meter.noted(with_signed(found, border))
    summary = compared_text(found, str(destination.prefix), verified.bundle.id)
    return conclude(found, summary=summary, file=None, as_json=as_json, stream=sys.stdout)
