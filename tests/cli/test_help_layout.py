"""The headings of long helps: each names options that there are, and no option is forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bundler.cli.main import COMMANDS, program
from bundler.cli.terminal.help_layout import HEADINGS, MANY

NAMED = {option for options in HEADINGS.values() for option in options.split()}
FIRST = {"--config"}
"""What stands before all headings."""


def options() -> Iterator[set[str]]:
    """Of each command, and of those in a group."""
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command
        for one in command.commands.values() if isinstance(command, click.Group) else [command]:
            yield {max(option.opts, key=len) for option in one.params if isinstance(option, click.Option)}


def test_every_option_under_a_heading_is_one_of_some_command() -> None:
    assert NAMED - set().union(*options()) == set()


def test_no_option_of_a_long_help_is_without_a_heading() -> None:
    assert [found - NAMED - FIRST for found in options() if len(found) > MANY and found - NAMED - FIRST] == []
