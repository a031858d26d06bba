"""`timoni-bundler expand`."""

import sys
from pathlib import Path
from typing import Annotated

from bundler import convert_bundle
from bundler.cli.declared_command import declared
from bundler.cli.setup.base_access import opened_with_base
from bundler.cli.setup.registry_access import check_report
from bundler.cli.terminal.outcome import conclude, failed_report
from bundler.cli.terminal.summaries import export_summary
from bundler.config.option import Option
from bundler.config.run_options import (
    OUTPUT, BaseOptions, BundleArgument, Force, PrintOptions, RegistryOptions, ReportOptions,
    SetOptions,
)  # fmt: skip
from bundler.errors import BundlerError


@declared("expand")
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
            heading=OUTPUT,
            path=True,
            help="Write NAME.tar.zst, or `-` for standard output.",
        ),
    ],
    force: Force = False,
    base: BaseOptions,
    registry: RegistryOptions,
    reported: ReportOptions,
    printed: PrintOptions,
) -> int:
    """Write a compact bundle in its portable form, byte for byte what `export` would have written.

    A compact delta reads its base: name the bundles with --with, or the registry that has it with --from.

    \b
    timoni-bundler expand modules.compact.zst -o modules.tar.zst
    timoni-bundler expand tuesday.compact.zst -o tuesday.tar.zst --from oci://registry.internal:5000/mirror
    """
    report, summary, stream = None, "", sys.stderr if str(out) == "-" else sys.stdout
    try:
        check_report(reported.report, str(out), bundle, *base.beside, registry.reach.creds_file)
        report = reported.report
        with opened_with_base(bundle, base, registry, volumes.volumes_in, quiet=printed.quiet) as opened:
            done = convert_bundle(
                "expand",
                opened.bundle,
                out,
                opened.session,
                compact=None,
                force=force,
                beside=opened.beside,
                registry=opened.registry,
            )
            summary = export_summary(done)
    except BundlerError as error:
        done = failed_report("expand", error)
    return conclude(done, summary=summary, file=report, as_json=printed.as_json, stream=stream)
