"""Problems of single values, and where in the file they stand."""

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from bundler.errors import CollectedError, UsageError

Where = tuple[str | int, ...]
"""Keys and positions from the top of a file down to a value."""


class RefusedValueError(ValueError):
    """A value that can't be meant: the cause, and what to write instead."""

    def __init__(self, cause: str, next_step: str = "") -> None:
        super().__init__(cause)
        self.next_step = next_step


class Problem(NamedTuple):
    """One thing that is wrong in a file."""

    line: int
    """Counted from 1."""
    where: Where
    cause: str
    next_step: str = ""

    def error(self, name: str) -> UsageError:
        """Return the problem as a line: file, line, key path, cause, next step."""
        path = path_text(self.where)
        cause = f"{path}: {self.cause}" if path else self.cause
        return UsageError(f"{name}:{self.line}", cause, self.next_step)


def path_text(where: Where) -> str:
    """Return a path as text: `sources[1].newest`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return "".join(parts).removeprefix(".")


def refuse(name: str, problems: Sequence[Problem]) -> NoReturn:
    """Raise one UsageError that has all problems, in the order of the file."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
    errors = [problem.error(name) for problem in ordered]
    if len(errors) == 1:
        raise errors[0]
    raise CollectedError(name, errors)
