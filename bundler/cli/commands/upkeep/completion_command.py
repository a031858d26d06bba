"""`timoni-bundler completion`."""

from typing import Annotated, Literal

import click
from click.shell_completion import get_completion_class

from bundler.about import PROGRAM
from bundler.cli.declared_command import declared
from bundler.config.option import Argument


@declared("completion")
def command(shell: Annotated[Literal["bash", "zsh", "fish"], Argument("{bash|zsh|fish}")]) -> int:
    """Print a completion script for a shell.

    \b
    eval "$(timoni-bundler completion bash)"
    timoni-bundler completion fish > ~/.config/fish/completions/timoni-bundler.fish
    """
    from bundler.cli.main import program

    kind = get_completion_class(shell)
    assert kind is not None  # the choice names only known ones
    script = kind(program, {}, PROGRAM, "_TIMONI_BUNDLER_COMPLETE").source()
    # click's script for fish cuts a description at its first comma.
    click.echo(script.replace('(string split "," $completion)', '(string split -m 1 "," $completion)'))
    return 0
