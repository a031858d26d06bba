"""`timoni-bundler sign`."""

from pathlib import Path
from typing import Annotated

import click

from bundler import Bundle, Session, SignedStatement, Signing, open_bundle, seal_bundle, verify_bundle
from bundler.bundle.sealing import refuse_volumes
from bundler.cli.declared_command import declared
from bundler.cli.setup.signing_key import signing
from bundler.cli.terminal import bundle_text, progress_bars
from bundler.config.export_options import SigningTerms
from bundler.config.option import Argument, Option
from bundler.config.run_options import JobOptions, Quiet
from bundler.session import system_clock


@declared("sign")
def command(
    bundle: Annotated[Path, Argument("BUNDLE|DIR", path=True)],
    *,
    key: Annotated[
        Path,
        Option(
            "--key", metavar="KEY",
            help="Sign with this OpenSSH private key, or with the agent's key of this public key.",
        ),
    ],
    job: JobOptions,
    terms: SigningTerms,
    replace: Annotated[
        bool,
        Option(
            "--replace",
            help="Replace the statement and its signatures with a new one: of the same job, with a number "
            "that is not lower. Default: add a signature.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Sign a statement about a bundle: its ID, its job, its sequence number, the time.

    The bundle is verified first, then written again with the statement after the inventory; its ID stays
    the same. If it is already signed, a signature is added to the same statement.

    \b
    timoni-bundler sign modules.tar.zst --key ~/.ssh/id_ed25519 --job nightly --expires 30d
    timoni-bundler sign modules.tar.zst --key second-pair-of-eyes.pub
    """
    signer, progress = signing(key, terms, job.job), progress_bars.display(quiet=quiet)
    assert signer is not None
    with open_bundle(bundle) as opened:
        refuse_volumes(opened)
        verify_bundle(opened, Session(progress=progress))
        signed = _sealed(opened, signer, replace=replace)
        seal_bundle(opened, signed, progress, other_job=job.job is not None)
    click.echo(bundle_text.sealed_text(bundle, signed, system_clock()))
    return 0


def _sealed(bundle: Bundle, signer: Signing, *, replace: bool) -> SignedStatement:
    if bundle.signed_statement is None or replace:
        return signer.seal(bundle.id, bundle.signed_statement.statement if bundle.signed_statement else None)
    return signer.join(bundle.signed_statement)
