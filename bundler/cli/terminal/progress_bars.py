"""Progress on standard error: bars on a terminal (by tqdm), a line per step anywhere else."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from bundler.cli.terminal.log import Log, current_log
from bundler.reporting.progress import SILENCE, Progress, Step, size_text

if TYPE_CHECKING:
    from bundler.cli.terminal.log_line import Event

LINE_EVERY = 30.0
"""Seconds between two lines of one step, where there is no terminal."""


def display(*, quiet: bool) -> Progress:
    """Return the display that fits the place: nothing, bars, or lines. Always on standard error."""
    if quiet:
        return SILENCE
    log = current_log()
    return Bars(sys.stderr) if sys.stderr.isatty() and not log.structured else Lines(log)


class Lines:
    """One line when a step is done, and one now and then while it lasts."""

    def __init__(self, log: Log) -> None:
        self._log = log

    @contextmanager
    def _step(self, name: str, items: int | None, size: int | None) -> Iterator[Step]:
        step = _ShownStep(self._log, name, items, size)
        yield step
        if items or size:
            step.tell("step")

    def step(
        self, name: str, items: int | None = None, size: int | None = None
    ) -> AbstractContextManager[Step]:
        """Begin a step that reports its progress in lines."""
        return self._step(name, items, size)

    def note(self, line: str) -> None:
        """Write a line."""
        self._log.tell("note", line)


class _ShownStep:
    """A step that counts from many threads."""

    def __init__(self, log: Log, name: str, items: int | None, size: int | None) -> None:
        self._log = log
        self._name = name
        self._items = items
        self._size = size
        self._done = self._passed = 0
        self._start = self._last_line = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, items: int = 0, size: int = 0) -> None:
        """Count, and say so every half minute."""
        with self._lock:
            self._done += items
            self._passed += size
            due = time.monotonic() - self._last_line > LINE_EVERY
            if due:
                self._last_line = time.monotonic()
        if due:
            self.tell("progress")

    def tell(self, event: Event) -> None:
        """Tell how far the step has come."""
        self._log.tell(
            event,
            self._line(),
            step=self._name,
            items=None if self._items is None else self._done,
            items_total=self._items,
            size=None if self._size is None else self._passed,
            size_total=self._size,
            seconds=round(time.monotonic() - self._start, 3),
        )

    def _line(self) -> str:
        """Return `blobs: 59 of 59, 1.2 MB of 1.2 MB, 0.2 s`."""
        parts = [f"{self._done} of {self._items}"] if self._items is not None else []
        if self._size is not None:
            parts.append(f"{size_text(self._passed)} of {size_text(self._size)}")
        return f"{self._name}: {', '.join(parts)}, {time.monotonic() - self._start:.1f} s"


class Bars:
    """A bar per step: bytes where they are known, and the items beside it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def _step(self, name: str, items: int | None, size: int | None) -> Iterator[Step]:
        from tqdm import tqdm

        shown: dict[str, Any] = {"unit": "B", "unit_scale": True} if size else {"unit": ""}
        total = size or items
        # Some terminals say that they have no width; tqdm would draw nothing there.
        shown |= {"dynamic_ncols": True} if self._has_width() else {"ncols": 80, "nrows": 24}
        with tqdm(total=total, desc=name, file=self._stream, disable=not total, **shown) as bar:
            yield _Barred(bar, items, by_size=bool(size))

    def _has_width(self) -> bool:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns > 0
        except OSError:
            return False

    def step(
        self, name: str, items: int | None = None, size: int | None = None
    ) -> AbstractContextManager[Step]:
        """Begin a step with a bar."""
        return self._step(name, items, size)

    def note(self, line: str) -> None:
        """Write a line above the bars."""
        from tqdm import tqdm

        tqdm.write(line, file=self._stream)


class _Barred:
    """A bar that many threads move."""

    def __init__(self, bar: Any, items: int | None, *, by_size: bool) -> None:
        self._bar = bar
        self._items = items
        self._by_size = by_size
        self._done = 0
        self._lock = threading.Lock()

    def advance(self, items: int = 0, size: int = 0) -> None:
        """Move the bar."""
        with self._lock:
            self._done += items
            if self._by_size and items:
                self._bar.set_postfix_str(f"{self._done}/{self._items}", refresh=False)
            self._bar.update(size if self._by_size else items)
