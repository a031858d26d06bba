"""`timoni-bundler completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bundler.about import PROGRAM


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of a shell.

    \b
    eval "$(timoni-bundler completion bash)"
    timoni-bundler completion fish > ~/.config/fish/completions/timoni-bundler.fish
    """
    from bundler.cli.main import program

    kind = get_completion_class(shell)
    assert kind is not None  # the choice names only known ones
    click.echo(kind(program, {}, PROGRAM, "_TIMONI_BUNDLER_COMPLETE").source())
    return 0
