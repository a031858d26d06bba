"""The last import of every job: one small file for each, so that nothing older comes after it."""

import os
from pathlib import Path

from bundler.durable import check_ours, local_errors, locked, make_directories, write_whole
from bundler.errors import ContentError, LocalError, NotFoundError
from bundler.layout import Layout
from bundler.oci import Digest, strict_json
from bundler.oci.grammar import DocumentValue, Size, document_value
from bundler.reporting.json_report import StatementReport
from bundler.trust.job import Job
from bundler.trust.statement import Moment, adapter_of

SUFFIX = ".json"

_LONGEST = 16 * 1024

_DEPTH = 8


@document_value
class SequenceEntry(DocumentValue):
    """The newest bundle of a job that was imported."""

    job: Job
    sequence: Size
    """The number in its statement; no lower one is imported."""
    bundle: Digest
    """The bundle id: no other bundle has this number."""
    time: Moment
    """When it was signed, by the signer's clock."""


class Sequences:
    """A directory of such files. A job is locked from the first look at it until `close`."""

    def __init__(self, folder: Path, *, may_write: bool = True) -> None:
        self.folder = folder
        self._may_write = may_write
        self._lock: int | None = None

    def jobs(self) -> list[str]:
        """Return the names of all jobs that were imported."""
        with local_errors(self.folder, "list"):
            files = self.folder.glob(f"*{SUFFIX}") if self.folder.is_dir() else ()
            return sorted(file.name.removesuffix(SUFFIX) for file in files)

    def last(self, job: Job) -> SequenceEntry | None:
        """Return the last import of a job; None if none is known.

        Raises: LocalError for a damaged file, or while another import of the job is under way.
        """
        if self._may_write and self._lock is None:
            make_directories(self.folder)
            self._lock = _lock(self.folder / f".{job}.lock", job)
        path = self.folder / f"{job}{SUFFIX}"
        for place in (self.folder, path):
            check_ours(place)
        try:
            return _entry(path, job, Layout(self.folder).file(path.name, _LONGEST))
        except NotFoundError:
            return None
        except ContentError:
            raise _damaged(path) from None

    def remember(self, entry: SequenceEntry) -> None:
        """Keep an entry, durably, in place of the job's earlier one."""
        document = {
            "job": entry.job, "sequence": entry.sequence, "bundle": entry.bundle, "time": entry.time
        }  # fmt: skip
        write_whole(
            self.folder / f"{entry.job}{SUFFIX}", strict_json.pretty(document), mode=0o600, follow=False
        )

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def problems_of(signed: StatementReport, bundle: Digest, last: SequenceEntry | None) -> list[tuple[str, str]]:
    """Return what speaks against a statement that is rightly signed, as a word and a sentence."""
    if last and signed.sequence < last.sequence:
        cause = (
            f"older than what was imported: number {last.sequence} ({last.time}), "
            f"here is {signed.sequence} ({signed.time})"
        )
        return [("older", cause)]
    if last and signed.sequence == last.sequence and bundle != last.bundle:
        cause = f"another bundle with sequence number {last.sequence} was imported before: {last.bundle}"
        return [("same sequence", cause)]
    return []


def _entry(path: Path, job: Job, data: bytes) -> SequenceEntry:
    """Read an entry. Unreadable state is not empty state: whoever damages it must not win by that."""
    from pydantic import ValidationError

    strict_json.check(data, item=str(path), depth=_DEPTH)
    try:
        entry: SequenceEntry = adapter_of(SequenceEntry).validate_json(data)
    except ValidationError:
        raise _damaged(path) from None
    if entry.job != job:
        raise LocalError(str(path), f"it is the state of another job, {entry.job}", "restore it")
    return entry


def _damaged(path: Path) -> LocalError:
    return LocalError(str(path), "damaged", "restore it from a backup")


def _lock(path: Path, job: Job) -> int:
    with local_errors(path, "open"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not locked(descriptor, path):
            cause = f"another import of the job {job} is running"
            raise LocalError(str(path.parent), cause, "wait until it has ended")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
