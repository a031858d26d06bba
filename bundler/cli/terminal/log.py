"""The output on standard error: lines for people, or a JSON object per line for a log collector."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from bundler.about import PROGRAM
from bundler.errors import BundlerError, SeveralErrors

if TYPE_CHECKING:
    from bundler.cli.terminal.log_line import Event, Level
    from bundler.reporting.json_report import Failure

OPTION = "--log-format"

VARIABLE = "TIMONI_BUNDLER_LOG_FORMAT"

JSON = "json"


class Log:
    """Lines for people."""

    structured: ClassVar[bool] = False

    goes_on: bool = True
    """True if an interrupted command goes on when it is run again; a server does not."""

    def tell(self, event: Event, message: str, level: Level = "info", **more: Any) -> None:
        """Write a line; `more` are fields of `LogLine`. Can be called from any thread."""
        _write(message if level == "info" else f"{PROGRAM}: {event}: {message}")

    def warn(self, message: str) -> None:
        """Write a warning."""
        self.tell("warning", message, "warning")

    def failed(self, item: str, cause: str, next_step: str, exit_code: int) -> None:
        """Write a line for one item that failed."""
        line = f"{item}: {cause}; {next_step}" if next_step else f"{item}: {cause}"
        fields = {"item": item, "cause": cause, "next_step": next_step or None}
        self.tell("error", line, "error", **fields, exit_code=exit_code)

    def failures(self, failures: Iterable[Failure], exit_code: int) -> None:
        """Write a line for each cause; equal failures share one."""
        from bundler.cli.terminal.failure_groups import SHOWN, grouped

        groups = grouped(failures)
        for item in groups[:SHOWN]:
            self.failed(item.item, item.cause, item.next_step, item.exit_code)
        if more := len(groups[SHOWN:]):
            self.failed(
                f"{more:,} more causes",
                "not shown",
                "see all of them with --report FILE or --json",
                exit_code,
            )

    def error(self, error: BundlerError) -> None:
        """Write what ended a command."""
        if isinstance(error, SeveralErrors):
            from bundler.reporting.json_report import failures_of

            self.failures(failures_of(error), error.exit_code)
        else:
            self.failed(error.item, error.cause, error.next_step, error.exit_code)


class JsonLog(Log):
    """A JSON object per line."""

    structured = True

    def tell(self, event: Event, message: str, level: Level = "info", **more: Any) -> None:
        """Write one object, in one call."""
        import json

        from bundler.cli.terminal.log_line import LogLine
        from bundler.reporting.json_report import document

        line = document(LogLine(timestamp(), level, event, message, **more))
        _write(json.dumps({name: value for name, value in line.items() if value is not None}))


def _write(line: str) -> None:
    # In one call: the lines of several threads must not mix.
    print(f"{line}\n", end="", file=sys.stderr, flush=True)  # noqa: T201


def timestamp() -> str:
    """Return the time, as lines have it."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(time.time(), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_for(arguments: Sequence[str]) -> Log:
    """Return the log that a command line and the environment ask for, before either is known to be right."""
    words = list(arguments)
    words = words[: words.index("--")] if "--" in words else words
    chosen = os.environ.get(VARIABLE)
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name == OPTION:
            chosen = value if equals else following
    return JsonLog() if chosen == JSON else Log()


def current_log() -> Log:
    """Return the log of the command that this thread runs."""
    import click

    context = click.get_current_context(silent=True)
    return (context.find_object(Log) if context else None) or Log()
