"""`timoni-bundler compact`."""

from pathlib import Path
from typing import Annotated

from bundler.bundle.bundle_format import COMPACT_LEVEL
from bundler.cli.declared_command import declared
from bundler.cli.setup.base_access import rewritten
from bundler.config.export_options import CompactLevel
from bundler.config.option import Option
from bundler.config.run_options import OUTPUT, BundleArgument, RewriteOptions


@declared("compact")
def command(
    bundle: BundleArgument,
    *,
    out: Annotated[
        Path,
        Option(
            "--output", "-o", metavar="OUT", heading=OUTPUT, path=True,
            help="Write NAME.compact.zst, or `-` for standard output.",
        ),
    ],
    level: CompactLevel = None,
    options: RewriteOptions,
) -> int:  # fmt: skip
    """Write a bundle in its compact form: the same content in a fraction of the bytes.

    It stores each distinct file once, and for each layer a recipe to rebuild its exact bytes. Layers that
    can't be rebuilt exactly are stored as they are. Bundle ID and signatures stay the same. Every command
    that reads a bundle reads a compact one; for other OCI tools, `expand` makes the portable form. A delta
    is written against its base, of which only what changed is carried.

    \b
    timoni-bundler compact modules.tar.zst -o modules.compact.zst
    timoni-bundler compact modules.tar.zst -o modules.compact.zst --level 19
    timoni-bundler compact tuesday.tar.zst -o tuesday.compact.zst --with monday.tar.zst
    """
    return rewritten("compact", bundle, out, options, compact=level or COMPACT_LEVEL)
