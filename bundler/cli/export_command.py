"""`timoni-bundler export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bundler import export_bundle, output_to, parse_reference, plan_bundle, workplace_of
from bundler.cli.display import display, size_text
from bundler.cli.options import check_report, gathered, output_options, registries, registry_options
from bundler.cli.printing import conclude, export_summary, failed_report
from bundler.errors import BundlerError
from bundler.exporter import Selection
from bundler.report import Report


@click.command("export")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    "out",
    metavar="OUT",
    required=True,
    help="NAME.tar.zst for a bundle, - for a bundle on standard output, else a directory.",
)
@click.option(
    "--tag",
    "-t",
    "globs",
    metavar="GLOB",
    multiple=True,
    help="Of sources without a tag, take only tags that match. Repeatable.",
)
@click.option(
    "--store",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep blobs here for the next run. Default: beside OUT, removed when the bundle is done.",
)
@click.option("--force", is_flag=True, help="Replace OUT, even if that loses what it holds.")
@click.option("--dry-run", is_flag=True, help="Show tags, digests, requests, bytes and disk; write nothing.")
@output_options
@registry_options
def command(
    sources: tuple[str, ...],
    out: str,
    globs: tuple[str, ...],
    store: Path | None,
    *,
    force: bool,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Carry modules from registries into a bundle.

    SOURCE is [oci://]HOST/REPOSITORY[:TAG|@DIGEST]; without tag or digest, all tags are taken.

    \b
    timoni-bundler export ghcr.io/stefanprodan/modules/podinfo -o podinfo.tar.zst
    timoni-bundler export HOST/redis HOST/app --tag '7.*' --store /var/lib/modules -o night.tar.zst

    Interrupted? The same command goes on with what is missing. An existing OUT is replaced only if
    nothing that it holds would be lost.
    """
    settings = gathered(options)
    check_report(report, out, store, settings.creds_file)
    progress = display(quiet=quiet)
    stream = sys.stderr if out == "-" else sys.stdout
    try:
        selection = Selection(tuple(parse_reference(source) for source in sources), globs)
        target = output_to(out, force=force)
        place = workplace_of(target, store)
        hosts = {reference.repository.registry for reference in selection.references}
        known = registries(settings, progress, hosts)
        if dry_run:
            planned, plan, disk = plan_bundle(
                selection, known, target, place, jobs=settings.jobs, progress=progress
            )
            summary = plan_text(planned, len(plan.tasks), plan.fetch_bytes, plan.total_bytes, disk)
            return conclude(planned, summary=summary, file=report, as_json=as_json, stream=stream)
        done = export_bundle(selection, known, target, place, jobs=settings.jobs, progress=progress)
    except BundlerError as error:
        return conclude(
            failed_report("export", error), summary="", file=report, as_json=as_json, stream=stream
        )
    return conclude(done, summary=export_summary(done), file=report, as_json=as_json, stream=stream)


def plan_text(report: Report, requests: int, fetch: int, total: int, disk: int) -> str:
    """What a dry run says."""
    lines = [
        f"{entry.name}:{tag.reference}  {tag.digest or '-'}  {tag.reason or tag.status}"
        for entry in report.repositories
        for tag in entry.tags
    ]
    lines.append(f"requests to come: {requests}")
    lines.append(f"bytes to fetch:   {size_text(fetch)} of {size_text(total)} distinct")
    lines.append(f"disk needed:      at most {size_text(disk)}")
    return "\n".join(lines)
