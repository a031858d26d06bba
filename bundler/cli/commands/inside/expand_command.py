"""`timoni-bundler expand`."""

from pathlib import Path
from typing import Annotated

from bundler.cli.commands.outside.compact_command import convert
from bundler.cli.declared_command import declared
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, Force, PrintOptions, ReportOptions, SetOptions


@declared("expand")
def command(
    bundle: BundleArgument,
    volumes: SetOptions,
    *,
    out: Annotated[
        Path,
        Option(
            "--output", "-o", metavar="OUT", path=True, help="Write NAME.tar.zst, or `-` for standard output."
        ),
    ],
    force: Force = False,
    reported: ReportOptions,
    printed: PrintOptions,
) -> int:
    """Write a compact bundle in its portable form, byte for byte what `export` would have written.

    \b
    timoni-bundler expand modules.compact.zst -o modules.tar.zst
    """
    return convert(
        "expand", bundle, volumes, out, compact=None, force=force, reported=reported, printed=printed
    )
