"""The object on each line of a structured log; a module of its own, as people read plain lines."""

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["debug", "info", "warning", "error"]

Event = Literal[
    "step",
    "progress",
    "note",
    "request",
    "result",
    "warning",
    "error",
    "interrupted",
    "terminated",
    "internal error",
]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line on standard error with `--log-format json`; what does not apply is left out."""

    time: str
    """RFC 3339, UTC."""
    level: Level
    event: Event
    """`step` is done, `progress` is one under way; `note` is worth reading now, as a retry; `request` is one
    that was made, with `--debug`."""
    message: str
    """The line as people would read it, without the event."""
    item: str | None = None
    """The item that failed: a repository, tag, blob, file or option."""
    cause: str | None = None
    next_step: str | None = None
    """The next step for the user to take."""
    exit_code: int | None = None
    """The exit code that this error alone would have."""
    step: str | None = None
    """The name of the step."""
    items: int | None = None
    """The number of items that are done."""
    items_total: int | None = None
    size: int | None = None
    """The number of bytes that have passed."""
    size_total: int | None = None
    seconds: float | None = None
    """Since the step began."""
    report: dict[str, Any] | None = None
    """The report (report.schema.json), where standard output is the bundle."""
