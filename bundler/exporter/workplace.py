"""Where an export keeps its blobs while it works: a store that stays, or one beside the output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bundler.store import Store

SUFFIX = ".store"


@dataclass
class Workplace:
    """A directory for blobs. A temporary one goes when nothing more is expected of it."""

    path: Path
    temporary: bool
    finished: bool = False

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """The store, locked. After an interruption, also a temporary one stays for the next run."""
        store = Store(self.path)
        with store:
            yield store
            if self.temporary and self.finished:
                store.remove()

    def looked_at(self) -> Store:
        """The store as it is, nothing created and nothing locked: for a dry run."""
        return Store(self.path)


def beside(output: Path) -> Workplace:
    """The temporary store of a bundle: in its folder, because that is where the user has room."""
    return Workplace(output.with_name(output.name + SUFFIX), temporary=True)
