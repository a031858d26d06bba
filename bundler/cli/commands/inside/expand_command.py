"""`timoni-bundler expand`."""

import sys
from pathlib import Path
from typing import Annotated

from bundler import BundlerError, Session, convert_bundle, open_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.setup.registry_access import check_report
from bundler.cli.terminal import outcome, progress_bars, summaries
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, Force, PrintOptions, ReportOptions, SetOptions


@declared("expand")
def command(
    bundle: BundleArgument,
    volumes: SetOptions,
    *,
    out: Annotated[Path, Option("--output", "-o", metavar="OUT", path=True, help="Write NAME.tar.zst.")],
    force: Force = False,
    reported: ReportOptions,
    printed: PrintOptions,
) -> int:
    """Write a compact bundle in its portable form, byte for byte what `export` would have written.

    \b
    timoni-bundler expand modules.compact.zst -o modules.tar.zst
    """
    report, summary = None, ""
    try:
        check_report(reported.report, str(out), bundle)
        report = reported.report
        session = Session(progress=progress_bars.display(quiet=printed.quiet))
        with open_bundle(bundle, volumes_in=volumes.volumes_in) as opened:
            refuse_unused_folders(volumes.volumes_in, opened)
            compact = None
            done = convert_bundle("expand", opened, out, session, compact=compact, force=force)
            summary = summaries.export_summary(done)
    except BundlerError as error:
        done = outcome.failed_report("expand", error)
    return outcome.conclude(done, summary=summary, file=report, as_json=printed.as_json, stream=sys.stdout)
