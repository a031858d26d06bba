"""`timoni-bundler extract`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bundler import extract, open_bundle
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.bundle_text import extracted_text
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.log import current_log
from bundler.cli.terminal.outcome import print_document
from bundler.reporting.json_report import document


@click.command("extract", cls=Command)
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR", type=click.Path(path_type=Path))
@click.argument("reference", metavar="REF")
@click.option(
    "--output",
    "-o",
    "out",
    metavar="OUT",
    required=True,
    type=click.Path(path_type=Path),
    help="NAME.tar for an OCI archive, else a new or empty directory for the files.",
)
@more_volumes
@click.option("--force", is_flag=True, help="Replace an archive that exists. A directory is never replaced.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (schemas/extracted.schema.json).")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors.")
def command(
    bundle: Path,
    reference: str,
    out: Path,
    *,
    volumes_in: tuple[Path, ...],
    force: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Take one version out of a bundle, with nothing but the bundle.

    REF is HOST/REPOSITORY:TAG as `inspect` shows it, its first parts left out where no other fits
    (podinfo:6.5.0); or @DIGEST.

    \b
    timoni-bundler extract modules.tar.zst podinfo:6.5.0 -o podinfo-6.5.0.oci.tar
    timoni mod push podinfo-6.5.0.oci.tar oci://registry.internal:5000/podinfo
    skopeo copy oci-archive:podinfo-6.5.0.oci.tar:6.5.0 docker://registry.internal:5000/podinfo:6.5.0
    timoni-bundler extract modules.tar.zst podinfo:6.5.0 -o podinfo/

    An OCI archive keeps the digest; an index goes along with all that it lists. A directory gets the
    files of every tar+gzip layer (Timoni modules and artifacts, Helm charts, Flux artifacts); links,
    devices and names that lead out of it are refused. Either is there whole or not at all.
    """
    with open_bundle(bundle, volumes_in=volumes_in) as opened:
        done = extract(opened, reference, out, force=force, progress=display(quiet=quiet))
    for layer in done.left_out:
        current_log().warn(f"not unpacked, because it is no archive of files: {layer}")
    if as_json:
        print_document(document(done), sys.stdout)
    else:
        click.echo(extracted_text(done))
    return 0
