"""`timoni-bundler merge`."""

import sys
from pathlib import Path
from typing import Annotated

from bundler import BundlerError, Session, merge_bundles, output_to
from bundler.bundle.bundle_format import COMPACT_LEVEL
from bundler.bundle.inventory import COMPACT_SUFFIX
from bundler.cli.declared_command import declared
from bundler.cli.input_files import allow_open_files
from bundler.cli.setup.report_file import check_report
from bundler.cli.terminal import outcome, progress_bars, summaries
from bundler.config.option import Argument, Option
from bundler.config.run_options import Force, PrintOptions, ReportOptions, SetOptions


@declared("merge")
def command(
    bundles: Annotated[tuple[Path, ...], Argument("BUNDLE|VOLUME|DIR...", path=True)],
    volumes: SetOptions,
    *,
    out: Annotated[
        str,
        Option(
            "--output",
            "-o",
            metavar="OUT",
            path=True,
            help="Write NAME.tar.zst, a compact NAME.compact.zst, or `-` for standard output.",
        ),
    ],
    force: Force = False,
    reported: ReportOptions,
    printed: PrintOptions,
) -> int:
    """Make one full bundle from a full bundle and its deltas, or from the shards of one export.

    Name the bundles oldest first: a later one overrides the earlier ones. The result is byte for byte the
    same as a full export of that state. Every blob is verified.

    \b
    timoni-bundler merge sunday.tar.zst monday.tar.zst tuesday.tar.zst -o all.tar.zst
    """
    stream = sys.stderr if out == "-" else sys.stdout
    with outcome.StopReport("merge", as_json=printed.as_json, stream=stream) as stops:
        try:
            check_report(reported.report, out, *bundles)
            stops.file = reported.report
            allow_open_files()
            compact = COMPACT_LEVEL if out.endswith(COMPACT_SUFFIX) else None
            output = output_to(out, force=force, compact=compact)
            session = Session(progress=progress_bars.display(quiet=printed.quiet))
            done = merge_bundles(bundles, output, session, volumes_in=volumes.volumes_in)
            summary = summaries.export_summary(done)
        except BundlerError as error:
            done, summary = outcome.failed_report("merge", error), ""
    return outcome.conclude(done, summary=summary, file=stops.file, as_json=printed.as_json, stream=stream)
