"""`timoni-bundler sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bundler import Bundle, SignedStatement, Signing, open_bundle, seal_bundle, verify_bundle
from bundler.bundle.sealing import refuse_volumes
from bundler.cli.options.job_options import checked_job, job_option
from bundler.cli.options.signing_options import gathered_signing, signing, signing_options
from bundler.cli.terminal.bundle_text import sealed_text
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.session import Session


@click.command("sign", cls=Command)
@click.argument("bundle", metavar="BUNDLE|DIR", type=click.Path(path_type=Path))
@click.option(
    "--key",
    metavar="KEY",
    required=True,
    type=click.Path(path_type=Path),
    help="An OpenSSH private key, or the public key of one that the agent holds.",
)
@job_option
@signing_options
@click.option("--replace", is_flag=True, help="Make a new statement; the signatures that are there go.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors.")
def command(bundle: Path, *, key: Path, job: str, replace: bool, quiet: bool, **options: Any) -> int:
    """Sign a bundle: which one it is, its job, its sequence number, the time.

    All of it is verified first, then written anew with the statement behind the inventory; the bundle
    id stays. A bundle that is signed already gets one signature more on the same statement.

    \b
    timoni-bundler sign modules.tar.zst --key ~/.ssh/id_ed25519 --job nightly --expires 30d
    timoni-bundler sign modules.tar.zst --key second-pair-of-eyes.pub
    """
    wanted, progress = signing(key, gathered_signing(options), checked_job(job)), display(quiet=quiet)
    assert wanted is not None
    with open_bundle(bundle) as opened:
        refuse_volumes(opened)
        verify_bundle(opened, Session(progress=progress))
        sealed = _sealed(opened, wanted, replace=replace)
        seal_bundle(opened, sealed, progress)
    click.echo(f"{bundle}: {sealed_text(sealed)}, bundle {opened.id}")
    return 0


def _sealed(bundle: Bundle, wanted: Signing, *, replace: bool) -> SignedStatement:
    if bundle.sealed is None or replace:
        return wanted.seal(bundle.id)
    return wanted.join(bundle.sealed)
