"""The options that decide by a tag's name: the same for what is exported and what is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

from bundler.selection.rules import Rules, check

Command = TypeVar("Command", bound=Callable[..., Any])

COUNT = click.IntRange(min=1)


class NameRuleOptions(NamedTuple):
    """What a command line says of tags by their names."""

    globs: tuple[str, ...]
    patterns: tuple[str, ...]
    versions: str | None
    prereleases: bool
    newest: int | None
    newest_per_major: int | None
    newest_per_minor: int | None
    exclude: tuple[str, ...]


def rule_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_rules`."""
    options = (
        click.option("--tag", "-t", "globs", metavar="GLOB", multiple=True,
                     help="Take only tags that match. Repeatable."),
        click.option("--tag-regex", "patterns", metavar="REGEX", multiple=True,
                     help="Take tags that match as a whole. Repeatable."),
        click.option("--versions", metavar="RANGE",
                     help="Take versions in a range: '>=6.10 <7', '^1.2', '~1.4'."),
        click.option("--prereleases", is_flag=True, help="Let ranges and --newest see pre-releases."),
        click.option("--newest", metavar="N", type=COUNT, help="Of the versions taken, the newest N."),
        click.option("--newest-per-major", metavar="N", type=COUNT,
                     help="The newest N of each major version."),
        click.option("--newest-per-minor", metavar="N", type=COUNT,
                     help="The newest N of each minor version."),
        click.option("--exclude", metavar="GLOB", multiple=True,
                     help="Leave out tags that match. Repeatable."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_rules(options: dict[str, Any]) -> NameRuleOptions:
    """Take the options out of a command's arguments."""
    return NameRuleOptions(**{name: options.pop(name) for name in NameRuleOptions._fields})


def name_rules(options: NameRuleOptions) -> Rules:
    """The rules that the options are. Raises UsageError for what can't be meant."""
    rules = Rules(**options._asdict())
    check(rules)
    return rules
