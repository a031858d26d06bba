"""Options to undo an import: where the rollback file is written, and `import --rollback`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

from bundler.cli.options.registry_options import RegistryOptions
from bundler.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., int])


def rollback_file_options(command: Command) -> Command:
    """Add them to a command; they arrive as `rollback_file` and `rollback`."""
    options = (
        click.option("--rollback-file", metavar="FILE", type=click.Path(path_type=Path),
                     help="Write here, before any tag moves, what each pointed to. Default: a file in the "
                          "--state directory, if a tag that exists moves."),
        click.option("--rollback", metavar="FILE", type=click.Path(path_type=Path),
                     help="Instead of importing: point every tag back, as this file has it."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


_WITH_ROLLBACK = {
    "rollback", "on_conflict", "state", "receipt", "dry_run", "report", "as_json", "quiet", "metrics", "job",
    *RegistryOptions._fields,
}  # fmt: skip


def check_alone(context: click.Context) -> None:
    """Raise UsageError for options of an import that --rollback would ignore."""
    for parameter in context.command.params:
        given = parameter.name and context.get_parameter_source(parameter.name)
        if given is ParameterSource.COMMANDLINE and parameter.name not in _WITH_ROLLBACK:
            cause = "--rollback goes where its file says, and imports nothing"
            raise UsageError(parameter.opts[0], cause, "leave it out")
