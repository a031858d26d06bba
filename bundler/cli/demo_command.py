"""`timoni-bundler demo`."""

from __future__ import annotations

from pathlib import Path

import click

from bundler.cli.shape import Command
from bundler.demo import run_demo


@click.command("demo", cls=Command)
@click.option(
    "--directory",
    "-d",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="timoni-bundler-demo",
    show_default=True,
    help="Where its registries and the bundle go; an earlier demo there is replaced.",
)
def command(directory: Path) -> int:
    """Show the whole way on this machine: two embedded registries, and the real commands between them."""
    run_demo(directory, click.echo)
    return 0
