"""`timoni-bundler import`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bundler import (
    Bundle,
    BundleStream,
    Destination,
    OnConflict,
    Part,
    Registries,
    import_bundle,
    import_stream,
    open_bundle,
    parse_prefix,
    plan_bundle_import,
    verify_bundle,
)
from bundler.cli.cutting import more_volumes
from bundler.cli.display import display
from bundler.cli.files import import_file
from bundler.cli.measured import Meter, metrics_options
from bundler.cli.options import (
    RegistryOptions,
    check_report,
    check_stdin,
    gathered,
    output_options,
    registries,
    registry_options,
)
from bundler.cli.printing import conclude, failed_report, import_summary
from bundler.cli.receipts import Brought, earlier_receipt, keep_receipt
from bundler.cli.rules import NameRuleOptions, gathered_rules, name_rules, rule_options
from bundler.cli.trusting import (
    TrustOptions,
    gate_of,
    gathered_trust,
    rollback_options,
    trust_options,
    with_statement,
)
from bundler.cli.written import Written, gathered_written, write_all, written_options
from bundler.errors import BundlerError, UsageError
from bundler.importer.prune import to_prune, with_planned
from bundler.importer.result import planned_report
from bundler.limits import DEFAULT_LIMITS
from bundler.mapping import KEPT
from bundler.progress import Progress
from bundler.report import Report
from bundler.selection import ALL
from bundler.workers import DEFAULT_JOBS

if TYPE_CHECKING:
    from bundler.config.values import ImportFile
    from bundler.trust.gate import Gate


class Task(NamedTuple):
    """One import, all that was said about it put together."""

    bundle: str
    destination: Destination
    on_conflict: OnConflict
    settings: RegistryOptions
    written: Written
    beside: tuple[Path, ...]
    prune: int | None
    volumes_in: tuple[Path, ...]
    trust: TrustOptions


@click.command("import")
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR|-")
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
    "--prune",
    metavar="MOST",
    type=click.IntRange(1),
    help="After a delta, delete the tags that it says are gone, if they are no more than this.",
)
@more_volumes
@written_options
@trust_options
@rollback_options
@click.option(
    "--dry-run", is_flag=True, help="Verify, ask the target, show what would be pushed; write nothing."
)
@output_options
@metrics_options("import")
@registry_options
def command(
    bundle: str,
    *,
    meter: Meter,
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
    timoni-bundler import modules.tar.zst -c import.yaml --versions '>=6.10' --dry-run
    ssh outside cat modules.tar.zst | timoni-bundler import - --to oci://localhost:5000
    """
    # Written only when it is known that it replaces nothing of the command's own.
    wish, report = report, None
    try:
        task = _task(bundle, options)
        check_report(wish, bundle, task.settings.creds_file, *task.written.files, *task.trust.files)
        report = wish
        target = task.destination.prefix
        receipt, earlier = task.written.receipt, earlier_receipt(task.written.receipt, target)
        with gate_of(task.trust, remembers=True, may_write=not dry_run) as gate:
            done, brought = _carried(task, gate, dry_run=dry_run, quiet=quiet)
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


def _task(bundle: str, options: dict[str, Any]) -> Task:
    """Command line and import file together; what the command line says wins."""
    settings, rules, written = gathered(options), gathered_rules(options), gathered_written(options)
    trust = gathered_trust(options)
    check_stdin(bundle, settings.creds_file)
    file = import_file(options["config"])
    prefix = parse_prefix(options["target"]) if options["target"] else file and file.to
    if not prefix:
        raise UsageError("import", "it is not said where to", "name a registry with --to")
    policy = options["on_conflict"] or (file and file.on_conflict)
    if file and file.image_map and not written.image_map:
        written = written._replace(image_map=Path(file.image_map))
    part = _part(options["repositories"], rules, file)
    return Task(
        bundle,
        Destination(prefix, file.mapping if file else KEPT, part),
        OnConflict(policy) if policy else OnConflict.DEFAULT,
        settings,
        written,
        options["beside"],
        options["prune"],
        options["volumes_in"],
        trust,
    )


def _part(repositories: tuple[str, ...], options: NameRuleOptions, file: ImportFile | None) -> Part:
    own = name_rules(options)
    if file is None or repositories or own != ALL:
        return Part(repositories, own)
    return Part(*file.select)


class Means(NamedTuple):
    """What an import works with."""

    beside: Sequence[Bundle]
    gate: Gate | None
    known: Registries
    progress: Progress
    jobs: int


def _carried(task: Task, gate: Gate | None, *, dry_run: bool, quiet: bool) -> tuple[Report, Brought]:
    progress = display(quiet=quiet)
    known = registries(task.settings, progress, [task.destination.prefix.registry])
    jobs = task.settings.jobs or DEFAULT_JOBS
    with ExitStack() as stack:
        beside = [stack.enter_context(open_bundle(path)) for path in task.beside]
        return (_planned if dry_run else _imported)(task, Means(beside, gate, known, progress, jobs))


def _imported(task: Task, means: Means) -> tuple[Report, Brought]:
    send: dict[str, Any] = {
        "beside": means.beside,
        "prune": task.prune,
        "before_tags": means.gate.remember if means.gate else None,
        "jobs": means.jobs,
        "progress": means.progress,
    }
    to, policy = task.destination, task.on_conflict
    if task.bundle == "-":
        if sys.stdin.isatty():
            raise UsageError("-", "standard input is a terminal", "send a bundle through a pipe")
        # What has come is read at once: a bundle that must not come in is refused by its first frame.
        pipe = io.FileIO(sys.stdin.buffer.fileno(), closefd=False)
        stream = BundleStream(pipe, DEFAULT_LIMITS, means.gate)
        done = import_stream(stream, to, means.known, policy, **send)
        return done, Brought(stream.id, stream.inventory)
    with open_bundle(Path(task.bundle), judge=means.gate, volumes_in=task.volumes_in) as opened:
        verified = verify_bundle(opened, means.progress)
        done = import_bundle(verified, to, means.known, policy, **send)
        return done, Brought(opened.id, opened.inventory)


def _planned(task: Task, means: Means) -> tuple[Report, Brought]:
    if task.bundle == "-":
        raise UsageError("-", "a dry run of a stream would use it up", "give a file")
    with open_bundle(Path(task.bundle), judge=means.gate, volumes_in=task.volumes_in) as opened:
        verified = verify_bundle(opened, means.progress)
        ask = partial(plan_bundle_import, beside=means.beside, jobs=means.jobs, progress=means.progress)
        plan = ask(verified, task.destination, means.known, task.on_conflict)
        gone = to_prune(opened.inventory, task.destination, task.prune)
        report = with_planned(planned_report(opened, plan, means.known, verified.warnings), gone)
        return report, Brought(opened.id, opened.inventory)
