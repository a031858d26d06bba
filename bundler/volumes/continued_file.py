"""A file that an earlier run left unfinished, written anew in its place: what is the same stays."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from bundler.durable import WholeFile, check_ours, local_errors, temporary_of
from bundler.file_system import followed


class ContinuedFile(WholeFile):
    """A file that is written from its start, over what an earlier run left under the temporary name.

    As long as that has the same bytes, nothing is written; from the first difference on, it is cut off.
    So at any moment the file holds a beginning of what is written now, and nothing else.
    """

    def __init__(self, path: Path, temporary: Path) -> None:
        super().__init__(path, temporary, resume=True)
        self._follows = True
        # A thread may still write when another, interrupted, closes it.
        self._lock = Lock()

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`, or pass over it where it is there already."""
        with self._lock:
            if not self._follows or not self._passes_over(memoryview(data)):
                super().write(data)

    def _passes_over(self, view: memoryview) -> bool:
        """Return True if the next bytes are these; otherwise cut the file off before them."""
        with local_errors(self.temporary, "read"):
            start = self._file.tell()
            existing = self._file.read(len(view))
            self._follows = existing == view
            if not self._follows:
                self._file.seek(start)
                self._file.truncate()
        return self._follows

    def commit(self, *, sync_folder: bool = True) -> None:
        """Make it durable, then give it its name; what an earlier run wrote further goes."""
        if self._follows:
            with local_errors(self.temporary, "truncate"):
                self._file.truncate()
        super().commit(sync_folder=sync_folder)

    def keep(self) -> None:
        """Close it for a later run to go on with; an empty one goes."""
        with self._lock:
            if self._file.closed:
                return  # it could not be renamed
            with local_errors(self.temporary, "look at"):
                empty = not os.fstat(self._file.fileno()).st_size
            if empty:
                self.discard()
            else:
                super().keep()


def begin_continued(path: Path) -> ContinuedFile:
    """Return a file to go on with under its temporary name; behind a link, beside what the link leads to."""
    with local_errors(path, "follow"):
        path = followed(path)
    return ContinuedFile(path, temporary_of(path))


@contextmanager
def continued_file(path: Path) -> Iterator[ContinuedFile]:
    """Yield a file that gets its name when the block ends well, and otherwise stays for a later run."""
    file = begin_continued(path)
    try:
        yield file
        file.commit()
    except BaseException:
        file.keep()
        raise


def forget_left(path: Path) -> None:
    """Remove what an earlier run left for `path`. Raises: LocalError where a run is writing it now."""
    if left_under(path):
        begin_continued(path).discard()


def left_under(path: Path) -> Path | None:
    """Return what an earlier run left for `path` under its temporary name; None if that is nothing.

    Raises: LocalError for what is not this user's alone to change.
    """
    with local_errors(path, "follow"):
        temporary = temporary_of(followed(path))
    check_ours(temporary)
    return temporary if temporary.is_file() else None
