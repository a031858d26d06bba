"""`timoni-bundler import`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from bundler import (
    BundleStream,
    OnConflict,
    Registries,
    import_bundle,
    import_stream,
    open_bundle,
    parse_prefix,
    plan_bundle_import,
    verify_bundle,
)
from bundler.cli.display import display
from bundler.cli.options import (
    check_report,
    check_stdin,
    gathered,
    output_options,
    registries,
    registry_options,
)
from bundler.cli.printing import conclude, failed_report, import_summary
from bundler.errors import BundlerError, UsageError
from bundler.importer.result import planned_report
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.reference import Prefix
from bundler.progress import Progress
from bundler.report import Report


@click.command("import")
@click.argument("bundle", metavar="BUNDLE|DIR|-")
@click.option(
    "--to",
    "target",
    metavar="oci://HOST[/PREFIX]",
    required=True,
    help="Where to: source paths are kept below PREFIX, source hosts are dropped.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["fail", "skip", "overwrite"]),
    help="A tag that exists with another digest. Default: move `latest`, fail for any other.",
)
@click.option(
    "--dry-run", is_flag=True, help="Verify, ask the target, show what would be pushed; write nothing."
)
@output_options
@registry_options
def command(
    bundle: str,
    target: str,
    on_conflict: str | None,
    *,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Replay a bundle to a registry, digests unchanged.

    The whole bundle is verified before the first write; from - it is verified as it flows, and
    manifests and tags come last. What the target has is skipped. Every tag is read back.

    \b
    timoni-bundler import modules.tar.zst --to oci://registry.internal:5000/mirror
    ssh outside cat modules.tar.zst | timoni-bundler import - --to oci://localhost:5000
    """
    settings = gathered(options)
    check_report(report, bundle, settings.creds_file)
    check_stdin(bundle, settings.creds_file)
    progress = display(quiet=quiet)
    try:
        policy = OnConflict(on_conflict) if on_conflict else OnConflict.DEFAULT
        prefix = parse_prefix(target)
        known = registries(settings, progress, [prefix.registry])
        carry = partial(_carried_dry if dry_run else _carried, bundle)
        done = carry(prefix, known, policy, jobs=settings.jobs, progress=progress)
    except BundlerError as error:
        return conclude(
            failed_report("import", error), summary="", file=report, as_json=as_json, stream=sys.stdout
        )
    summary = import_summary(done, str(prefix))
    return conclude(done, summary=summary, file=report, as_json=as_json, stream=sys.stdout)


def _carried(
    bundle: str, prefix: Prefix, known: Registries, policy: OnConflict, *, jobs: int, progress: Progress
) -> Report:
    if bundle == "-":
        if sys.stdin.isatty():
            raise UsageError("-", "standard input is a terminal", "send a bundle through a pipe")
        stream = BundleStream(sys.stdin.buffer, DEFAULT_LIMITS)
        return import_stream(stream, prefix, known, policy, jobs=jobs, progress=progress)
    with open_bundle(Path(bundle)) as opened:
        verified = verify_bundle(opened, progress)
        return import_bundle(verified, prefix, known, policy, jobs=jobs, progress=progress)


def _carried_dry(
    bundle: str, prefix: Prefix, known: Registries, policy: OnConflict, *, jobs: int, progress: Progress
) -> Report:
    if bundle == "-":
        raise UsageError("-", "a dry run of a stream would use it up", "give a file")
    with open_bundle(Path(bundle)) as opened:
        verified = verify_bundle(opened, progress)
        plan = plan_bundle_import(verified, prefix, known, policy, jobs=jobs, progress=progress)
        return planned_report(opened, plan, known, verified.warnings)
