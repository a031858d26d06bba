"""`timoni-bundler verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bundler import describe, open_bundle, verify_bundle
from bundler.about import PROGRAM
from bundler.cli.display import display, size_text
from bundler.cli.printing import print_document
from bundler.report import document


@click.command("verify")
@click.argument("bundle", metavar="BUNDLE|DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was proven as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors.")
def command(bundle: Path, *, as_json: bool, quiet: bool) -> int:
    """Prove that a bundle is whole: inventory, closure, every size and digest, and the .sha256 beside it.

    This proves that it is consistent, not where it comes from.
    """
    with open_bundle(bundle) as opened:
        verified = verify_bundle(opened, display(quiet=quiet))
        contents = describe(opened)
    for warning in verified.warnings:
        click.echo(f"{PROGRAM}: warning: {warning}", err=True)
    if as_json:
        print_document({**document(contents), "sha256": opened.sha256, "verified": True}, sys.stdout)
        return 0
    tags = sum(len(entry.tags) for entry in contents.repositories)
    size = size_text(contents.distinct_size)
    click.echo(f"{bundle}: OK, {tags} tags, {contents.blobs} blobs, {size}, bundle {contents.id}")
    return 0
