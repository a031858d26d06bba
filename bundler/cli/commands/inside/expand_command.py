"""`timoni-bundler expand`."""

from pathlib import Path
from typing import Annotated

from bundler.cli.declared_command import declared
from bundler.cli.setup.base_access import rewritten
from bundler.config.option import Option
from bundler.config.run_options import OUTPUT, BundleArgument, RewriteOptions


@declared("expand")
def command(
    bundle: BundleArgument,
    *,
    out: Annotated[
        Path,
        Option(
            "--output", "-o", metavar="OUT", heading=OUTPUT, path=True,
            help="Write NAME.tar.zst, or `-` for standard output.",
        ),
    ],
    options: RewriteOptions,
) -> int:  # fmt: skip
    """Write a compact bundle in its portable form, byte for byte what `export` would have written.

    A compact delta reads its base: name the bundles with --with, or the registry that has it with --from.

    \b
    timoni-bundler expand modules.compact.zst -o modules.tar.zst
    timoni-bundler expand tuesday.compact.zst -o tuesday.tar.zst --from oci://registry.internal:5000/mirror
    """
    return rewritten("expand", bundle, out, options, compact=None)
