"""`timoni-bundler extract`."""

import sys
from pathlib import Path
from typing import Annotated

import click

from bundler import Session, extract, open_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.declared_command import declared
from bundler.cli.terminal import bundle_text, log, outcome, progress_bars
from bundler.config.option import Argument, Option
from bundler.config.run_options import BundleArgument, Quiet, SetOptions
from bundler.reporting.json_report import document


@declared("extract")
def command(
    bundle: BundleArgument,
    reference: Annotated[str, Argument("REF")],
    volumes: SetOptions,
    *,
    out: Annotated[
        Path,
        Option(
            "--output", "-o", metavar="OUT",
            help="Write here: NAME.tar for an OCI archive, else a new or empty directory for the files.",
        ),
    ],
    force: Annotated[
        bool, Option("--force", help="Replace an archive that exists. A directory is never replaced.")
    ] = False,
    as_json: Annotated[
        bool, Option("--json", help="Print the result as JSON (`timoni-bundler schema extracted`).")
    ] = False,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Take one version out of a bundle. No registry is needed.

    REF is HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST as `inspect` shows it. You can leave out its first
    parts if no other reference fits: podinfo:6.5.0.

    \b
    timoni-bundler extract modules.tar.zst podinfo:6.5.0 -o podinfo-6.5.0.oci.tar
    timoni mod push podinfo-6.5.0.oci.tar oci://registry.internal:5000/podinfo
    skopeo copy oci-archive:podinfo-6.5.0.oci.tar:6.5.0 docker://registry.internal:5000/podinfo:6.5.0
    timoni-bundler extract modules.tar.zst podinfo:6.5.0 -o podinfo/

    An OCI archive keeps the digest, and an index is included with everything it lists. A directory gets
    the files of every tar+gzip layer (Timoni modules and artifacts, Helm charts, Flux artifacts); links,
    devices, and names that lead out of it are refused. OUT is written completely or not at all.
    """
    session = Session(progress=progress_bars.display(quiet=quiet))
    with open_bundle(bundle, volumes_in=volumes.volumes_in) as opened:
        refuse_unused_folders(volumes.volumes_in, opened)
        done = extract(opened, reference, out, session, force=force)
    for layer in done.left_out:
        log.current_log().warn(f"not unpacked, because it is not an archive of files: {layer}")
    if as_json:
        outcome.print_document(document(done), sys.stdout)
    else:
        click.echo(bundle_text.extracted_text(done))
    return 0
