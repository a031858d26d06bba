"""`timoni-bundler demo`."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import click

from bundler.about import PROGRAM
from bundler.cli.declared_command import declared
from bundler.cli.terminal.log import current_log
from bundler.config.option import Option
from bundler.demo import run_demo


@declared("demo")
def command(
    *,
    directory: Annotated[
        Path,
        Option(
            "--directory", "-d", metavar="DIR",
            help="Put the registries and the bundle here; an earlier demo there is replaced. Default: "
            "timoni-bundler-demo.",
        ),
    ] = Path("timoni-bundler-demo"),
) -> int:  # fmt: skip
    """Run the complete process on this machine, with the real commands between two embedded registries."""
    if sys.stdout.isatty():
        # The commands of the demo write into a pipe, and are shown here.
        os.environ.setdefault("COLUMNS", str(shutil.get_terminal_size().columns))
    from bundler.cli.main import invoke

    log = current_log()
    run_demo(directory, click.echo, lambda arguments: invoke(arguments, log), _called())
    return 0


def _called() -> str:
    """Return the way to call this command here: by its name only if that is found."""
    path = Path(sys.argv[0])
    return PROGRAM if shutil.which(PROGRAM) or path.name != PROGRAM else shlex.quote(str(path))
