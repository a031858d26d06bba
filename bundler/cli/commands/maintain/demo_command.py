"""`timoni-bundler demo`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from bundler.about import PROGRAM
from bundler.cli.terminal.help_layout import Command
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
    if sys.stdout.isatty():
        # The commands of the demo write into a pipe, and are shown here.
        os.environ.setdefault("COLUMNS", str(shutil.get_terminal_size().columns))
    run_demo(directory, click.echo, _called())
    return 0


def _called() -> str:
    """How this command is called here: by its name only where that is found."""
    path = Path(sys.argv[0])
    return PROGRAM if shutil.which(PROGRAM) or path.name != PROGRAM else shlex.quote(str(path))
