"""Progress of long steps. Whoever shows it implements `Progress`."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from bundler.errors import BundlerError
from bundler.workers import each

Item = TypeVar("Item")

Result = TypeVar("Result")


class Step(Protocol):
    """One step under way."""

    def advance(self, items: int = 0, size: int = 0) -> None:
        """Count `items` more as done, `size` more bytes as passed. Called from any thread."""


class Progress(Protocol):
    """A display of steps, and of lines that a person should see."""

    def step(
        self, name: str, items: int | None = None, size: int | None = None
    ) -> AbstractContextManager[Step]:
        """Begin a step of so many items and bytes; it ends with the context."""

    def note(self, line: str) -> None:
        """Show a line worth reading now: a retry, a warning, something left out."""


class Silence:
    """A display that shows nothing: the Python API's default."""

    def advance(self, items: int = 0, size: int = 0) -> None:
        """Show nothing."""

    def step(
        self,
        name: str,
        items: int | None = None,
        size: int | None = None,
    ) -> AbstractContextManager[Step]:
        """Show nothing."""
        return nullcontext(self)

    def note(self, line: str) -> None:
        """Show nothing."""


SILENCE = Silence()


def each_shown(
    progress: Progress, name: str, items: Collection[Item], work: Callable[[Item], Result], *, jobs: int
) -> Iterator[tuple[Item, Result | BundlerError]]:
    """Yield from `workers.each` as a step of its own; show nothing if there is nothing to do."""
    if not items:
        return
    with progress.step(name, len(items)) as step:
        for item, result in each(items, work, jobs=jobs):
            step.advance(items=1)
            yield item, result


def size_text(size: float) -> str:
    """Return bytes for people: `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return `1 tag`, `2,000 tags`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
