"""`timoni-bundler compact`."""

import sys
from pathlib import Path
from typing import Annotated

from bundler import convert_bundle, open_bundle
from bundler.bundle.format import COMPACT_LEVEL
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.input_files import scratch_folder
from bundler.cli.setup.registry_access import check_report
from bundler.cli.terminal.outcome import conclude, failed_report
from bundler.cli.terminal.progress_bars import display
from bundler.cli.terminal.summaries import export_summary
from bundler.config.export_options import CompactLevel
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, Force, PrintOptions, ReportOptions, SetOptions
from bundler.errors import BundlerError
from bundler.session import Session


@declared("compact")
def command(
    bundle: BundleArgument,
    volumes: SetOptions,
    *,
    out: Annotated[
        Path,
        Option(
            "--output",
            "-o",
            metavar="OUT",
            path=True,
            help="Write NAME.compact.zst, or `-` for standard output.",
        ),
    ],
    level: CompactLevel = None,
    force: Force = False,
    reported: ReportOptions,
    printed: PrintOptions,
) -> int:  # fmt: skip
    """Write a bundle in its compact form: the same content in a fraction of the bytes.

    It holds each file of all layers once, and for each layer a recipe that makes its bytes again. Layers
    that can't be made again are carried as they are. Bundle ID and signatures stay the same. Every command
    that reads a bundle reads a compact one; for other OCI tools, `expand` makes the portable form.

    \b
    timoni-bundler compact modules.tar.zst -o modules.compact.zst
    timoni-bundler compact modules.tar.zst -o modules.compact.zst --level 19
    """
    report, summary, stream = None, "", sys.stderr if str(out) == "-" else sys.stdout
    try:
        check_report(reported.report, str(out), bundle)
        report = reported.report
        session = Session(progress=display(quiet=printed.quiet))
        with open_bundle(bundle, volumes_in=volumes.volumes_in) as opened:
            refuse_unused_folders(volumes.volumes_in, opened)
            done = convert_bundle(
                "compact",
                opened,
                out,
                session,
                compact=level or COMPACT_LEVEL,
                force=force,
                scratch=scratch_folder() if str(out) == "-" else None,
            )
            summary = export_summary(done)
    except BundlerError as error:
        done = failed_report("compact", error)
    return conclude(done, summary=summary, file=report, as_json=printed.as_json, stream=stream)
