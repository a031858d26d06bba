"""`timoni-bundler kit`."""

from pathlib import Path
from typing import Annotated

import click

from bundler import KitSources, Session, parse_prefix, write_kit
from bundler.cli.declared_command import declared
from bundler.cli.setup import bundle_form, trusted_signers
from bundler.cli.terminal import log, progress_bars, upkeep_text
from bundler.config.export_options import VolumeOptions
from bundler.config.option import Argument, Option
from bundler.config.run_options import Quiet, SetOptions
from bundler.oci import Prefix


@declared("kit")
def command(
    bundles: Annotated[tuple[Path, ...], Argument("BUNDLE|VOLUME|DIR...", path=True)],
    *,
    out: Annotated[Path, Option("--output", "-o", metavar="DIR", help="Write this new folder.")],
    tools: Annotated[
        tuple[Path, ...],
        Option(
            "--tool", metavar="FILE",
            help="Include this portable archive of the program. Repeatable: one for each kind of machine.",
        ),
    ] = (),
    allowed_signers: Annotated[
        Path | None,
        Option(
            "--allowed-signers", metavar="FILE",
            help="Include this file, and require a signature by one of these on every bundle.",
        ),
    ] = None,
    target: Annotated[
        Prefix | None,
        Option(
            "--to", metavar="oci://HOST[/PREFIX]", read=lambda text, at: parse_prefix(text),
            help="Write this target into README.txt. Default: a placeholder.",
        ),
    ] = None,
    volumes: SetOptions,
    cut: VolumeOptions,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Put everything that crosses into one folder: bundles, the program, checksums, instructions.

    The folder has SHA256SUMS for `sha256sum -c`, and README.txt with the commands to check, unpack and
    import this content. Both need nothing but a shell. Every bundle is verified first. Names and sizes
    fit FAT32. Bundles that build on each other are listed in the order of import; README.txt names a base
    that must be there before.

    \b
    timoni-bundler kit modules.tar.zst --tool timoni-bundler-0.1.0-linux-x86_64.tar.xz -o /media/stick/kit
    timoni-bundler kit sunday.tar.zst monday.tar.zst --to oci://registry.internal:5000/mirror -o kit
    """
    session = Session(progress=progress_bars.display(quiet=quiet))
    sources = KitSources(bundles, tools, allowed_signers, volumes.volumes_in, bundle_form.cut_of(cut))
    verifier = trusted_signers.verifier_of(trusted_signers.TrustOptions(allowed_signers), session.clock())
    kit = write_kit(sources, out, session, verifier=verifier, target=target)
    for warning in kit.warnings:
        log.current_log().warn(warning)
    click.echo(upkeep_text.kit_text(out, kit))
    return 0
