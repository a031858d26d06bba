"""`timoni-bundler compact`."""

import sys
from pathlib import Path
from typing import Annotated

from bundler import BundlerError, Session, convert_bundle, open_bundle
from bundler.bundle.bundle_format import COMPACT_LEVEL
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.input_files import scratch_folder
from bundler.cli.setup.registry_access import check_report
from bundler.cli.terminal import outcome, progress_bars, summaries
from bundler.config.export_options import CompactLevel
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, Force, PrintOptions, ReportOptions, SetOptions


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

    It stores each distinct file once, and for each layer a recipe to rebuild its exact bytes. Layers that
    can't be rebuilt exactly are stored as they are. Bundle ID and signatures stay the same. Every command
    that reads a bundle reads a compact one; for other OCI tools, `expand` makes the portable form.

    \b
    timoni-bundler compact modules.tar.zst -o modules.compact.zst
    timoni-bundler compact modules.tar.zst -o modules.compact.zst --level 19
    """
    compact = level or COMPACT_LEVEL
    return convert(
        "compact", bundle, volumes, out, compact=compact, force=force, reported=reported, printed=printed
    )


def convert(
    command: str,
    bundle: Path,
    volumes: SetOptions,
    out: Path,
    *,
    compact: int | None,
    force: bool,
    reported: ReportOptions,
    printed: PrintOptions,
) -> int:
    """Write a bundle in its compact form, or with None in its portable one; return the exit code."""
    file, summary, stream = None, "", sys.stderr if str(out) == "-" else sys.stdout
    try:
        check_report(reported.report, str(out), bundle)
        file = reported.report
        session = Session(progress=progress_bars.display(quiet=printed.quiet))
        with open_bundle(bundle, volumes_in=volumes.volumes_in) as opened:
            refuse_unused_folders(volumes.volumes_in, opened)
            scratch = scratch_folder() if compact is not None and str(out) == "-" else None
            report = convert_bundle(
                command, opened, out, session, compact=compact, force=force, scratch=scratch
            )
            summary = summaries.export_summary(report)
    except BundlerError as error:
        report = outcome.failed_report(command, error)
    return outcome.conclude(report, summary=summary, file=file, as_json=printed.as_json, stream=stream)
