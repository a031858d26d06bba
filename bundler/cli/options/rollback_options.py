"""Options that `import --rollback` obeys."""

import click
from click.core import ParameterSource

from bundler.config.option import fields_of
from bundler.config.run_options import RegistryOptions
from bundler.errors import UsageError

_WITH_ROLLBACK = {
    "rollback", "on_conflict", "state", "receipt", "dry_run", "all_tags", "report", "as_json", "quiet",
    "metrics", "job",
    *(field.name for field in fields_of(RegistryOptions)),
}  # fmt: skip


def check_alone(context: click.Context) -> None:
    """Raise UsageError for options of an import that --rollback would ignore."""
    for parameter in context.command.params:
        given = parameter.name and context.get_parameter_source(parameter.name)
        if given is ParameterSource.COMMANDLINE and parameter.name not in _WITH_ROLLBACK:
            cause = "it has no effect with --rollback, which does only what its file says"
            raise UsageError(parameter.opts[0], cause, "leave it out")
