"""The headings of long helps: every one has options, and no option is forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bundler.cli.declared_command import MANY
from bundler.cli.main import COMMANDS, program
from bundler.config.option import HEADINGS

FIRST = {"config"}
"""What stands before all headings."""


def commands() -> Iterator[list[click.Option]]:
    """The options of each command, and of those in a group."""
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command
        for part in command.commands.values() if isinstance(command, click.Group) else [command]:
            yield [option for option in part.params if isinstance(option, click.Option)]


def heading_of(option: click.Option) -> str:
    """The heading that an option is declared under."""
    return str(getattr(option, "heading", ""))


def test_every_heading_has_options_and_every_option_a_known_one() -> None:
    used = {heading_of(option) for options in commands() for option in options}
    assert used - {""} == set(HEADINGS)


def test_no_option_of_a_long_help_is_without_a_heading() -> None:
    plain = [
        option.name
        for options in commands()
        for option in options
        if len(options) > MANY and not heading_of(option)
    ]
    assert set(plain) <= FIRST


def test_no_command_has_two_options_of_one_name() -> None:
    for options in commands():
        names = [option.name for option in options]
        assert len(set(names)) == len(names)
