"""`timoni-bundler merge`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bundler import merge_bundles, output_to
from bundler.cli.input_files import allow_open_files
from bundler.cli.options.registry_options import check_report, output_options
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.outcome import conclude, failed_report
from bundler.cli.terminal.summaries import export_summary
from bundler.errors import BundlerError
from bundler.session import Session


@click.command("merge", cls=Command)
@click.argument(
    "bundles", metavar="BUNDLE|VOLUME|DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--output",
    "-o",
    "out",
    metavar="OUT",
    required=True,
    type=click.Path(allow_dash=True),
    help="NAME.tar.zst, or - for standard output.",
)
@more_volumes
@click.option("--force", is_flag=True, help="Replace OUT, even if that loses what it holds.")
@output_options
def command(
    bundles: tuple[Path, ...],
    out: str,
    *,
    volumes_in: tuple[Path, ...],
    force: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Make one full bundle of a full one and the deltas on it, or of the shards of one selection.

    Given oldest first: what a later one says of a tag holds. The result is byte for byte what a full
    export of the same state makes. Every blob is verified on the way.

    \b
    timoni-bundler merge sunday.tar.zst monday.tar.zst tuesday.tar.zst -o all.tar.zst
    """
    stream = sys.stderr if out == "-" else sys.stdout
    wish, report = report, None
    try:
        check_report(wish, out, *bundles)
        report = wish
        allow_open_files()
        output = output_to(out, force=force)
        session = Session(progress=display(quiet=quiet))
        done = merge_bundles(bundles, output, session, volumes_in=volumes_in)
    except BundlerError as error:
        return conclude(
            failed_report("merge", error), summary="", file=report, as_json=as_json, stream=stream
        )
    return conclude(done, summary=export_summary(done), file=report, as_json=as_json, stream=stream)
